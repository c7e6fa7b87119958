"""Fixtures: one set of servers for the whole session, a fresh worker for every test."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kit import invariants  # noqa: E402
from kit.canary import Canary  # noqa: E402
from kit.git_server import Repository  # noqa: E402
from kit.lane import Lane  # noqa: E402
from kit.process import alone_with_limits  # noqa: E402
from kit.stack import Stack  # noqa: E402
from kit.worker import BINARY, Worker  # noqa: E402

# A terminated run (a timeout around it, CI) ends as an interrupted one does: with its servers.
signal.signal(signal.SIGTERM, signal.default_int_handler)
# A shell's background job ignores SIGINT, and so would all programs that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# See Stack.use.
ENGINES = ["docker", "docker29", "docker29-graph", "buildkitd", "buildkitd-tcp"]
EVERY_ENGINE = ["docker", "docker29", "docker29-graph", "buildkitd"]
# What a whole run starts side by side; tests/run.py names them as well. Most tests wait: with five of them two cores have
# something to do.
LANES = ["docker", "verbs", "faults", "engines", "buildkit"]
# About as much as the others have, each.
WITH_FAULTS = {"test_crashes.py", "test_drain.py", "test_faults.py", "test_operator.py", "test_redis_faults.py", "test_wire_faults.py"}
WITH_VERBS = {"test_attack_corpus.py", "test_attacks.py", "test_binary.py", "test_build_verb.py", "test_cli.py", "test_completions.py",
              "test_doctor.py", "test_documents.py", "test_history.py", "test_history_verbs.py", "test_kit.py", "test_live_view.py",
              "test_memory.py", "test_packaging.py", "test_queue_verbs.py", "test_same_words.py", "test_security.py",
              "test_service_log.py", "test_unit.py"}
LINES_OF_A_FAILURE = 30
EVERY_BUILDKIT = ["docker", "docker29", "buildkitd"]
HELLO = {"Dockerfile": "FROM busybox\nCOPY . /app\nCMD [\"sh\"]\n", "a.txt": "one\n"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=LANES, help="the part of the tests that a whole run starts beside the others")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_engines: runs with the Docker Engine and with a standalone BuildKit")
    config.addinivalue_line("markers", "every_engine: runs with every kind of engine: how images are made and reach the registry")
    config.addinivalue_line("markers", "every_buildkit: runs with every BuildKit: what an Engine's image store has no part in")
    config.addinivalue_line("markers", "hosts_pids: not with WORKER_UNIT, where each worker has a PID namespace of its own: it cannot tell the "
                                       "engine's steps apart, and two workers have one name")
    config.addinivalue_line("markers", "one_engine: does not depend on the engine, whatever its module says")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values are cut: the test's name is in the environment of every program that a test starts."""
    return f"{val[:60]}..." if isinstance(val, str) and len(val) > 80 else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "one_engine" in marks:
        return
    if "every_engine" in marks:
        metafunc.parametrize("stack", EVERY_ENGINE, indirect=True, scope="session")
    elif "every_buildkit" in marks:
        metafunc.parametrize("stack", EVERY_BUILDKIT, indirect=True, scope="session")
    elif "both_engines" in marks:
        metafunc.parametrize("stack", ["docker", "buildkitd"], indirect=True, scope="session")


def engine_of(item: pytest.Item) -> str:
    return item.callspec.params.get("stack", "docker") if hasattr(item, "callspec") else "docker"


def lane_of(item: pytest.Item) -> str:
    engine = engine_of(item)
    if engine != "docker":
        return "buildkit" if engine.startswith("buildkitd") else "engines"
    return "faults" if item.path.name in WITH_FAULTS else "verbs" if item.path.name in WITH_VERBS else "docker"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each engine is started once; its tests run in the order of their files."""
    if os.environ.get("WORKER_UNIT"):
        items[:] = [item for item in items if item.get_closest_marker("hosts_pids") is None]
    if lane := config.getoption("--lane"):
        items[:] = [item for item in items if lane_of(item) == lane]
    items.sort(key=lambda item: ENGINES.index(engine_of(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that fails says what its workers said: where it ran, nobody may be able to look."""
    report = yield
    if report.failed and report.when == "call":
        for worker in getattr(item, "workers", []):
            said = "".join(worker.text().splitlines(keepends=True)[-LINES_OF_A_FAILURE:])
            report.sections.append((worker.folder.name, f"/readyz: {worker.get('/readyz')}\n{said}"))
    return report


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not BINARY.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"{BINARY} is not built")
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="session")
def stack(servers: Stack, request: pytest.FixtureRequest) -> Stack:
    return servers.use(getattr(request, "param", "docker"))


@pytest.fixture(autouse=True)
def fresh(stack: Stack, request: pytest.FixtureRequest) -> None:
    """No job, fault or record of an earlier test, and nothing that it took down or chose."""
    stack.use(engine_of(request.node))
    stack.mend()


@pytest.fixture
def make_worker(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []
    request.node.workers = workers
    earlier = set(stack.api.deployments)

    def make(start: bool = True, **environment: str) -> Worker:
        worker = Worker(tmp_path / f"worker{len(workers)}", {**stack.environment, **environment})
        workers.append(worker)
        return worker.start() if start else worker

    yield make
    for worker in workers:
        worker.kill()
        shutil.rmtree(worker.work_dir, ignore_errors=True)
    ended = [deployment for identity, deployment in stack.api.deployments.items()
             if identity not in earlier and stack.api.final_posts(identity)]
    assert [breach for deployment in ended for breach in invariants.breaches(stack.api, deployment)] == []


@pytest.fixture
def own_limits() -> Iterator[None]:
    """For tests that limit steps, or look at their limits."""
    with alone_with_limits():
        yield


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    return make_worker()


@pytest.fixture
def lanes(stack: Stack, tmp_path: Path) -> Iterator[Callable[..., list[Lane]]]:
    made: list[Lane] = []

    def make(count: int, **environment: str) -> list[Lane]:
        made.extend(Lane(stack, tmp_path / f"lane{number}", f"{time.monotonic_ns()}-{number}", **environment)
                    for number in range(count))
        with ThreadPoolExecutor() as pool:
            return list(pool.map(Lane.start, made))

    yield make
    for lane in made:
        lane.stop()


@pytest.fixture
def repo(stack: Stack) -> Callable[..., Repository]:
    def make(files: dict[str, str | bytes | None] | None = None, **more: str | bytes) -> Repository:
        return stack.git.repository(dict(files if files is not None else HELLO) | more)

    return make


@pytest.fixture
def canary() -> Iterator[Canary]:
    made = Canary()
    yield made
    made.server.shutdown()
