"""`deployra-builder build`: a folder becomes an image on a person's own machine, with no platform in sight."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import threading
import urllib.parse
from pathlib import Path

import pytest
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.cnb import NODE_APP
from kit.engine import Dockerd
from kit.images import RegistryClient, digest_of
from kit.process import free_port, wait_for
from kit.worker import BINARY, ROOT

APP = {"Dockerfile": "FROM busybox AS full\nARG MODE=plain\nCOPY . /app\nRUN echo built-$MODE; echo $MODE > /mode\n"
                     "FROM busybox AS small\nRUN echo small > /mode\nFROM full\n",
       "a.txt": "one\n"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def engine(stack) -> dict[str, str]:
    """How a person's shell names the engine; a Docker Engine for what is to be loaded is always there."""
    own = {"BUILDKIT_HOST": stack.engine.host} if isinstance(stack.engine, Buildkitd) else {}
    return {**own, "DOCKER_HOST": keeper_of(stack).host}


@pytest.fixture
def app(tmp_path) -> Path:
    # Its own name: the tests of one engine share its images.
    return write(tmp_path / f"app-{tmp_path.name.replace('_', '-').lower()[:60]}{os.getpid()}", APP)


@pytest.fixture
def build(engine, tmp_path):
    def build(*arguments: str, cwd: Path | None = None, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        temporary = tmp_path / "tmp"
        temporary.mkdir(exist_ok=True)
        done = subprocess.run([str(BINARY), "build", *map(str, arguments)], cwd=cwd or tmp_path, capture_output=True, text=True,
                              timeout=120, env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary), **engine, **environment})
        assert done.returncode == code, done.stdout + done.stderr
        assert list(temporary.iterdir()) == [], "something was left in the temporary folder"
        return done

    return build


