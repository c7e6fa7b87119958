"""What people touch first: the lists of packages, the image, the unit and its folders, the examples of settings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from kit.debian import closure, files_of, root_of
from kit.process import free_port, wait_for
from kit.worker import BINARY, ROOT

PACKAGING = ROOT / "packaging"


def listed(name: str) -> list[str]:
    return (PACKAGING / name).read_text().split()


def test_the_list_for_building_has_every_header_and_no_test_tool():
    """What `packaging/Dockerfile` installs is what this build has used."""
    deps = subprocess.run(["ninja", "-C", str(BINARY.parent), "-t", "deps"], check=True, capture_output=True, text=True).stdout
    used, ours = set(), False
    for line in deps.splitlines():
        if not line.startswith(" "):
            ours = line.startswith("src/")
        elif ours and line.strip().startswith("/usr/"):
            used.add(os.path.realpath(line.strip()))
    have = {os.path.realpath(path) for path in files_of(closure(listed("build-packages"))) if "/include/" in path}
    assert len(used) > 500
    assert used - have == set()


@pytest.fixture(scope="module")
def image(servers, tmp_path_factory):
    """packaging/Dockerfile behind its first stage, whose files are those under test. Nothing can be pulled here: its
    base is made of this machine's packages of the same list, which apt finds installed."""
    engine = servers.docker
    stages = (PACKAGING / "Dockerfile").read_text().split("\nFROM ")
    docker = ["docker", "-H", engine.host]
    subprocess.run([*docker, "import", "-", "debian:12-slim"], input=root_of(listed("runtime-packages")), check=True,
                   capture_output=True)
    folder = tmp_path_factory.mktemp("image")
    made = ["deployra-builder", "deployra-builder.debug", "deployra-builder.spdx.json"]
    (folder / "Dockerfile").write_text("\nFROM ".join(
        [f"FROM scratch AS build\nCOPY {' '.join(made)} /src/build/release/", *stages[2:]]))
    for name in made:
        shutil.copy(BINARY.with_name(name), folder)
    shutil.copytree(PACKAGING, folder / "packaging")
    built = subprocess.run([*docker, "build", "-q", "--network=none", "-t", "packaged:1", str(folder)], capture_output=True,
                           text=True)
    assert built.returncode == 0, built.stderr
    return engine, "packaged:1"


@contextlib.contextmanager
def container_of(image, stack) -> Iterator[str]:
    engine, name = image
    environment = {**stack.environment, "HTTP_LISTEN": f"127.0.0.1:{free_port()}", "GIT_NETWORK_POLICY": "any",
                   "MIN_FREE_DISK": "0", "MAX_MEMORY_PRESSURE": "0"}
    os.chmod(engine.socket, 0o666)  # In place of the socket's group.
    identity = engine.json("POST", "/containers/create", {
        "Image": name, "Env": [f"{key}={value}" for key, value in environment.items()],
        "HostConfig": {"NetworkMode": "host", "Binds": [f"{engine.socket}:{engine.socket}"], "ReadonlyRootfs": True,
                       "Tmpfs": {"/tmp": ""}, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}})["Id"]
    try:
        engine.json("POST", f"/containers/{identity}/start")
        yield identity
    finally:
        engine.call("DELETE", f"/containers/{identity}?force=1&v=1")


