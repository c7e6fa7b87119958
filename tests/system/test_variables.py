"""The variables of a service in the build of its Dockerfile: as a file, as secrets and as arguments."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
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


def end_of(log: str, step: str) -> str:
    numbers = {number for number, text in re.findall(r"^#(\d+) (\[.*)$", log, re.MULTILINE) if step in text}
    ends = {end for number, end in re.findall(r"^#(\d+) (CACHED|DONE)", log, re.MULTILINE) if number in numbers}
    assert len(ends) == 1, log
    return ends.pop()


def test_they_arrive_in_every_way_and_no_secret_as_an_argument(stack, make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    log = deployed(repo(NEEDS).name, serviceId="ways",
                   environmentVariables=variables(MODE="production", NPM_TOKEN=TOKEN))
    assert "mode production, token none\n" in log
    assert f"\n{len(TOKEN)}\n" in log and "\n.env\n" in log
    assert "Dockerfile:3: ARG NPM_TOKEN gets no value: it looks like a secret" in log
    assert "RUN --mount=type=secret,id=NPM_TOKEN wc -c" in log, "as it is written"
    config = RegistryClient(stack.registry.host).config("deployra/ways", "latest")
    assert "MODE=production" in str(config["history"]) and TOKEN not in str(config)


def test_a_changed_secret_runs_its_step_again_and_no_other(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    repository = repo(NEEDS).name

    def ends(token: str) -> tuple[str, str]:
        log = deployed(repository, serviceId="rotated", environmentVariables=variables(NPM_TOKEN=token))
        assert VERSION.search(log) is None
        return end_of(log, "wc -c"), end_of(log, "echo \"mode")

    assert ends(TOKEN)[0] == "DONE"
    assert ends(TOKEN) == ("CACHED", "CACHED")
    assert ends(NEW_TOKEN) == ("DONE", "CACHED")
    assert ends(TOKEN) == ("CACHED", "CACHED")


def test_the_operator_chooses_the_ways(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker(ENV_DELIVERY="secret")
    own = NEEDS["Dockerfile"].replace("echo \"mode", "echo \"the operator's mode")  # Else it is cached, and says nothing.
    log = deployed(repo({**NEEDS, "Dockerfile": own}).name, serviceId="chosen",
                   environmentVariables=variables(MODE="production", NPM_TOKEN=TOKEN))
    assert "the operator's mode none, token none\n" in log and "gets no value" not in log
    assert f"\n{len(TOKEN)}\n" in log and ".env" not in log


def test_the_customer_lists_what_may_be_an_argument(make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    log = deployed(repo({**NEEDS, "Dockerfile": NEEDS["Dockerfile"] + "RUN cat /app/.env\n"}).name, serviceId="listed",
                   environmentVariables=variables(NPM_TOKEN=TOKEN, DEPLOYRA_BUILD_ARGS="NPM_TOKEN"))
    assert "token [REDACTED]\n" in log and "gets no value" not in log
    assert "DEPLOYRA_BUILD_ARGS" not in log, "which is for the build alone"


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