def files_of(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def keeper_of(stack) -> Dockerd:
    """The Docker Engine that images are loaded into."""
    return stack.docker if isinstance(stack.engine, Buildkitd) else stack.engine


def files_in_image(stack, image: str) -> dict[str, bytes]:
    """The files of an image that a Docker Engine has, by a container that never runs."""
    docker = keeper_of(stack)
    made = docker.json("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})
    try:
        status, tar = docker.call("GET", f"/containers/{made['Id']}/export")
        assert status == 200
        return files_of(tar)
    finally:
        docker.call("DELETE", f"/containers/{made['Id']}")


@pytest.mark.both_engines
def test_a_folder_becomes_an_image_of_the_engine_and_the_second_time_from_its_cache(stack, build, app):
    name = f"{app.name}:latest"
    first = build(cwd=app)
    assert "built-plain" in first.stderr and f"Image   {name}" in first.stderr and first.stdout == ""
    files = files_in_image(stack, name)
    assert (files["app/a.txt"], files["mode"]) == (b"one\n", b"plain\n")
    image = stack.docker.json("GET", f"/images/{name}/json")
    assert f"Digest  {image['Id']}" in first.stderr
    again = build("--quiet", cwd=app)
    assert again.stdout == image["Id"] + "\n" and again.stderr == ""
    cached = build("--progress=json", app)
    events = [json.loads(line) for line in cached.stdout.splitlines()]
    end = events[-1]
    assert (end["event"], end["end"], end["image"], end["digest"]) == ("end", "succeeded", name, image["Id"])
    assert all(step["cached"] for step in end["steps"] if "RUN" in step["name"] or "COPY" in step["name"])
    assert {step["step"] for step in end["steps"]} == {event["step"] for event in events if event["event"] == "step_end"}
    # What changed is seen, though the size is the same and the time is put back.
    old = (app / "a.txt").stat()
    (app / "a.txt").write_text("two\n")
    os.utime(app / "a.txt", ns=(old.st_atime_ns, old.st_mtime_ns))
    build(app)
    assert files_in_image(stack, name)["app/a.txt"] == b"two\n"


def shape_of(output: str) -> list[str]:
    """What is the same of every such build: without digests, amounts, times, and where the engine listens."""
    shape = []
    for line in output.splitlines():
        for pattern, word in ((r"sha256:[0-9a-f…]+", "DIGEST"), (r"\b\d+(\.\d+)? (B|kB|MB)\b", "SIZE"), (r"\b\d+\.\d+s", "TIME"),
                              (r"^#\d+", "#N"), (r"(unix://)?/\S+\.sock( \(DOCKER_HOST\)|, the first that answers)?", "ENGINE"),
                              (r"\d+ of (\d+) steps", r"N of \1 steps"), (r"^#N (CACHED|DONE TIME)$", "#N END")):
            line = re.sub(pattern, word, line)
        shape.append(line)
    return shape


def test_the_example_of_the_document_is_what_is_printed(build):
    document = (ROOT / "docs" / "cli.md").read_text()
    example = re.search(r"^\$ deployra-builder build examples/hello\n(.*?)^```", document, re.M | re.S)[1]
    # The engine may tell a step's end after the next one's beginning.
    printed, wanted = ([row for row in shape_of(text) if row != "#N END"] for text in (build("examples/hello", cwd=ROOT).stderr, example))
    assert wanted.count("…") == 1
    before, after = wanted[:wanted.index("…")], wanted[wanted.index("…") + 1:]
    assert len(printed) > len(before) + len(after)
    assert (printed[:len(before)], printed[-len(after):]) == (before, after), "\n".join(printed)


@pytest.mark.both_engines
def test_options_reach_the_build(stack, build, app):
    build("-t", "verb/args:1", "--build-arg", "MODE=special", "--no-cache", app)
    assert files_in_image(stack, "verb/args:1")["mode"] == b"special\n"
    build("-t", "verb/args:2", "--build-arg", "MODE", "--target", "small", app, MODE="from-here")
    assert files_in_image(stack, "verb/args:2")["mode"] == b"small\n"
    write(app, {"deploy/Other": "FROM busybox\nCOPY a.txt /other\n"})
    for file, cwd in (("deploy/Other", None), (str(app / "deploy" / "Other"), None), ("Other", app / "deploy")):
        build("-t", "verb/args:3", "--file", file, app, cwd=cwd)
        assert files_in_image(stack, "verb/args:3")["other"] == b"one\n"
        stack.docker.call("DELETE", "/images/verb/args:3")


@pytest.mark.both_engines
def test_a_failing_step_is_told_as_in_the_platforms_log(build, app):
    write(app, {"Dockerfile": "FROM busybox\nCOPY . /app\nRUN echo before-it; exit 7\n"})
    failed = build(app, code=1)
    assert "before-it" in failed.stderr and "> 3 | RUN echo before-it; exit 7" in failed.stderr
    assert 'ERROR: Dockerfile:3: "RUN echo before-it; exit 7" failed with exit code 7' in failed.stderr
    assert failed.stdout == ""
    quiet = build("--quiet", app, code=1)
    assert "> 3 | RUN echo before-it; exit 7" in quiet.stderr and "before-it\n" not in quiet.stderr.splitlines()
    write(app, {"Dockerfile": "FROM busybox\nRUNN true\n"})
    assert "Dockerfile:2" in build(app, code=1).stderr


@pytest.mark.both_engines
def test_a_folders_own_dotenv_is_sent_and_never_read_as_configuration(stack, build, app):
    # Were it read, nothing could be built: no engine is there, and the rest are errors.
    mine = "DOCKER_HOST=unix:///nonexistent\nBUILDKIT_HOST=tcp://nowhere:1\nAPI_URL=ftp://x\nBUILD_TIMEOUT=never\n"
    write(app, {".env": mine})
    build("-t", "verb/env:1", cwd=app)
    assert files_in_image(stack, "verb/env:1")["app/.env"].decode() == mine
    write(app.parent, {"vars": "A=from file\nB='quoted'\n", "none": ""})
    done = build("-t", "verb/env:2", "--env", "A=given", "--env", "TOKEN", "--env-file", app.parent / "vars",
                 "--env-file", app.parent / "none", app,
                 TOKEN="s3cret-Token-9x2Lq7")
    text = files_in_image(stack, "verb/env:2")["app/.env"].decode()
    assert "A=given" in text and "from file" not in text and "B=quoted" in text and "TOKEN=s3cret-Token-9x2Lq7" in text
    assert (app / ".env").read_text() == mine
    write(app, {"Dockerfile": "FROM busybox\nCOPY .env /\nRUN cat .env; exit 1\n"})
    failed = build("--env", "TOKEN", app, code=1, TOKEN="s3cret-Token-9x2Lq7")
    assert "s3cret" not in failed.stderr and "[REDACTED]" in failed.stderr


def test_build_arguments_that_look_like_secrets_are_hidden_as_variables_are(build, app):
    write(app, {"Dockerfile": "FROM busybox\nARG NPM_TOKEN\nARG db_password\nARG MODE\n"
                              "RUN echo it is $NPM_TOKEN, $db_password, $MODE; exit 1\n"})
    arguments = ["--build-arg", "NPM_TOKEN", "--build-arg", "db_password=correct-horse", "--build-arg", "MODE=production", app]
    for progress in ("plain", "json"):
        failed = build("--no-cache", f"--progress={progress}", *arguments, code=1, NPM_TOKEN="hunter22-of-npm")
        shown = failed.stdout + failed.stderr
        assert "hunter22" not in shown and "correct-horse" not in shown and shown.count("[REDACTED]") >= 2
        assert "production" in shown


@pytest.mark.both_engines
def test_archives_hold_what_the_engine_would_have(stack, build, app, tmp_path):
    build("-t", "verb/out:1", app)
    expected = files_in_image(stack, "verb/out:1")
    tar = tmp_path / "files.tar"
    done = build("--output", f"type=tar,dest={tar}", app)
    assert f"Written to {tar}" in done.stderr and "Image " not in done.stderr and "Digest" not in done.stderr
    assert files_of(tar.read_bytes())["app/a.txt"] == expected["app/a.txt"]
    assert files_of(tar.read_bytes())["mode"] == expected["mode"]
    stack.docker.call("DELETE", "/images/verb/out:1")
    # `docker load` takes it, under its name.
    archive = tmp_path / "image.tar"
    build("-t", "verb/out:1", "-o", f"type=docker,dest={archive}", app)
    stack.docker.call("DELETE", "/images/verb/out:1")
    status, said = stack.docker.call("POST", "/images/load?quiet=1", archive.read_bytes(), {"Content-Type": "application/x-tar"})
    assert status == 200 and b"error" not in said
    loaded = files_in_image(stack, "verb/out:1")
    assert (loaded["app/a.txt"], loaded["mode"]) == (expected["app/a.txt"], expected["mode"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".tar", ".part")) == ["files.tar", "image.tar"]
    # The same as files; a folder that has some keeps them.
    write(tmp_path / "out", {"mine": "kept", "mode": "old"})
    for option in (f"type=local,dest={tmp_path / 'out'}", str(tmp_path / "out")):
        build("-o", option, app)
        out = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*")
               if path.is_file() and not path.is_symlink()}
        assert out.pop("mine") == b"kept" and out["app/a.txt"] == b"one\n" and out["mode"] == b"plain\n"
        assert out.keys() == files_of(tar.read_bytes()).keys()


@pytest.mark.both_engines
def test_an_oci_archive_or_a_word_why_not(stack, engine, build, app, tmp_path):
    target = tmp_path / "oci.tar"
    if "BUILDKIT_HOST" not in engine:
        refused = build("-o", f"type=oci,dest={target}", app, code=1)
        assert "type=docker" in refused.stderr and "#1" not in refused.stderr and not target.exists()
        return
    build("-o", f"type=oci,dest={target}", app)
    files = files_of(target.read_bytes())
    index = json.loads(files["index.json"])
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    assert "oci-layout" in files and f"blobs/sha256/{digest}" in files
    env = {"PATH": os.environ["PATH"], **engine}
    with open(tmp_path / "piped.tar", "wb") as out:
        piped = subprocess.run([str(BINARY), "build", "-o", "type=tar,dest=-", "--progress=json", str(app)], stdout=out,
                               stderr=subprocess.PIPE, env=env, timeout=60)
    assert piped.returncode == 0 and json.loads(piped.stderr.splitlines()[-1])["end"] == "succeeded"
    assert files_of((tmp_path / "piped.tar").read_bytes())["mode"] == b"plain\n"
    # Whatever is shown goes elsewhere than the archive.
    for arguments in (["-o", "dest=-,type=tar", "--progress=json"], ["-o", "-", "-q"]):
        piped = subprocess.run([str(BINARY), "build", *arguments, str(app)], capture_output=True, env=env, timeout=60)
        # Files have neither a name nor a digest.
        assert piped.returncode == 0 and bool(piped.stderr) == ("-q" not in arguments) and piped.stdout.endswith(b"\0" * 1024)
        assert files_of(piped.stdout)["mode"] == b"plain\n"


def test_what_is_written_among_the_source_is_refused_or_warned_of(build, app):
    for destination in (".", "..", str(app)):
        refused = build("-o", destination, ".", cwd=app, code=2)
        assert "among those that are built" in refused.stderr
    warning = "WARNING: {} lies in the folder that is built"
    for destination, path in (("out", "out"), ("type=tar,dest=x/files.tar", "x/files.tar"), (f"{app}/out/", "out")):
        (app / "x").mkdir(exist_ok=True)
        assert warning.format(path) in build("-o", destination, ".", cwd=app).stderr
    write(app, {".dockerignore": "out\n"})
    assert "lies in the folder" not in build("-o", "out", ".", cwd=app).stderr
    assert "lies in the folder" not in build("-o", str(app.parent / "elsewhere"), ".", cwd=app).stderr
    # While it is written it is no part of the build either.
    write(app, {"Dockerfile": "FROM busybox\nCOPY . /app\nRUN ls -aR /app >/listed\n"})
    build("-o", "type=tar,dest=x/again.tar", app, cwd=app)
    assert b".part" not in files_of((app / "x" / "again.tar").read_bytes())["listed"]


@pytest.mark.both_engines
def test_several_platforms_make_one_index(stack, build, app, tmp_path):
    write(app, {"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", "amd64": "amd64", "arm64": "arm64"})
    name = f"verb/index-{stack.engine.name}"
    both = ["--platform", "linux/amd64,linux/arm64"]
    if not isinstance(stack.engine, Buildkitd):
        assert "name one platform" in build(*both, "--push", f"{stack.registry.host}/{name}:1", app, code=1).stderr
        return
    digest = build("-q", *both, "--push", f"{stack.registry.host}/{name}:1", app).stdout.strip()
    status, headers, index = RegistryClient(stack.registry.host).call("GET", f"/v2/{name}/manifests/1",
                                                                      headers={"Accept": "application/vnd.oci.image.index.v1+json"})
    assert status == 200 and digest_of(index) == digest
    assert [image["platform"]["architecture"] for image in json.loads(index)["manifests"]] == ["amd64", "arm64"]
    build(*both, "-o", f"type=oci,dest={tmp_path}/both.tar", app)
    files = files_of((tmp_path / "both.tar").read_bytes())
    (top,) = json.loads(files["index.json"])["manifests"]
    images = json.loads(files["blobs/sha256/" + top["digest"].removeprefix("sha256:")])["manifests"]
    assert [image["platform"]["architecture"] for image in images] == ["amd64", "arm64"]
    for image in images:
        (layer,) = json.loads(files["blobs/sha256/" + image["digest"].removeprefix("sha256:")])["layers"]
        assert files_of(gzip.decompress(files["blobs/sha256/" + layer["digest"].removeprefix("sha256:")])) == {
            "arch": image["platform"]["architecture"].encode()}


@pytest.mark.both_engines
def test_a_failed_build_leaves_no_file_and_the_old_one_whole(build, app, tmp_path):
    target = tmp_path / "image.tar"
    target.write_text("the last one")
    write(app, {"Dockerfile": "FROM busybox\nRUN exit 3\n"})
    build("-o", f"type=tar,dest={target}", app, code=1)
    assert target.read_text() == "the last one"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.both_engines
def test_ctrl_c_ends_the_running_step_and_says_so(engine, app, tmp_path):
    marker = f"sleep 98{os.getpid() % 1000}7"
    write(app, {"Dockerfile": f"FROM busybox\nRUN echo it-runs; {marker}\n"})
    process = subprocess.Popen([str(BINARY), "build", "--no-cache", str(app)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **engine})
    try:
        seen = bytearray()
        reader = threading.Thread(target=lambda: [seen.extend(line) for line in process.stderr])
        reader.start()
        wait_for(lambda: b"\nit-runs\n" in seen, 60, "the step to run")

        def is_step(pid: str) -> bool:
            try:
                return (Path(f"/proc/{pid}/comm").read_text().strip() in ("sleep", "busybox", "sh")
                        and marker in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
            except OSError:  # It has ended.
                return False

        def running() -> bool:
            return any(is_step(pid) for pid in os.listdir("/proc") if pid.isdigit())

        wait_for(running, 20, "its process")
        process.send_signal(signal.SIGINT)
        # The step itself takes hours.
        assert process.wait(60) == 130
        wait_for(lambda: not running(), 60, "the step to end")
        reader.join()
        assert seen.decode().splitlines()[-1] == "Stopped"
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.glob("deployra-builder-*"))


@pytest.mark.parametrize("progress", ["plain", "json"])
def test_it_builds_on_when_nobody_listens_any_more(stack, engine, app, tmp_path, progress):
    # As `nohup deployra-builder build | head` from a terminal that is closed.
    write(app, {"Dockerfile": "FROM busybox\nRUN echo it-runs; sleep 3; seq 1000 | tee /seq\n"})
    read, write_end = os.pipe()
    process = subprocess.Popen([str(BINARY), "build", "--no-cache", "--progress", progress, "-t", "verb/unheard", str(app)],
                               stdout=write_end, stderr=write_end, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
                               env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **engine})
    os.close(write_end)
    try:
        with open(read, "rb") as shown:
            assert any(b"it-runs" in line and b"sleep" not in line for line in shown)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert files_in_image(stack, "verb/unheard")["seq"].endswith(b"\n1000\n")


