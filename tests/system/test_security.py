"""Hostile repositories and jobs, and every way to fail: nothing of the host is reached, nothing stays behind."""

from __future__ import annotations

import base64
import os
import urllib.parse

from kit import invariants
from kit.git_server import PASSWORD, USER
from kit.large_files import ATTRIBUTES
from kit.platform_api import API_KEY
from kit.process import wait_for
from kit.registry import SECRET
from kit.stack import REDIS_PASSWORD
from kit.worker import ArgvSampler

FORMS_OF_PASSWORD = [PASSWORD, urllib.parse.quote(PASSWORD, safe=""), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]


def failing_jobs(stack, repo):
    """Every phase a deployment can fail in, by the words of its error."""
    good = repo()
    return {
        "refused the user name or the password": stack.job(good.name, gitProvider=stack.git.provider(password="wrong")),
        "not found": stack.job("team/nothing"),
        "does not exist": stack.job(good.name, branch="nope"),
        "not in this repository": stack.job(good.name, commitSha="1" * 40),
        "no/builder": stack.job(good.name, runtimeFilePath="no/such"),
        "leaves the repository": stack.job(good.name, runtimeFilePath="../../etc/passwd"),
        "BOGUS": stack.job(repo({"Dockerfile": "FROM busybox\nBOGUS\n"}).name),
        "exit code 3": stack.job(repo({"Dockerfile": "FROM busybox\nRUN exit 3\n"}).name),
        "missing.txt": stack.job(repo({"Dockerfile": "FROM busybox\nCOPY missing.txt /\n"}).name),
        "no-such-base": stack.job(repo({"Dockerfile": "FROM no-such-base:1\n"}).name),
        "'branch'": stack.job(good.name, branch=7),
        "network policy": stack.job(good.name, gitProvider=stack.git.provider(url="http://169.254.169.254")),
    }


def test_no_way_to_fail_leaves_anything_behind(stack, make_worker, repo, tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()
    worker = make_worker(TMPDIR=str(temp), HOME=str(temp))
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    images = stack.engine.json("GET", "/images/json")
    containers = stack.engine.json("GET", "/containers/json?all=1")
    for round_number in range(2):
        jobs = failing_jobs(stack, repo)
        for words, job in jobs.items():
            stack.api.enqueue(job)
        for words, job in jobs.items():
            identity = str(job["deploymentId"])
            assert stack.api.wait_end(identity) == "FAILED", stack.api.log_text(identity)
            assert words in stack.api.error_of(identity)
        wait_for(lambda: worker.metric("deployra_builder_builds_running") == 0, 20)
        if round_number == 0:
            before, threads = worker.open_files(), worker.threads()
    wait_for(lambda: not worker.build_folders() and not worker.children(), 10, "folders and children gone")
    worker.wait_for_closed(before, stack.redis.port, stack.api.port, stack.ecr.port)
    wait_for(lambda: worker.threads() <= threads + 2, 20, f"threads back to {threads}")
    assert os.listdir(temp) == []
    names = lambda listed: {tag for image in listed for tag in image.get("RepoTags") or []}  # noqa: E731
    assert names(stack.engine.json("GET", "/images/json")) <= names(images)
    assert stack.engine.json("GET", "/containers/json?all=1") == containers
    assert stack.redis.client.llen("builder-queue") == 0
    assert worker.stop() == 0
    assert os.listdir(temp) == []


def test_the_git_password_is_in_no_argument_file_or_layer_with_submodules_and_large_files(stack, worker, repo):
    content = os.urandom(30_000)
    inner = repo({"inner.txt": "from the submodule", ".gitattributes": ATTRIBUTES, "lib.bin": stack.git.large_files.add(content)})
    outer = repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", ".dockerignore": "nothing\n", ".gitattributes": ATTRIBUTES,
                  "big.bin": stack.git.large_files.add(content)})
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner.bare), "lib")
    outer.git("config", "-f", ".gitmodules", "submodule.lib.url", f"../{inner.name.split('/')[1]}.git")
    outer.commit_all()
    with ArgvSampler() as argv:
        identity = stack.api.enqueue(stack.job(outer.name))
        assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert [line for line in argv.seen if line.startswith("git ")], "the sampler saw no git"
    assert "Fetching large files" in stack.api.log_text(identity)
    image = f"{stack.ecr.host}/deployra/{stack.api.deployments[identity].service}:{identity}"
    stack.engine.pull(image, "AWS", stack.ecr.token())
    _, layers = stack.engine.call("GET", f"/images/{image}/get")
    found = invariants.secrets_in([*FORMS_OF_PASSWORD, API_KEY, SECRET, REDIS_PASSWORD],
                                  {"argv": "\n".join(line for line in argv.seen if "AKIDEXAMPLE:" not in line).encode(),
                                   "image": layers, "log": worker.text().encode()}, worker.work_dir)
    assert found == []
    text = stack.engine.run_output(image, ["sh", "-c", "cd /app; sha256sum big.bin lib/lib.bin; cat lib/inner.txt; find / -name .git"])
    assert text.split("\n")[0].split()[0] == text.split("\n")[1].split()[0] and "from the submodule" in text
    assert ".git" not in text
    stack.engine.call("DELETE", f"/images/{image}?force=1")


def test_odd_names_modes_and_links_reach_the_image_as_they_are(stack, worker, repo):
    repository = repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", ".dockerignore": "nothing\n"})
    work = os.fsencode(repository.work)
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b" lead", b"$(id)", "ü€".encode(), b"x" * 255, b"\\back"):
        with open(os.path.join(work, name), "wb") as file:
            file.write(name)
    os.chmod(os.path.join(work, b"-rf"), 0o755)
    deep = "/".join(f"d{number}" for number in range(150))
    (repository.work / deep).mkdir(parents=True)
    (repository.work / deep / "leaf").write_text("deep")
    for name, target in (("loop", "loop"), ("dangling", "nowhere"), ("up", ".."), ("abs", "/etc/hostname"), ("ring1", "ring2"),
                         ("ring2", "ring1")):
        (repository.work / name).symlink_to(target)
    repository.commit_all()
    identity = stack.api.enqueue(stack.job(repository.name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    text = stack.output_of(identity, ["sh", "-c", r"""cd /app; for f in * .d*; do
        [ -h "$f" ] && echo "link $f $(readlink "$f")" || { [ -f "$f" ] && echo "file $(stat -c %a "./$f") $(printf %s "$f" | base64 | tr -d '\n')"; }
        done; cat """ + deep + "/leaf"])
    for name in (b"new\nline", b"\xff\xfe", b" lead", b"$(id)", "ü€".encode(), b"x" * 255, b"\\back"):
        assert f"file 644 {base64.b64encode(name).decode()}\n" in text, name
    assert f"file 755 {base64.b64encode(b'-rf').decode()}\n" in text
    for link in ("loop loop", "dangling nowhere", "up ..", "abs /etc/hostname", "ring1 ring2"):
        assert f"link {link}\n" in text
    assert text.endswith("deep")


def test_the_platform_is_left_alone_for_as_long_as_it_asks(stack, worker, repo):
    stack.api.faults[:] = [429]
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED"
    posts = [entry for entry in stack.api.record if f"/{identity}/" in entry.path]
    assert posts[0].answer == 429 and posts[1].at - posts[0].at >= 0.95  # It answers Retry-After: 1.
