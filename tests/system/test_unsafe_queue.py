"""Guarantee C: a Redis that refuses scripts, and ALLOW_UNSAFE_QUEUE."""

from __future__ import annotations

import json
import time

import pytest
from kit.process import wait_for

RIGHTS = ["~builder-queue", "&builder:cancel", "-@all", "+auth", "+ping", "+client|setname", "+subscribe", "+llen", "+lpop",
          "+lpush", "+lrange", "+lrem"]
SLOW = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1031\n"}


@pytest.fixture(params=["with BLMOVE", "without BLMOVE"])
def rights(stack, request):
    """The environment of a worker whose user may not run scripts."""
    name = "no-scripts"
    stack.redis.client.execute_command("ACL", "SETUSER", name, "reset", "on", ">secret-of-user", *RIGHTS,
                                       *(["+blmove"] if request.param == "with BLMOVE" else []))
    yield {"REDIS_USERNAME": name, "REDIS_PASSWORD": "secret-of-user", "ALLOW_UNSAFE_QUEUE": "true"}
    stack.redis.client.execute_command("ACL", "DELUSER", name)


def queued(stack) -> list[str]:
    return [json.loads(element)["deploymentId"] for element in stack.redis.client.lrange("builder-queue", 0, -1)]


def left_behind(worker) -> list[str]:
    return sorted(path.name for path in worker.work_dir.glob("processes/*") if path.is_dir())


def test_it_builds_and_cancels(stack, make_worker, repo, rights):
    worker = make_worker(**rights, MAX_PARALLEL_BUILDS="1")
    wait_for(lambda: "queue guarantee C, by ALLOW_UNSAFE_QUEUE" in worker.text(), 10, "said")
    wait_for(lambda: 'queue_guarantee{level="C"} 1' in worker.get("/metrics")[1], 10, "guarantee C")
    assert worker.warnings() == ["queue guarantee C (ALLOW_UNSAFE_QUEUE): a crash loses jobs"]
    built = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(built) == "BUILDED"
    assert stack.api.statuses(built) == ["BUILDING", "BUILDED"]

    running = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(running, "now-running")
    waiting = stack.api.enqueue(stack.job(repo().name))
    stack.api.cancel(waiting)
    assert stack.api.wait_end(waiting) == "CANCELLED"
    assert stack.api.statuses(waiting) == ["CANCELLED"]
    assert queued(stack) == []
    stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"

    older = stack.job(repo(SLOW).name)
    stack.api.enqueue(older)
    stack.api.wait_output(older["deploymentId"], "now-running")
    newer = stack.api.enqueue({**stack.job(repo().name), "serviceId": older["serviceId"]})
    assert stack.api.wait_end(older["deploymentId"]) == "CANCELLED", "superseded"
    assert stack.api.wait_end(newer) == "BUILDED"
    assert worker.stop() == 0
    assert left_behind(worker) == []
    assert stack.redis.client.keys("{builder-queue}*") == []


def test_a_stop_gives_the_job_back(stack, make_worker, repo, rights):
    worker = make_worker(**rights, DRAIN_TIMEOUT="0")
    # A step that the engine knows already would be over at once.
    step = f"RUN : {time.monotonic_ns()} && echo now-running && sleep 5"
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\n{step}\n"}).name))
    stack.api.wait_output(identity, "now-running")
    assert queued(stack) == []
    assert worker.stop() == 0
    assert queued(stack) == [identity]
    assert left_behind(worker) == []
    worker.start()
    assert stack.api.wait_end(identity) == "BUILDED"


def test_what_a_killed_worker_had_fails_at_the_next_start(stack, make_worker, repo, rights):
    worker = make_worker(**rights, MAX_PARALLEL_BUILDS="1")
    identity = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(identity, "now-running")
    waiting = stack.api.enqueue(stack.job(repo().name))
    worker.kill()
    assert queued(stack) == [waiting]
    journal, = worker.work_dir.glob("processes/*/jobs")
    assert journal.read_text() == f"taken {identity}\n"
    worker.start()
    assert stack.api.wait_end(identity) == "FAILED"
    assert stack.api.statuses(identity) == ["BUILDING", "FAILED"]
    assert any("was lost" in text for _, _, text in stack.api.deployments[identity].logs)
    assert stack.api.wait_end(waiting) == "BUILDED"
    assert worker.stop() == 0
    assert left_behind(worker) == []


def test_without_the_setting_nothing_is_taken(stack, make_worker, repo, rights):
    worker = make_worker(start=False, **{**rights, "ALLOW_UNSAFE_QUEUE": "false"}).start(ready=False)
    identity = stack.api.enqueue(stack.job(repo().name))
    wait_for(lambda: "allow EVAL" in worker.not_ready(), 20, "said why")
    assert 'queue_guarantee{level="C"} 0' in worker.get("/metrics")[1]
    assert queued(stack) == [identity]


def test_a_right_that_is_missing_is_named(stack, make_worker, repo, rights):
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "-lpop")
    worker = make_worker(start=False, **rights).start(ready=False)
    wait_for(lambda: "redis refuses LPOP" in worker.not_ready(), 20, "said why")
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+lpop")
    assert stack.api.wait_end(identity) == "BUILDED"


def test_where_scripts_are_allowed_it_changes_nothing(stack, make_worker, repo):
    worker = make_worker(ALLOW_UNSAFE_QUEUE="true")
    wait_for(lambda: 'queue_guarantee{level="A"} 1' in worker.get("/metrics")[1], 10, "guarantee A")
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
