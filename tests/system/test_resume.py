"""What an attempt has done is not done again by the next one; failures that may pass are tried again in place."""

from __future__ import annotations

import json
import time

import pytest
from kit.process import wait_for

pytestmark = pytest.mark.every_engine

APP = {"Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN cat /a.txt\n", "a.txt": "first\n"}
NO_LATEST = {"refuse": "PUT .*/manifests/latest"}
NO_PUSH = {"refuse": "(POST|PUT) .*/(uploads/|manifests/d.*)"}


def slow() -> dict[str, str]:
    """Never in a cache."""
    return {**APP, "Dockerfile": APP["Dockerfile"] + f"RUN : {time.monotonic_ns()} && echo now-running && sleep 5\n"}


def stages(stack, identity: str) -> dict[str, object]:
    return json.loads(stack.redis.client.hget("{builder-queue}:stage", identity) or "{}")


def kill_when(stack, worker, identity: str, stage: str) -> None:
    """The worker dies when the stage is recorded and the log so far has arrived: builds are counted there."""
    wait_for(lambda: stage in stages(stack, identity) and builds(stack, identity), 60, f"{stage} recorded")
    worker.kill()


def crash_when(stack, worker, identity: str, stage: str) -> None:
    """The worker dies when the stage is recorded, what it waits for comes back, and it starts again."""
    kill_when(stack, worker, identity, stage)
    stack.ecr.control("/__fail", {})
    worker.start()


def interrupted(stack, worker, repo):
    """A build whose worker died in the middle: its repository and the deployment."""
    repository = repo(slow())
    identity = stack.api.enqueue(stack.job(repository.name))
    stack.api.wait_output(identity, "now-running")
    worker.kill()
    return repository, identity


def builds(stack, identity: str) -> int:
    return stack.api.log_text(identity).count("Building image from")


def test_behind_the_push_only_the_tag_is_moved(stack, worker, repo):
    stack.ecr.control("/__fail", NO_LATEST)
    identity = stack.api.enqueue(stack.job(repo(APP).name))
    crash_when(stack, worker, identity, "pushed")
    assert stack.api.wait_end(identity) == "BUILDED"
    log = stack.api.log_text(identity)
    assert builds(stack, identity) == 1, log
    assert "Build started again (attempt 2): the worker that had it was lost, and perhaps the end of its log\n" in log
    assert "An earlier attempt has built and pushed the image" in log
    name = f"deployra/{stack.api.deployments[identity].service}"
    assert [tag for _, _, tag, _ in stack.ecr.pushes(name)] == [identity, "latest"]
    digest = stack.ecr.digest_of(name, "latest")
    assert digest and digest == stack.ecr.digest_of(name, identity)
    assert stages(stack, identity) == {}, "nothing is remembered of what has ended"


@pytest.mark.one_engine
def test_what_the_engine_built_is_only_pushed(stack, worker, repo):
    """A standalone BuildKit keeps no image: it pushes while it builds."""
    stack.ecr.control("/__fail", NO_PUSH)
    identity = stack.api.enqueue(stack.job(repo(APP).name))
    crash_when(stack, worker, identity, "built")
    assert stack.api.wait_end(identity) == "BUILDED"
    assert builds(stack, identity) == 1, stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/a.txt"]) == "first\n"


def test_a_pushed_image_that_vanished_is_built_again(stack, worker, repo):
    stack.ecr.control("/__fail", NO_LATEST)
    identity = stack.api.enqueue(stack.job(repo(APP).name))
    kill_when(stack, worker, identity, "pushed")
    gone = {"repository": stages(stack, identity)["repository"], "pushed": "sha256:" + "0" * 64}
    stack.redis.client.hset("{builder-queue}:stage", identity, json.dumps(gone))
    stack.ecr.control("/__fail", {})
    worker.start()
    assert stack.api.wait_end(identity) == "BUILDED"
    assert builds(stack, identity) == 2, stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/a.txt"]) == "first\n"


def test_a_branch_that_moved_meanwhile_changes_nothing(stack, worker, repo):
    repository, identity = interrupted(stack, worker, repo)
    repository.commit({"a.txt": "second\n"})
    worker.start()
    assert stack.api.wait_end(identity) == "BUILDED"
    assert stack.output_of(identity, ["cat", "/a.txt"]) == "first\n"


def test_a_commit_that_was_pushed_away_gives_way_to_the_branch(stack, worker, repo):
    _, identity = interrupted(stack, worker, repo)
    gone = {**stages(stack, identity), "commit": "0" * 40}
    stack.redis.client.hset("{builder-queue}:stage", identity, json.dumps(gone))
    worker.start()
    assert stack.api.wait_end(identity) == "BUILDED"
    assert "gone from the repository" in stack.api.log_text(identity)


def test_a_failure_that_passes_is_tried_again_in_place(stack, worker, repo):
    """Longer than what the registry's client repeats by itself."""
    stack.ecr.control("/__fail", NO_LATEST)
    identity = stack.api.enqueue(stack.job(repo(APP).name))
    stack.api.wait_log(identity, "Trying again (attempt 2 of 3)", 120)
    stack.ecr.control("/__fail", {})
    assert stack.api.wait_end(identity) == "BUILDED"
    assert builds(stack, identity) == 1, stack.api.log_text(identity)
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


def test_a_build_that_hangs_is_stopped(stack, make_worker, repo):
    make_worker(SILENCE_TIMEOUT="6")
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN sleep 1017\n"}).name))
    assert stack.api.wait_end(identity) == "FAILED"
    assert "no sign of life for 6 seconds" in stack.api.error_of(identity)
    assert "RUN sleep 1017" in stack.api.error_of(identity)


@pytest.mark.hosts_pids
def test_what_another_worker_computes_is_no_sign_of_life(stack, make_worker, repo):
    make_worker(SILENCE_TIMEOUT="6")
    make_worker(REDIS_QUEUE_NAME="other-workers")
    computes = {"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()}; timeout 30 yes > /dev/null; true\n"}
    other = stack.api.enqueue(stack.job(repo(computes).name), "other-workers")
    stack.api.wait_log(other, "timeout 30 yes")
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN sleep 1018\n"}).name))
    assert stack.api.wait_end(identity, 20) == "FAILED"
    assert "no sign of life for 6 seconds" in stack.api.error_of(identity)
    assert stack.api.wait_end(other) == "BUILDED"


@pytest.mark.hosts_pids
def test_a_build_that_computes_in_silence_is_left_alone(stack, make_worker, repo):
    make_worker(SILENCE_TIMEOUT="6")
    computes = {"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()}; timeout 15 yes > /dev/null; true\n"}
    hangs = {"Dockerfile": "FROM busybox\nRUN sleep 1005\n"}
    identity, beside = (stack.api.enqueue(stack.job(repo(files).name)) for files in (computes, hangs))
    assert stack.api.wait_end(beside) == "FAILED", "what another service computes is no sign of its life"
    assert stack.api.wait_end(identity) == "BUILDED"
