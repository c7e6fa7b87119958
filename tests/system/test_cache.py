"""What did not change is not built again, whoever builds it and with whatever limits."""

from __future__ import annotations

import time

import pytest
from kit.build_log import step_end
from kit.buildkitd import Buildkitd
from kit.images import RegistryClient
from kit.process import free_port, stopped_at_end
from kit.stack import Stack

pytestmark = pytest.mark.both_engines
LIMITS = {"BUILD_MEMORY": "256MiB", "BUILD_CPUS": "1.5", "BUILD_PIDS": "200"}


def node_like() -> dict[str, str]:
    """A step that needs one file of several; no other test has the same step."""
    return {"Dockerfile": "FROM busybox\nCOPY package.json /app/\n"
                          f"RUN echo {time.monotonic_ns()} > /installed\nCOPY . /app/\n",
            "package.json": "{}\n", "a.txt": "one\n"}


def end_of(stack: Stack, identity: str, step: str) -> str:
    """CACHED or DONE, for the step with this text."""
    return step_end(stack.api.log_text(identity), step)


def deployed(stack: Stack, repository: str, **changes: object) -> str:
    identity = stack.api.enqueue(stack.job(repository, **changes))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    return identity


@pytest.mark.parametrize("limits", [{}, LIMITS], ids=["no limits", "limits"])
def test_a_step_whose_files_did_not_change_is_cached(stack, make_worker, repo, own_limits, limits) -> None:
    make_worker(**limits)
    repository = repo(node_like())
    assert end_of(stack, deployed(stack, repository.name, serviceId="cached"), "RUN echo") == "DONE"
    for number in range(2):
        repository.commit({"a.txt": f"other {number}\n"})
        again = deployed(stack, repository.name, serviceId="cached")
        assert end_of(stack, again, "RUN echo") == "CACHED"
        assert end_of(stack, again, "COPY . ") == "DONE"


def test_services_workers_and_limits_share_a_step(stack, make_worker, repo, own_limits) -> None:
    files = node_like()
    first = make_worker()
    assert end_of(stack, deployed(stack, repo(files).name), "RUN echo") == "DONE"
    first.stop()
    make_worker(**LIMITS)
    assert end_of(stack, deployed(stack, repo(files, **{"a.txt": "of another"}).name), "RUN echo") == "CACHED"


@pytest.mark.one_engine
def test_what_a_distant_engine_limits_is_in_no_key(stack, make_worker, repo, tmp_path) -> None:
    """Nobody but the engine can limit its steps: they are told to it."""
    engine = Buildkitd(tmp_path, mirrors={"docker.io": stack.registry.host}, address=f"tcp://127.0.0.1:{free_port()}")
    RegistryClient(stack.registry.host).push_base_image()
    files = node_like()
    with stopped_at_end(engine):
        address = {"BUILDKIT_HOST": engine.start().host, "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
        first = make_worker(**address)
        assert end_of(stack, deployed(stack, repo(files).name), "RUN echo") == "DONE"
        first.stop()
        worker = make_worker(**address, **LIMITS)
        assert "processes are not" in worker.text()
        assert end_of(stack, deployed(stack, repo(files, **{"a.txt": "x"}).name), "RUN echo") == "CACHED"
        greedy = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN a=xxxxxxxx; while :; do a=$a$a; done\n"}).name))
        assert stack.api.wait_end(greedy) == "FAILED"
        assert "exit code 137" in stack.api.error_of(greedy)
        worker.stop()
