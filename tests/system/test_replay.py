"""`replay`: a deployment of the history is built again as it was, and neither queue nor platform hears of it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
import urllib.parse

import pytest
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.git_server import PASSWORD, USER
from kit.images import PATH, Layer, RegistryClient, busybox_layer
from kit.process import wait_for
from kit.worker import BINARY

TOKEN = "a-token-that-no-history-holds"
DOCKERFILE = ("FROM {base}:1\nARG MODE=none\nCOPY --from={base}-copied /which /copied\nCOPY . /app\nRUN cat /which /copied > /app/which && echo $MODE > /app/mode\n"
              "RUN --mount=type=secret,id=NPM_TOKEN cat /run/secrets/NPM_TOKEN > /app/token || true\n")


def push_bases(stack, name: str, which: str) -> None:
    """One to start from, and one to copy from."""
    for image in (f"{name}:1", f"{name}-copied:latest"):
        RegistryClient(stack.registry.host).push_image(image, [busybox_layer(), Layer().file("/which", which)], {"Env": [PATH], "Cmd": ["sh"]})


def read_tar(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read().decode(errors="replace") for member in archive
                if member.isfile() and member.name.startswith("app/")}


@pytest.fixture
def verb(stack, tmp_path):
    """A verb as a person starts it who may look into the worker's history and use the same engine."""
    engine = {"DOCKER_HOST": stack.docker.host}
    if isinstance(stack.engine, Buildkitd):
        engine["BUILDKIT_HOST"] = stack.engine.host

    def verb(*arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[bytes]:
        temporary = tmp_path / "tmp"
        temporary.mkdir(exist_ok=True)
        done = subprocess.run([str(BINARY), *arguments], cwd=tmp_path, capture_output=True, timeout=120,
                              env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary), **stack.redis.environment, **engine, **environment})
        assert done.returncode == code, (done.stdout, done.stderr.decode())
        assert list(temporary.iterdir()) == []
        return done

    return verb


@pytest.mark.both_engines
def test_a_deployment_is_built_again_as_it_was(stack, make_worker, repo, verb):
    base = f"team/replay-{stack.engine.name}"
    push_bases(stack, base, "of then")
    worker = make_worker(BUILD_NETWORK_POLICY="any", ENV_DELIVERY="secret,arg")
    repository = repo({"Dockerfile": DOCKERFILE.format(base=f"{stack.registry.host}/{base}"), "a.txt": "of then\n"})
    identity = stack.api.enqueue(stack.job(repository.name, environmentVariables=[{"key": "MODE", "value": "fast"},
                                                                                  {"key": "NPM_TOKEN", "value": TOKEN}]))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    here = {"HISTORY_DIR": str(worker.work_dir / "history"), "GIT_NETWORK_POLICY": "any", "BUILD_NETWORK_POLICY": "any"}
    (run,) = wait_for(lambda: [run for run in json.loads(verb("show", identity, "--json", **here).stdout)["history"] if run["ended"]],
                      30, "the end in the history")
    pins = {pin["reference"]: pin["digest"] for pin in run["bases"]}
    assert {name.removesuffix(":latest") for name in pins} == {f"{stack.registry.host}/{base}{which}" for which in (":1", "-copied")}
    # Engine 20.10 does not tell which image it copies from.
    pins = {name: digest for name, digest in pins.items() if digest}
    keeps_pins = isinstance(stack.engine, Buildkitd)
    assert len(pins) == (2 if keeps_pins else 1) and all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in pins.values())
    assert {"name": "ENV_DELIVERY", "value": "secret,arg"} in run["settings"]
    assert TOKEN.encode() not in b"".join(file.read_bytes() for file in (worker.work_dir / "history").iterdir())

    worker.stop()
    repository.commit({"a.txt": "of now\n"})
    push_bases(stack, base, "of now")
    queue, told = stack.redis.dump(), stack.api.all_bytes()
    login = f"{stack.git.url}/{repository.name}.git".replace("://", f"://{urllib.parse.quote(USER, safe='')}:{urllib.parse.quote(PASSWORD, safe='')}@")
    replay = ["replay", identity, "--repository", login]
    done = verb(*replay, "--env", "MODE=fast", "--output", "-", "--progress=plain", **here)
    files, said = read_tar(done.stdout), done.stderr.decode()
    assert files == {"app/a.txt": "of then\n", "app/mode": "fast\n", "app/token": "",
                     "app/which": "of thenof then" if keeps_pins else "of thenof now"}, "no .env either: ENV_DELIVERY is the worker's"
    assert f"Replaying {identity}: attempt 1 on " in said and "these are given: MODE" in said
    assert "these are not given, and a history holds no values: NPM_TOKEN (--env, --env-file)" in said
    assert all(f"With {name}@{digest}\n" in said for name, digest in pins.items()) and PASSWORD not in said
    assert ("takes the pinned version where a FROM names them" in said) != keeps_pins
    now = verb(*replay, "--new-bases", "--env", f"NPM_TOKEN={TOKEN}", "--env", "MORE=1", "--output", "-", **here)
    files, said = read_tar(now.stdout), now.stderr.decode()
    assert (files["app/which"], files["app/mode"], files["app/token"]) == ("of nowof now", "none\n", TOKEN)
    assert "taken as they are now: " in said and "did not have them: MORE" in said

    # Without options it becomes an image of the Docker Engine, with a name of its own.
    loaded = verb(*replay, "-q", **here).stdout.decode().strip()
    assert stack.docker.json("GET", f"/images/replay:{identity}/json")["Id"] == loaded

    explained = json.loads(verb(*replay, "--explain", "--json", **here).stdout)
    assert explained["replay"]["missing"] == ["MODE", "NPM_TOKEN"] and {pin["name"]: pin["digest"] for pin in explained["replay"]["pins"]} == pins
    assert explained["source"].endswith(f" at {run['commit']}") and explained["result"] == f"loaded as replay:{identity}"
    assert re.search(r"^Replay +Replaying ", verb(*replay, "--explain", **here).stdout.decode(), re.M)
    assert (stack.redis.dump(), stack.api.all_bytes()) == (queue, told), "nobody was told"

    assert b"no history has deployment d-nobody" in verb("replay", "d-nobody", code=1, **here).stderr
    assert b"no history has this attempt of deployment" in verb("replay", identity, "--attempt", "7", code=1, **here).stderr
    assert b"leave '#' and what follows away" in verb("replay", identity, "--repository", login + "#main", code=2, **here).stderr
    assert b"--repository takes the address" in verb("replay", identity, "--repository", ".", code=2, **here).stderr
    refused = verb("replay", identity, code=1, **here).stderr.decode()
    assert "login" in refused or "credentials" in refused or "password" in refused
    private = verb(*replay, code=1, HISTORY_DIR=here["HISTORY_DIR"]).stderr.decode()
    assert "GIT_NETWORK_POLICY" in private or "network policy" in private, "a customer's repository is none that we trust"