def test_the_compile_stage_needs_nothing_but_its_packages(tmp_path):
    """Its RUN lines, in a root file system that has the packages of its list and nothing else, without a network. Of the
    sources one for each library is compiled; PACKAGING=all compiles them all (ten minutes on two cores)."""
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    subprocess.run(["tar", "-C", str(root), "-xf", "-"], input=root_of(listed("build-packages")), check=True)
    sources = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, sources.split("\0")):
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / "src" / name)
    stage = (PACKAGING / "Dockerfile").read_text().split("\nFROM ")[1]
    lines = re.findall(r"^RUN (.*)$", stage.replace("\\\n", " "), re.M)
    build = "cmake --build --preset release"
    assert len(lines) == 2 and "apt-get install" in lines[0] and lines[1].endswith(f"&& {build}")

    def run(line: str) -> str:
        # protoc finds its own files by /proc; the mount ends with the command.
        inside = 'mount --rbind /proc "$0/proc" && exec chroot "$0" sh -c "$1"'
        done = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", inside, str(root), line], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    assert " 0 newly installed" in run(lines[0])
    if os.environ.get("PACKAGING") == "all":
        run(lines[1])
        assert "deployra-builder" in run("/src/build/release/deployra-builder --version")
        return
    of = {"app": ("process/log_sink",), "app program": ("cli/program", "process/watchdog"), "adapters/http": ("client",),
          "adapters/redis": ("client/connection", "client/transport"), "adapters/attestation": ("encrypted_key",),
          "adapters/buildkit": ("diagnosis/frontend", "client/grpc_library"), "ports": ("metrics",), "domain": ("buildpacks/toml",)}
    objects = [f"src/{place.split()[0]}/CMakeFiles/builder_{place.replace(' ', '/').split('/')[-1]}.dir/{name}.cpp.o"
               for place, names in of.items() for name in names]
    run(f"{lines[1]} --target {' '.join(objects)}")
    # And what the program is linked with is there.
    link = run("ninja -C /src/build/release -t commands deployra-builder").splitlines()[-1]
    libraries = sorted(set(re.findall(r"(?<= )(?:-l\S+|/\S+\.(?:so|a))(?= |$)", link)))
    assert len(libraries) > 10
    run(f"echo 'int main() {{}}' | c++ -x c++ - -x none -o /tmp/linked {' '.join(libraries)}")


def test_the_image_runs_as_its_own_user_is_healthy_and_drains(image, stack, repo):
    engine, name = image
    settings = engine.json("GET", f"/images/{name}/json")["Config"]
    assert settings["User"] == "deployra-builder" and settings["StopSignal"] == "SIGTERM"
    assert settings["Healthcheck"]["Test"] == ["CMD", "deployra-builder", "health"]
    with container_of(image, stack) as identity:
        job = stack.api.enqueue(stack.job(repo().name))
        assert stack.api.wait_end(job) == "BUILDED", engine.logs(identity)

        def run(*command: str) -> tuple[int, str]:
            started = engine.json("POST", f"/containers/{identity}/exec",
                                  {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True})
            _, raw = engine.call("POST", f"/exec/{started['Id']}/start", json.dumps({"Detach": False}).encode(),
                                 {"Content-Type": "application/json"})
            return engine.json("GET", f"/exec/{started['Id']}/json")["ExitCode"], raw[8:].decode(errors="replace")

        assert run("deployra-builder", "health")[0] == 0
        assert run("id", "-un")[1].strip() == "deployra-builder"
        assert "SPDX-2.3" in run("cat", "/usr/share/doc/deployra-builder/deployra-builder.spdx.json")[1]
        code, text = run("deployra-builder", "config")
        assert code == 0 and re.search(r"^WORK_DIR +/work ", text, re.M), text
        engine.call("POST", f"/containers/{identity}/stop?t=60")
        assert engine.json("GET", f"/containers/{identity}/json")["State"]["ExitCode"] == 0, engine.logs(identity)
        assert "drained" in engine.logs(identity)


def test_docker_stop_hands_running_builds_over(image, stack, make_worker, repo):
    """Docker gives 10 s, then it kills: by then the job is in the queue, its attempt uncounted, and another worker has it."""
    engine, _ = image
    with container_of(image, stack) as identity:
        slow = {"Dockerfile": f"FROM busybox\nRUN echo now-running && sleep 15 && echo {time.monotonic_ns()}\n"}
        job = stack.api.enqueue(stack.job(repo(slow).name))
        stack.api.wait_output(job, "now-running")
        other = make_worker(MAX_PARALLEL_BUILDS="1")
        begin = time.monotonic()
        engine.call("POST", f"/containers/{identity}/stop")
        assert engine.json("GET", f"/containers/{identity}/json")["State"]["ExitCode"] == 0, engine.logs(identity)
        wait_for(lambda: f"deployment={job} " in other.text() and ", attempt 1, " in other.text(), 10, "another worker has it")
        assert time.monotonic() - begin < 25  # The exit code says that Docker did not have to kill it.
        assert stack.api.wait_end(job) == "BUILDED"
        assert "the worker that had it was lost" not in stack.api.log_text(job)