@pytest.mark.parametrize(("arguments", "word"), [
    (["nowhere"], "nowhere"), (["gitlab.example/x/y"], "is the repository https://gitlab.example/x/y meant?"),
    (["git@github.com:x/y.git"], "try https://github.com/x/y.git"), (["--file", "missing"], "missing"), (["--env", "=x"], "--env"), (["-t", "UPPER CASE"], "--tag"),
    (["--output", "type=iso,dest=x"], "type"), (["--output", "type=oci"], "dest"), (["--push", "h/i", "-t", "x"], "--push"),
    (["--platform", "linux/amd64,linux/arm64"], "several platforms"), (["--platform", "linux/amd64,"], "is no platform"),
    (["--platform", "linux/amd64,linux/arm64", "-o", "type=docker,dest=x"], "several platforms"), (["--progress", "loud"], "--progress"),
    (["--platform", "foo"], "like linux/amd64"), (["--platform", "linux/amd46"], "did you mean linux/amd64?"),
    (["--platform", "linux/arm/"], "--platform"), (["-q", "--progress=plain"], "--quiet and --progress=plain contradict"),
    (["-q", "--json"], "--json"), (["--json", "--progress=tty"], "--json"),
    (["--env-file", "missing"], "--env-file"), (["--build-arg", "NOT_SET_HERE"], "NOT_SET_HERE")])
