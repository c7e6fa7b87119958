"""SIGTERM in every state: what is under way ends or goes back to the queue, nothing new is taken, nothing is left."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest
from kit.process import processes_matching, wait_for, wait_gone

STATES = ("idle", "taken", "fetching", "building", "pushing", "reporting")
SLOW = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1004\n"}
LAYER = {"Dockerfile": "FROM busybox\nRUN head -c 3000000 /dev/urandom > /big\n"}
SHORT = "2"


@pytest.fixture
def stalled():
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def brought_to(stack, repo, stalled):
    """Brings the worker into a state; gives the deployment it has under way."""
    ended = threading.Event()

    def bring(worker, state: str) -> str | None:
        if state == "idle":
            return None
        if state == "taken":
            # Announced, and not a step further: BUILDING is not answered.
            stack.api.delay = 1.5
            identity = stack.api.enqueue(stack.job(repo(SLOW).name))
            wait_for(lambda: stack.redis.client.hexists("{builder-queue}:own", identity), 20, "taken")
        elif state == "fetching":
            provider = stack.git.provider(url=f"http://127.0.0.1:{stalled}/git")
            identity = stack.api.enqueue(stack.job(repo().name, gitProvider=provider))
            wait_for(worker.children, 20, "git runs")
        elif state == "building":
            identity = stack.api.enqueue(stack.job(repo(SLOW).name))
            stack.api.wait_output(identity, "now-running")
        elif state == "pushing":
            stack.ecr.control("/__fail", {"delay": 3})
            identity = stack.api.enqueue(stack.job(repo(LAYER).name))
            stack.api.wait_log(identity, "Pushing image")
        else:
            # The platform goes away as the image's tag has moved: only the end is still to be told.
            job = stack.job(repo().name)
            identity = stack.api.enqueue(job)
            service = f"deployra/{job['serviceId']}"

            def away() -> None:
                while not ended.is_set() and stack.ecr.digest_of(service, identity) is None:
                    time.sleep(0.002)
                stack.api.stop()

            thread = threading.Thread(target=away)
            thread.start()
            try:
                wait_for(lambda: stack.redis.client.hexists("{builder-queue}:out", identity)
                         or stack.api.final_posts(identity), 30, "the end is in the outbox")
            finally:
                ended.set()
                thread.join()
        return identity

    yield bring
    ended.set()
    stack.ecr.control("/__fail", {})
    stack.api.delay = 0.0
    if stack.api.server is None:
        stack.api.start()


def nothing_left(stack, worker, identity) -> None:
    """Not of this process; the job is ended, or back in the queue, or its end waits to be told."""
    wait_gone("sleep 1004", 10)
    assert worker.build_folders() == []
    assert list((worker.work_dir / "processes").glob("*/")) == []
    assert processes_matching(str(worker.work_dir)) == []
    redis = stack.redis.client
    assert redis.zcard("{builder-queue}:workers") == 0
    assert redis.hlen("{builder-queue}:own") == redis.hlen("{builder-queue}:pay") == 0
    if identity is not None:
        places = [bool(stack.api.final_posts(identity)), redis.llen("builder-queue") == 1,
                  bool(redis.hexists("{builder-queue}:out", identity))]
        assert sum(places) == 1, places


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("signals", [1, 2])
def test_a_drain_in_every_state(stack, make_worker, brought_to, state, signals):
    """With one signal it waits for DRAIN_TIMEOUT at most, with two for nothing."""
    worker = make_worker(DRAIN_TIMEOUT=SHORT if signals == 1 else "60")
    identity = brought_to(worker, state)
    begin = time.monotonic()
    worker.signal(signal.SIGTERM)
    if signals == 2:
        if state != "idle":
            wait_for(lambda: "stopping" in worker.text(), 5, "the first signal is heard")
            worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    took = time.monotonic() - begin
    assert took < (15 if signals == 1 else 10)
    nothing_left(stack, worker, identity)
    print(f"{state}, {signals}: {took:.2f} s")


@pytest.mark.one_engine
def test_without_time_to_drain_running_builds_go_back_at_once(stack, make_worker, brought_to):
    worker = make_worker(DRAIN_TIMEOUT="0")
    identity = brought_to(worker, "building")
    begin = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert time.monotonic() - begin < 5
    nothing_left(stack, worker, identity)
    other = make_worker()
    wait_for(lambda: ", attempt 1, " in other.text(), 10, "the attempt does not count")
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"


@pytest.mark.one_engine
@pytest.mark.parametrize("whose", ["own", "adopted"])
def test_a_drain_while_api_and_redis_are_away(stack, make_worker, brought_to, whose):
    """An end that cannot be told, under a lease that nobody renews, holds nothing up."""
    worker = make_worker(DRAIN_TIMEOUT=SHORT, LEASE_TIME="3s")
    identity = brought_to(worker, "reporting")
    if whose == "adopted":
        worker.kill()
        worker = make_worker(start=False, DRAIN_TIMEOUT=SHORT, LEASE_TIME="3s").start(ready=False)
        wait_for(lambda: "not delivered, trying again" in worker.text(), 20, "the end is adopted")
    stack.redis.stop()
    try:
        time.sleep(3)  # By then the lease does not hold.
        begin = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        print(f"{whose}: {time.monotonic() - begin:.2f} s")
    finally:
        stack.redis.start()
    stack.api.start()
    make_worker()
    assert stack.api.wait_end(identity) == "BUILDED"


@pytest.mark.parametrize("state", STATES[1:])
def test_a_kill_during_a_drain_loses_nothing(stack, make_worker, brought_to, state):
    worker = make_worker(DRAIN_TIMEOUT="60")
    identity = brought_to(worker, state)
    worker.signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in worker.text() or worker.process.poll() is not None, 5, "it drains")
    worker.kill()
    stack.ecr.control("/__fail", {})
    stack.api.delay = 0.0
    if stack.api.server is None:
        stack.api.start()
    worker.start()
    if state in ("taken", "fetching", "building"):
        wait_for(lambda: worker.metric("deployra_builder_builds_running") or worker.children()
                 or stack.api.statuses(identity), 20, "taken again")
        stack.api.cancel(identity)
        assert stack.api.wait_end(identity) == "CANCELLED"
    else:
        assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(lambda: stack.redis.unfinished() == [], 20, "settled")
    assert worker.stop() == 0
    nothing_left(stack, worker, identity)


def test_nothing_is_taken_after_the_signal(stack, make_worker, repo):
    """Even by a worker that waits in Redis; 100 ms is what the signal may take to be heard."""
    repository = repo()
    late: list[float] = []
    for _ in range(8):
        stack.redis.clear()
        worker = make_worker()
        wait_for(lambda: any(client["cmd"] == "blmove" for client in stack.redis.client.client_list()), 10, "it waits")
        worker.signal(signal.SIGTERM)
        begin = time.monotonic()
        jobs: dict[str, float] = {}
        while worker.process.poll() is None and time.monotonic() < begin + 10:
            jobs[stack.api.enqueue(stack.job(repository.name))] = time.monotonic() - begin
            time.sleep(0.005)
        assert worker.wait(20) == 0
        queued = " ".join(stack.redis.client.lrange("builder-queue", 0, -1))
        late += [at for identity, at in jobs.items() if identity not in queued]
    print(f"taken after the signal: {[round(at * 1000, 1) for at in late]} ms behind it")
    assert all(at < 0.1 for at in late)


def test_signals_that_are_not_for_stopping(stack, make_worker, repo):
    """SIGHUP (a closed terminal) and SIGUSR1 end no build; SIGUSR2 pauses the taking and resumes it."""
    worker = make_worker()
    building = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(building, "now-running")
    worker.signal(signal.SIGHUP)
    worker.signal(signal.SIGUSR1)
    worker.signal(signal.SIGUSR2)
    wait_for(lambda: "paused by SIGUSR2" in worker.not_ready(), 20, "paused")
    waiting = stack.api.enqueue(stack.job(repo().name))
    assert worker.text().count("has no meaning here") == 2
    stack.api.cancel(building)
    assert stack.api.wait_end(building) == "CANCELLED", "running builds are obeyed"
    assert stack.redis.client.llen("builder-queue") == 1 and stack.api.statuses(waiting) == []
    worker.signal(signal.SIGUSR2)
    assert stack.api.wait_end(waiting) == "BUILDED"
    assert worker.stop() == 0


def test_a_second_process_of_a_rolling_upgrade_waits_for_the_address(stack, make_worker, repo):
    first = make_worker()
    second = make_worker(start=False, HTTP_LISTEN=first.environment["HTTP_LISTEN"], WORK_DIR=str(first.work_dir))
    second.start(ready=False)
    wait_for(lambda: "Address already in use; trying again" in second.text() and "ready" in second.text(), 20, "told")
    assert first.stop() == 0
    second.port = first.port
    wait_for(second.is_ready, 20, "it has the address now")
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