def test_what_is_installed_makes_the_units_user_and_folders(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "group").write_text("root:x:0:\n")
    readme = (ROOT / "README.md").read_text()
    for command in ("cmake --install build/release --prefix /usr", "systemd-sysusers",
                    "systemd-tmpfiles --create deployra-builder.conf"):
        assert f"\n{command}\n" in readme
        program, *arguments = command.split()
        subprocess.run([program, *arguments] + [f"--root={root}"] * program.startswith("systemd"), check=True,
                       capture_output=True, cwd=ROOT, env={**os.environ, "DESTDIR": str(root)})
    user = next(line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines() if line.startswith("deployra-builder:"))
    state, settings = root / "var/lib/deployra-builder", root / "etc/deployra-builder/env"
    assert (state.stat().st_uid, state.stat().st_mode & 0o777) == (int(user[2]), 0o700)
    assert settings.read_text() == (PACKAGING / "env.example").read_text()
    assert (settings.stat().st_uid, settings.stat().st_gid, settings.stat().st_mode & 0o777) == (0, int(user[3]), 0o640)

    unit = (root / "usr/lib/systemd/system/deployra-builder.service").read_text()
    checked = tmp_path / "deployra-builder.service"
    checked.write_text(unit.replace("/usr/bin/deployra-builder", str(root / "usr/bin/deployra-builder")))
    done = subprocess.run(["systemd-analyze", "verify", str(checked)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    paths = re.findall(r"(?:WorkingDirectory=|EnvironmentFile=|WORK_DIR=|HISTORY_DIR=)(/\S+)", unit)
    assert len(paths) == 4 and all((root / path.lstrip("/")).exists() for path in paths)
    grace = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert grace > 600 and f"--stop-timeout {grace}" in (PACKAGING / "Dockerfile").read_text()


def config_rows(**environment: str) -> dict[str, str]:
    """Every setting and its default, as the binary has them."""
    out = subprocess.run([str(BINARY), "config", "--json"], capture_output=True, text=True, cwd="/",
                         env={"PATH": os.environ["PATH"], "API_KEY": "some-api-key", **environment}).stdout
    return {row["name"]: row["value"] for row in json.loads(out)}


def test_the_settings_agree_wherever_they_stand():
    """The table in the binary, README's, and both examples: the same names, and the same defaults where one is given."""
    rows = config_rows()
    readme = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("| `"):
            names, defaults, _ = line.strip("|").split("|", 2)
            plain = re.fullmatch(r" (?:(?:`[^`]*`|–)(?:, )?)+ ", defaults)
            values = re.findall(r"`([^`]*)`|–", defaults) if plain else []
            for index, name in enumerate(re.findall(r"`([A-Z][A-Z0-9_]+)`", names)):
                readme[name] = values[index] if index < len(values) else None
    assert set(readme) == set(rows)
    for name, value in readme.items():
        if value:
            assert rows[name] == value, name

    # What depends on the machine, what limits where the default does not, and the original's own example.
    chosen = ("MAX_PARALLEL_BUILDS", "BUILD_MEMORY", "BUILD_CPUS", "BUILD_PIDS", "WORK_DIR")
    example = (PACKAGING / "env.example").read_text()
    assert "API_URL=http://127.0.0.1:3000/api\n" in example and "#WORK_DIR=/tmp/builds\n" in example
    assert (ROOT / "env.example").read_text() == example
    for line in example.splitlines():
        if match := re.fullmatch(r"#?([A-Z][A-Z0-9_]+)=(.*)", line):
            name, value = match.groups()
            assert name in rows, line
            # What stands there without '#', or stands for a default, is one.
            if rows[name] and value and name not in chosen:
                assert value == rows[name], line
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.M)) == set(rows)


def test_the_version_is_newer_than_the_one_the_documents_call_past():
    version = subprocess.run([str(BINARY), "--version"], capture_output=True, text=True).stdout.split()[1]
    texts = [path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    past = [tuple(map(int, found.split("."))) for text in texts for found in re.findall(r"[Vv]ersion (\d+\.\d+)", text)]
    assert past and tuple(map(int, version.split("."))) > max(past)