def test_wrong_usage_is_told_before_anything_is_begun(build, app, arguments, word):
    done = build(*arguments, cwd=app, code=2)
    assert word in done.stderr and done.stdout == "" and "#1" not in done.stderr


def test_without_any_engine_it_says_where_it_looked(tmp_path, app):
    done = subprocess.run([str(BINARY), "build", str(app)], capture_output=True, text=True, timeout=20,
                          env={"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    assert done.returncode == 1 and "no.sock (DOCKER_HOST): No such file or directory; does dockerd run?" in done.stderr


def test_the_usual_places_are_tried_and_podmans_socket_is_passed_over(stack, app, tmp_path):
    # Whatever engine this machine has in a usual place is out of sight.
    run = os.path.realpath("/var/run")
    alone = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {run} && exec "$@"', "-", str(BINARY)]
    runtime = tmp_path / "run"
    runtime.mkdir()
    (runtime / "docker.sock").symlink_to(stack.docker.socket)
    done = subprocess.run([*alone, "build", "-t", "verb/usual", str(app)], capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)})
    assert done.returncode == 0 and f"the Docker Engine at {runtime}/docker.sock" in done.stderr.splitlines()[0]
    (tmp_path / "podman").mkdir()
    os.link(stack.docker.socket, tmp_path / "podman" / "podman.sock")
    (runtime / "docker.sock").unlink()
    (runtime / "docker.sock").symlink_to(tmp_path / "podman" / "podman.sock")
    done = subprocess.run([*alone, "build", str(app)], capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)})
    assert done.returncode == 1 and "Podman" in done.stderr and "/run/buildkit/buildkitd.sock" in done.stderr


