"""The variables of a service in the build of its Dockerfile: as a file, as secrets and as arguments."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from kit.build_log import step_end
from kit.images import RegistryClient
from kit.stack import Stack
from kit.worker import Worker

pytestmark = pytest.mark.every_buildkit
TOKEN = "npm_7Hq2LzP9xWv4Tn8RkYb3"
NEW_TOKEN = "npm_9Kd4MzB1qRt6Vn2XsCf7"
# Before an id on its way to the engine, and nobody's to see.
VERSION = re.compile(r"\bv[0-9a-f]{16}/")
NEEDS = {"Dockerfile": "FROM busybox\nARG MODE=none\nARG NPM_TOKEN=none\n"
                       "RUN echo \"mode $MODE, token $NPM_TOKEN\"\n"
                       "RUN --mount=type=secret,id=NPM_TOKEN wc -c < /run/secrets/NPM_TOKEN && echo counted > /counted\n"
                       "RUN echo unrelated > /unrelated\n"
                       "COPY . /app\nRUN ls -a /app\n"}


def variables(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


@pytest.fixture
def deployed(stack: Stack) -> Callable[..., str]:
    def deploy(repository: str, end: str = "BUILDED", **changes: object) -> str:
        """The log, with what the end says."""
        identity = stack.api.enqueue(stack.job(repository, **changes))
        assert stack.api.wait_end(identity) == end, stack.api.log_text(identity)
        return stack.api.log_text(identity) + (stack.api.error_of(identity) if end == "FAILED" else "")
    return deploy


def test_they_arrive_in_every_way_and_no_secret_as_an_argument(stack, make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    log = deployed(repo(NEEDS).name, serviceId="ways",
                   environmentVariables=variables(MODE="production", NPM_TOKEN=TOKEN))
    assert "mode production, token none\n" in log
    assert f"\n{len(TOKEN)}\n" in log and "\n.env\n" in log
    assert "Dockerfile:3: ARG NPM_TOKEN keeps its default: the variable looks like a secret" in log
    assert "RUN --mount=type=secret,id=NPM_TOKEN wc -c" in log, "as it is written"
    config = RegistryClient(stack.registry.host).config("deployra/ways", "latest")
    assert "MODE=production" in str(config["history"]) and TOKEN not in str(config)


def test_a_changed_secret_runs_its_step_again_and_no_other(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker(REUSE_IMAGES="0")
    repository = repo(NEEDS).name

    def ends(token: str) -> tuple[str, str]:
        log = deployed(repository, serviceId="rotated", environmentVariables=variables(NPM_TOKEN=token))
        assert VERSION.search(log) is None
        return step_end(log, "wc -c"), step_end(log, "echo \"mode")

    assert ends(TOKEN)[0] == "DONE"
    assert ends(TOKEN) == ("CACHED", "CACHED")
    assert ends(NEW_TOKEN) == ("DONE", "CACHED")
    assert ends(TOKEN) == ("CACHED", "CACHED")


def test_the_operator_chooses_the_ways(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker(ENV_DELIVERY="secret")
    own = NEEDS["Dockerfile"].replace("echo \"mode", "echo \"the operator's mode")  # Else it is cached, and says nothing.
    log = deployed(repo({**NEEDS, "Dockerfile": own}).name, serviceId="chosen",
                   environmentVariables=variables(MODE="production", NPM_TOKEN=TOKEN))
    assert "the operator's mode none, token none\n" in log and "looks like a secret" not in log
    assert f"\n{len(TOKEN)}\n" in log and ".env" not in log


def test_the_customer_lists_what_may_be_an_argument(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    log = deployed(repo({**NEEDS, "Dockerfile": NEEDS["Dockerfile"] + "RUN cat /app/.env\n"}).name, serviceId="listed",
                   environmentVariables=variables(NPM_TOKEN=TOKEN, DEPLOYRA_BUILD_ARGS="NPM_TOKEN"))
    assert "token [REDACTED]\n" in log and "looks like a secret" not in log
    assert "DEPLOYRA_BUILD_ARGS=" not in log, "which is for the build alone"


def test_a_secret_that_is_no_variable_is_named(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    log = deployed(repo({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=TOKN,required=true true\n"}).name, "FAILED",
                   environmentVariables=variables(TOKEN=TOKEN))
    assert 'Dockerfile:2: the build needs the secret "TOKN", and the service has no variable of that name' in log
    log = deployed(repo({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=TOKEN false\n"}).name, "FAILED",
                   environmentVariables=variables(TOKEN=TOKEN))
    assert VERSION.search(log) is None and "id=TOKEN" in log


def test_no_variable_steers_the_frontend(make_worker: Callable[..., Worker], repo, deployed) -> None:
    """A frontend of one's own, and the cache mounts of another service."""
    make_worker()
    keeps = repo({"Dockerfile": "FROM busybox\nRUN --mount=type=cache,target=/c echo private > /c/kept\n"})
    deployed(keeps.name, serviceId="owner")
    reads = repo({"Dockerfile": "FROM busybox\nRUN --mount=type=cache,target=/c ls /c; echo looked; env\n"})
    log = deployed(reads.name, serviceId="thief", environmentVariables=variables(
        BUILDKIT_SYNTAX="127.0.0.1:1/own/frontend", BUILDKIT_CACHE_MOUNT_NS="", HTTP_PROXY="http://127.0.0.1:1"))
    assert "looked" in log and "kept" not in log and "127.0.0.1:1" not in log


