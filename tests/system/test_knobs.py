"""What a customer decides about a build, in deployra.toml and in variables of the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.images import RegistryClient
from kit.stack import Stack
from kit.worker import Worker

MONOREPO = {"deployra.toml": "[build]\ncontext = \"apps/web\"\ndockerfile = \"docker/web.Dockerfile\"\ntarget = \"runtime\"\n\n"
                             "[build.args]\nMODE = \"of the file\"\n",
            "docker/web.Dockerfile": "FROM busybox AS runtime\nARG MODE=none\nRUN echo \"mode $MODE.\"\nCOPY . /app\n"
                                     "RUN ls -a /app; cat /app/.env\nFROM runtime AS more\nRUN echo \"more is built.\"\n",
            "apps/web/index.html": "hello\n", "apps/web/.dockerignore": "left-out\n", "apps/web/left-out": "", "apps/api/main.go": ""}


@pytest.fixture
def deployed(stack: Stack) -> Callable[..., str]:
    def deploy(repository: str, end: str = "BUILDED", variables: dict[str, str] | None = None, **changes: object) -> str:
        """The log, with what the end says."""
        environment = [{"key": key, "value": value} for key, value in (variables or {}).items()]
        identity = stack.api.enqueue(stack.job(repository, environmentVariables=environment, **changes))
        assert stack.api.wait_end(identity) == end, stack.api.log_text(identity)
        return stack.api.log_text(identity) + (stack.api.error_of(identity) if end == "FAILED" else "")
    return deploy


@pytest.mark.both_engines
def test_the_file_decides_and_variables_go_before_it(stack, make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker()
    repository = repo(MONOREPO).name
    log = deployed(repository, serviceId="mono", variables={"A": "1"})
    assert "context = apps/web (deployra.toml:2)" in log and "The ignore file in force is apps/web/.dockerignore" in log
    assert "mode of the file.\n" in log and "index.html\n" in log and "A=1" in log.replace('"', "")
    assert "main.go\n" not in log and "left-out\n" not in log and "more is built.\n" not in log

    log = deployed(repository, serviceId="mono", variables={
        "DEPLOYRA_BUILD_TARGET": "more", "DEPLOYRA_BUILD_ARGS": "MODE", "MODE": "variable"})
    assert "mode variable.\n" in log and "more is built.\n" in log
    assert "DEPLOYRA_BUILD_TARGET=" not in log, "which is for the build alone"

    log = deployed(repository, "FAILED", serviceId="mono", variables={"DEPLOYRA_BUILD_TARGET": "none-such"})
    assert "none-such" in log
    broken = MONOREPO["docker/web.Dockerfile"].replace("COPY . /app", "RUN exit 7")
    log = deployed(repo({**MONOREPO, "docker/web.Dockerfile": broken}).name, "FAILED", serviceId="mono")
    assert 'docker/web.Dockerfile:4: "RUN exit 7" failed with exit code 7' in log


def test_what_is_not_understood_or_not_allowed_names_its_line(stack, make_worker: Callable[..., Worker], repo, deployed) -> None:
    make_worker(CUSTOMER_KNOBS="context,platform,timeout=2h", BUILD_TIMEOUT="5m")
    plain = {"Dockerfile": "FROM busybox\nARG TARGETPLATFORM\nRUN echo \"for $TARGETPLATFORM.\"\n"}

    def end(text: str, end: str = "FAILED", **changes: object) -> str:
        return deployed(repo({**plain, "deployra.toml": text}).name, end, **changes)

    assert 'deployra.toml:3: "contxt" is no key of [build]; did you mean "context"?' in end("[build]\n\ncontxt = 'x'\n")
    assert 'deployra.toml:2: "target" may not be set on this platform' in end("[build]\ntarget = 'x'\n")
    assert "DEPLOYRA_BUILD_NO_CACHE may not be set" in end("", variables={"DEPLOYRA_BUILD_NO_CACHE": "1"})
    assert "may be 120 minutes at most here" in end("[build]\ntimeout = '3h'\n")
    log = end("[build]\ntimeout = '1h'\nplatform = 'linux/amd64'\n", "BUILDED", serviceId="allowed")
    assert "for linux/amd64.\n" in log and "timeout = 60 minutes (deployra.toml:2)" in log
    assert RegistryClient(stack.registry.host).config("deployra/allowed", "latest")["architecture"] == "amd64"