@pytest.mark.both_engines
def test_hostile_folders_stay_within_themselves(stack, build, app, tmp_path):
    write(tmp_path, {"outside/secret": "not yours"})
    write(app, {"Dockerfile": "FROM busybox\nCOPY . /app\n", ".git/config": "hidden"})
    (app / "link").symlink_to(tmp_path / "outside")
    (app / "up").symlink_to("../outside/secret")
    (app / "loop").symlink_to("loop")
    os.mkfifo(app / "fifo")
    build("-t", "verb/hostile", app)
    files = files_in_image(stack, "verb/hostile")
    assert not [name for name, text in files.items() if text in (b"not yours", b"hidden")]
    write(app, {"Dockerfile": "FROM busybox\nCOPY up /app/\n"})
    assert b"not yours" not in build(app, code=1).stderr.encode()
    (app / "Dockerfile").unlink()
    (app / "Dockerfile").symlink_to("../outside/secret")
    assert "link out of the folder" in build(app, code=1).stderr


def test_a_folder_without_dockerfile_says_what_can_be_done(build, tmp_path):
    write(tmp_path / "bare", {"index.js": "1"})
    done = build("--output", "type=docker,dest=bare.tar", tmp_path / "bare", code=1)
    assert "--push" in done.stderr and "no Dockerfile" in done.stderr and "repository" not in done.stderr
    write(tmp_path / "bare", {"Dockerfile.prod": "FROM busybox\nCOPY nothing /\n"})
    done = build(tmp_path / "bare", code=1)
    assert "the folder has Dockerfile.prod: --file names the one to build from" in done.stderr
    done = build("--file", "Dockerfile.prod", tmp_path / "bare", code=1)
    assert '"nothing" not found in the folder' in done.stderr and "repository" not in done.stderr