@pytest.mark.parametrize("mount", ["id=NPM_TOKEN", "id=NPM_TOKEN,target=$HOME/.npmrc", '"id=NPM_TOKEN"', "\\\nid=NPM_TOKEN"])
def test_what_a_secret_made_is_no_other_services(make_worker: Callable[..., Worker], repo, deployed, mount: str) -> None:
    """In every spelling of the mount: a result is known by the id of its secret, not by the content."""
    make_worker()
    command = "cat /run/secrets/NPM_TOKEN /h/.npmrc 2>/dev/null | wc -c > /made"
    repository = repo({"Dockerfile": f"FROM busybox\nENV HOME=/h\nRUN --mount=type=secret,{mount} {command}\n"
                                     "COPY turn /turn\nRUN echo \"$(cat /made) bytes\"\n"})
    turns = iter(range(100))

    def made(service: str, *tokens: str) -> tuple[int, str]:
        repository.commit({"turn": f"{mount} {next(turns)}"})
        log = deployed(repository.name, serviceId=f"{service}{sum(map(ord, mount))}", environmentVariables=[
            each for token in tokens for each in variables(NPM_TOKEN=token)])
        return int(re.findall(r"^(\d+) bytes$", log, re.MULTILINE)[0]), step_end(log, "wc -c")

    size, end = made("maker", TOKEN)
    assert end == "DONE"
    if size == 0 and "$" in mount:
        return  # Engine 20.10 drops a mount with a variable in its target.
    assert size == len(TOKEN)
    assert made("other")[0] == 0
    assert made("other", "short-1")[0] == len("short-1")
    assert made("thief", TOKEN) == (len(TOKEN), "DONE"), "not even with the same value"
    assert made("maker", TOKEN) == (len(TOKEN), "CACHED"), "its own is kept"


def test_a_variable_takes_the_place_of_a_default_and_that_is_said(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    repository = repo({"Dockerfile": "FROM busybox\nARG STAGE=development\nARG PATH\nRUN echo \"stage $STAGE\"\n"}).name
    log = deployed(repository, environmentVariables=variables(STAGE="production", PATH="/nowhere"))
    assert "stage production\n" in log
    assert "Dockerfile:2: ARG STAGE has the value of the service's variable, not its default" in log
    log = deployed(repository, environmentVariables=variables(STAGE=""))
    assert "stage development\n" in log, "an empty one takes no default away"


def test_a_variable_leads_no_build_where_it_may_not_go(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    for text in ("FROM busybox\nARG SRC=a.txt\nADD $SRC /x\n", "ARG BASE=busybox\nFROM $BASE\nCOPY a.txt /x\n"):
        repository = repo({"Dockerfile": text, "a.txt": "a"}).name
        deployed(repository)
        deployed(repository, "FAILED", environmentVariables=variables(
            SRC="http://127.0.0.1:1/latest/meta-data/", BASE="127.0.0.1:1/x/y"))
