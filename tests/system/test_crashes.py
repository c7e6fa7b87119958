"""kill -9 and long sleeps: whatever dies, every deployment ends once. The seeds are printed; CRASH_SEED repeats one,
CRASH_KILLS makes it longer."""

from __future__ import annotations

import os
import random
import time

import pytest
from kit.crashes import POINTS, Crashes
from kit.process import wait_for

QUICK = {"Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN echo now-running\n", "a.txt": "one\n"}
KILLS = int(os.environ.get("CRASH_KILLS", "100"))


def seed() -> int:
    return int(os.environ.get("CRASH_SEED", str(random.randrange(1 << 30))))


@pytest.fixture
def crashes(stack, tmp_path):
    made: list[Crashes] = []

    def make(workers: int = 1, **environment: str) -> Crashes:
        made.append(Crashes(stack, tmp_path, seed(), workers, **environment))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def nothing_left(crashes: Crashes) -> None:
    for worker in crashes.workers:
        wait_for(lambda worker=worker: not worker.build_folders(), 20, "build folders removed")
        wait_for(lambda worker=worker: not worker.children(), 20, "children gone")
        assert worker.stop() == 0
        assert list((worker.work_dir / "processes").glob("*/")) == [], "process folders removed"
    assert crashes.stack.redis.client.zcard("{builder-queue}:workers") == 0, "leases given up"


def test_crash_matrix(crashes, repo):
    """A kill at each point in turn, of a worker with two slots; every tenth deployment is cancelled as well."""
    run = crashes()
    repository = repo(QUICK)
    for number in range(KILLS):
        point = POINTS[number % len(POINTS)]
        repository.commit({"a.txt": f"{number}\n"})
        service = f"svc-crash-{number % 12}-{run.seed}"
        identity = run.push(repository.name, serviceId=service)
        if number % 10 == 9:
            run.cancel(identity)
        run.kill_at(point, identity, service, run.workers[0])
    run.drain()
    assert run.verdict().breaches == []
    nothing_left(run)


def test_pause_matrix(crashes, repo):
    """A worker sleeps for up to three leases while another one takes over."""
    run = crashes(workers=2)
    repository = repo(QUICK)
    for number in range(int(os.environ.get("CRASH_PAUSES", "8"))):
        repository.commit({"a.txt": f"{number}\n"})
        identity = run.push(repository.name, serviceId=f"svc-pause-{number}-{run.seed}")
        point = POINTS[number % len(POINTS)]
        until = time.monotonic() + 20
        while point != "random" and not (run.reached(point, identity, "") or run.stack.api.final_posts(identity)
                                         or time.monotonic() > until):
            time.sleep(0.001)
        owner = run.stack.redis.client.hget("{builder-queue}:own", identity)
        asleep = next((worker for worker in run.workers if owner and f"joined the queue as {owner.split()[0]}"
                       in worker.text()), run.workers[number % 2])
        run.pause(asleep, run.random.uniform(1, 9))
    run.drain()
    assert run.verdict().breaches == []
    nothing_left(run)


def test_several_workers_with_random_kills(crashes, repo):
    """200 jobs of 20 services for three workers, one of which dies every now and then."""
    run = crashes(workers=3)
    repository = repo(QUICK)
    services = [f"svc-many-{number}-{run.seed}" for number in range(20)]
    for number in range(200):
        run.push(repository.name, serviceId=services[number % 20])
        if number % 25 == 24:
            time.sleep(run.random.random())
            run.kill(run.random.choice(run.workers))
    run.drain(180)
    verdict = run.verdict()
    assert verdict.breaches == []
    # The newest of every service is built, whatever was superseded before it.
    for service in services:
        last = [identity for identity in run.pushed if run.stack.api.deployments[identity].service == service][-1]
        assert run.stack.api.final_posts(last)[-1] in ("BUILDED", "FAILED")
    nothing_left(run)


def test_cancel_race(crashes, repo):
    """Cancels at many times across a deployment: the end is CANCELLED, or BUILDED when it came too late."""
    run = crashes()
    repository = repo(QUICK)
    for number in range(int(os.environ.get("CANCEL_RACES", "40"))):
        identity = run.push(repository.name, serviceId=f"svc-race-{number}-{run.seed}")
        time.sleep(number / 40 * 0.5)
        asked = time.monotonic()
        run.cancel(identity)
        run.stack.api.wait_end(identity, 20)
        assert time.monotonic() - asked < 5
    run.drain()
    assert run.verdict().breaches == []
    nothing_left(run)