@pytest.mark.every_engine
def test_without_a_dockerfile_buildpacks_make_an_image_of_the_engine(stack, servers, build, tmp_path):
    images = RegistryClient(f"127.0.0.1:{servers.registry.port}")
    builder = cnb.push_builder(images, cnb.Builder(name="cnb/spy", order=["test/spy", "test/node", "test/static"]))
    lifecycle = cnb.push_lifecycle(images).replace(cnb.VERSION, "{version}")
    node = write(tmp_path / f"node{os.getpid()}", NODE_APP)
    spied = write(tmp_path / f"spied{os.getpid()}", {"spy": ""})
    for trusted in ({}, {"CNB_TRUSTED_BUILDERS": "acme/other", "CNB_LIFECYCLE_IMAGE": lifecycle}):
        settings = {"CNB_BUILDER": builder, **trusted}
        first = build(node, **settings).stderr
        image = keeper_of(stack).json("GET", f"/images/{node.name}:latest/json")
        assert f"Digest  {image['Id']}" in first and "Loaded into the Docker Engine" in first, first
        assert "looking for the last image" not in first  # No registry is asked for what has a name here only.
        assert image["Config"]["Entrypoint"] == ["/cnb/process/web"]
        assert files_in_image(stack, node.name)["workspace/public/index.html"].decode() == NODE_APP["public/index.html"]
        # The Engine's socket is the lifecycle's alone.
        log = build(spied, **settings).stderr
        assert "spy: uid=1001" in log and "SPY FOUND" not in log, log
    # Layers of the last image are used again.
    assert "reusing layer" in build(node, CNB_BUILDER=builder).stderr
    failed = build(write(tmp_path / "none", {"README": "x"}), code=1, CNB_BUILDER=builder)
    assert "No buildpack recognises" in failed.stderr


@pytest.mark.both_engines
def test_a_hostile_image_writes_nothing_outside_the_folder(build, app, tmp_path):
    write(tmp_path, {"outside/file": "untouched"})
    write(app, {"Dockerfile": f"FROM busybox\nRUN ln -s {tmp_path}/outside /way && ln -s ../../outside /up && mkdir -p /x/y\n"})
    build("-o", f"type=local,dest={tmp_path / 'out'}", app)
    assert os.readlink(tmp_path / "out" / "way") == f"{tmp_path}/outside"
    # What was there before is not followed either.
    (tmp_path / "out" / "x" / "y").rmdir()
    (tmp_path / "out" / "x" / "y").symlink_to(tmp_path / "outside")
    failed = build("-o", f"type=local,dest={tmp_path / 'out'}", app, code=1)
    assert "out/x/y" in failed.stderr
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["file"]