@pytest.mark.one_engine
def test_what_never_had_a_source_cannot_be_built_again(stack, worker, verb):
    identity = stack.api.enqueue(stack.job("team/there-is-none"))
    assert stack.api.wait_end(identity) == "FAILED"
    here = {"HISTORY_DIR": str(worker.work_dir / "history")}
    wait_for(lambda: [run for run in json.loads(verb("show", identity, "--json", **here).stdout)["history"] if run["ended"]], 30, "its end")
    assert b"it ended before the source was there" in verb("replay", identity, code=1, **here).stderr


@pytest.mark.one_engine
def test_the_builder_of_then_builds_again_where_there_is_no_dockerfile(stack, make_worker, repo, verb):
    registry = RegistryClient(stack.registry.host)
    worker = make_worker(CNB_BUILDER=cnb.push_builder(registry, cnb.Builder(name="cnb/replayed")), CNB_NETWORK="host")
    public = {"type": "CUSTOM", "url": f"{stack.git.origin}/public"}
    identity = stack.api.enqueue(stack.job(repo(cnb.STATIC_APP).name, gitProvider=public))
    assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
    here = {"HISTORY_DIR": str(worker.work_dir / "history"), "GIT_NETWORK_POLICY": "any", "CNB_NETWORK": "host"}
    (run,) = wait_for(lambda: [run for run in json.loads(verb("show", identity, "--json", **here).stdout)["history"] if run["ended"]],
                      30, "the end in the history")
    (then,) = [base["digest"] for base in run["bases"] if base["reference"].endswith("cnb/replayed")]
    cnb.push_builder(registry, cnb.Builder(name="cnb/replayed", mirrors=["registry.example.com/another"]))
    push = ["--push", f"{stack.registry.host}/team/replayed:1", "--progress=plain"]
    # Neither builder nor repository is named: both are the history's.
    again = verb("replay", identity, *push, **here).stderr.decode()
    assert f"Builder image {stack.registry.host}/cnb/replayed@{then}" in again and "It had no variables" in again
    now = verb("replay", identity, "--new-bases", *push, **here).stderr.decode()
    assert f"Builder image {stack.registry.host}/cnb/replayed@" in now and f"cnb/replayed@{then}" not in now