@pytest.mark.both_engines
def test_push_goes_to_any_registry_with_the_logins_of_docker(stack, build, app, tmp_path):
    # Plain HTTP is spoken on loopback only.
    host = stack.registry.host
    done = build("--push", f"{host}/verb/pushed:1", app)
    assert f"Pushed to {host}/verb/pushed:1" in done.stderr
    _, headers, _ = RegistryClient(host).call("HEAD", "/v2/verb/pushed/manifests/1", headers={
        "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"})
    assert f"Digest  {headers['docker-content-digest']}" in done.stderr
    private = f"verb/private-{app.name}"
    # The registry of the platform's stand-in wants a login: a helper has it.
    helper = tmp_path / "bin" / "docker-credential-kit"
    write(tmp_path, {"bin/docker-credential-kit":
                     "#!/bin/sh\ncat >/dev/null\n"
                     f"echo '{json.dumps({'Username': 'AWS', 'Secret': stack.ecr.token()})}'\n",
                     "docker/config.json": json.dumps({"credHelpers": {stack.ecr.host: "kit"}})})
    helper.chmod(0o755)
    stack.ecr.api("CreateRepository", repositoryName=private)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    refused = build("--push", f"{stack.ecr.host}/{private}:1", app, code=1, PATH=path)
    assert "#" in refused.stderr
    build("--push", f"{stack.ecr.host}/{private}:1", app, PATH=path, DOCKER_CONFIG=str(tmp_path / "docker"))
    # What lies beside it is the same person's: it can be a base.
    write(app, {"Dockerfile": f"FROM {stack.ecr.host}/{private}:1\nRUN cat /mode\n"})
    assert "\nplain\n" in build("--push", f"{stack.ecr.host}/{private}:2", app, PATH=path,
                                DOCKER_CONFIG=str(tmp_path / "docker")).stderr


@pytest.mark.both_engines
def test_one_build_may_have_several_names(stack, build, app, tmp_path):
    names = [f"verb/many-{app.name}:1", f"verb/many-{app.name}:latest", f"verb/other-{app.name}:x"]
    options = [word for name in names for word in ("-t", name)]
    done = build(*options, app)
    assert f"Image   {', '.join(names)}" in done.stderr
    assert len({stack.docker.json("GET", f"/images/{name}/json")["Id"] for name in names}) == 1
    for name in names:
        stack.docker.call("DELETE", f"/images/{name}")
    archive = tmp_path / "named.tar"
    build(*options, "-o", f"type=docker,dest={archive}", app)
    manifest = json.loads(files_of(archive.read_bytes())["manifest.json"])
    assert sorted(name.removeprefix("docker.io/") for image in manifest for name in image["RepoTags"]) == sorted(names)
    pushed = [f"{stack.registry.host}/{name}" for name in names]
    told = build("--json", *[word for name in pushed for word in ("--push", name)], app)
    end = json.loads(told.stdout.splitlines()[-1])
    assert end["images"] == pushed and end["image"] == pushed[0]
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"}
    for name in names:
        path, tag = name.rsplit(":", 1)
        _, headers, _ = RegistryClient(stack.registry.host).call("HEAD", f"/v2/{path}/manifests/{tag}", headers=accept)
        assert headers["docker-content-digest"] == end["digest"]


@pytest.mark.both_engines
def test_a_registry_that_is_away_fails_the_build_soon(build, app):
    # BUILD_TIMEOUT is half an hour; `build` waits two minutes.
    host = f"127.0.0.1:{free_port()}"
    failed = build("--push", f"{host}/verb/away:1", app, code=1)
    assert f"ERROR: The registry {host} cannot be reached: connection refused" in failed.stderr
    assert f"The registry {host} does not answer; trying again" in failed.stderr and "docker login" not in failed.stderr


@pytest.mark.both_engines
def test_a_repository_is_built_as_its_branch_its_tag_or_its_default(stack, build):
    repository = stack.git.repository({"Dockerfile": "FROM busybox\nCOPY a.txt /\n", "a.txt": "first"})
    first = repository.git("rev-parse", "HEAD")
    repository.commit({"a.txt": "newer"})
    repository.git("push", "--quiet", str(repository.bare), "HEAD:refs/heads/trunk", f"{first}:refs/tags/v1")
    repository.delete_branch("main")
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/trunk"], cwd=repository.bare, env=repository.env, check=True)
    provider = stack.git.provider()
    user, password = (urllib.parse.quote(provider[field], safe="") for field in ("username", "password"))
    url = f"{stack.git.url}/{repository.name}.git".replace("://", f"://{user}:{password}@")
    done = build("-t", "verb/git:1", url)
    assert files_in_image(stack, "verb/git:1")["a.txt"] == b"newer"
    assert provider["password"] not in done.stderr and password not in done.stderr
    for number, ref in enumerate((first, "v1")):
        build("-t", f"verb/git:ref{number}", f"{url}#{ref}")
        assert files_in_image(stack, f"verb/git:ref{number}")["a.txt"] == b"first"
    repository.commit({"services/web/Dockerfile": "FROM busybox\nCOPY . /app\n", "services/web/b.txt": "inner"})
    repository.git("push", "--quiet", str(repository.bare), "HEAD:refs/heads/trunk")
    for ref in ("#:services/web", "#trunk:/services/web/"):
        build("-t", "verb/git:inner", url + ref)
        inner = files_in_image(stack, "verb/git:inner")
        assert inner["app/b.txt"] == b"inner" and "a.txt" not in inner and "app/a.txt" not in inner
    assert "no folder 'a.txt/x' in this commit" in build(f"{url}#trunk:a.txt/x", code=1).stderr
    missing = build(f"{url}#nowhere", code=1)
    assert "'nowhere' does not exist" in missing.stderr and "'trunk'" in missing.stderr
    assert "refused the user name or the password" in build(url.replace(password, "wrong"), code=1).stderr


def test_explain_says_what_would_be_built_and_runs_nothing(build, app, tmp_path):
    write(app, {".dockerignore": "# mine\nnode_modules\n*.log\n!keep.log\n", "node_modules/a/b.js": "12345", "node_modules/c.js": "1",
                "x.log": "123", "keep.log": "1", "Dockerfile":
                "# syntax=docker/dockerfile:1\nFROM node:20 AS build\nRUN --mount=type=cache,target=/root/.npm npm ci\n"
                "FROM nginx\nCOPY --from=build /a /b\nCOPY --from=busybox /bin/sh /\n"})
    nothing = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "BUILDKIT_HOST": ""}
    text = build("--explain", app, **nothing).stdout
    assert "Dockerfile   Dockerfile" in text and "2 files, 6 B  by .dockerignore:2 node_modules" in text
    assert "Cached steps known to the engine alone" in text
    assert "Cached steps none (--no-cache)" in build("--explain", "--no-cache", app, **nothing).stdout
    told = json.loads(build("--explain", "--progress=json", app, **nothing).stdout)
    assert told == json.loads(build("--explain", "--json", app, **nothing).stdout)
    assert told["left_out"] == [{"line": 2, "rule": "node_modules", "files": 2, "bytes": 6}, {"line": 3, "rule": "*.log", "files": 1, "bytes": 3}]
    assert told["context"]["files"] == 4 and told["ignore_file"] == ".dockerignore" and told["frontend"] == "docker/dockerfile:1"
    assert [(image["name"], image["line"]) for image in told["images"]] == [("node:20", 2), ("nginx", 4), ("busybox", 6)]
    assert [cache["line"] for cache in told["caches"]] == [3]
    # .env is one file more, where it is written.
    sent = [json.loads(build("--explain", "--json", "--env", "A=b", app, ENV_DELIVERY=ways, **nothing).stdout)["context"]["files"]
            for ways in ("file,secret,arg", "secret,arg")]
    assert sent == [5, 4]
    # Options go before variables, and those before the file.
    write(app, {"deployra.toml": "[build]\ntarget = 'file'\nno_cache = true\nplatform = 'linux/arm64'\n"})
    decided = json.loads(build("--explain", "--json", "--target", "build", "--env", "DEPLOYRA_BUILD_PLATFORM=linux/amd64", app, **nothing).stdout)
    assert [tuple(knob.values()) for knob in decided["decided"]] == [
        ("no_cache", "true", "deployra.toml:3"), ("platform", "linux/amd64", "DEPLOYRA_BUILD_PLATFORM"), ("target", "build", "--target")]
    (app / "deployra.toml").unlink()
    (app / ".dockerignore").unlink()
    assert json.loads(build("--explain", "--progress=json", app, **nothing).stdout)["ignore_file"] == ""
    (app / "Dockerfile").unlink()
    without = build("--explain", "--builder", "some/builder", app, **nothing)
    assert "some/builder" in without.stdout and "No Dockerfile" in without.stderr
