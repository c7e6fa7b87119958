"""Cancel, crashes, outages: every deployment ends, and only once."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import time
import urllib.parse

import pytest
from kit.git_server import PASSWORD, USER
from kit.platform_api import API_KEY
from kit.process import processes_matching, wait_for, wait_gone
from kit.registry import SECRET
from kit.stack import REDIS_PASSWORD
from kit.worker import ArgvSampler

pytestmark = pytest.mark.both_engines

SLOW = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1020\n"}
HUGE_LAYER = {"Dockerfile": "FROM busybox\nRUN head -c 30000000 /dev/urandom > /big\n"}


def in_phase(stack, worker, repo, phase, **job_changes):
    """Starts a deployment and returns when it is in the phase."""
    service = f"svc-{phase}-{time.monotonic_ns()}"
    if phase == "fetch":
        repository = repo()
        # A request that git waits for: nginx holds it until the backend answers.
        stalled = stack.git.provider(url=f"http://127.0.0.1:{stall_port(stack)}/git")
        identity = stack.api.enqueue(stack.job(repository.name, serviceId=service, gitProvider=stalled, **job_changes))
        wait_for(lambda: worker.children(), 20, "git runs")
    elif phase == "build":
        identity = stack.api.enqueue(stack.job(repo(SLOW).name, serviceId=service, **job_changes))
        stack.api.wait_output(identity, "now-running")
    else:
        stack.ecr.control("/__fail", {"delay": 30})
        identity = stack.api.enqueue(stack.job(repo(HUGE_LAYER).name, serviceId=service, **job_changes))
        stack.api.wait_log(identity, "Pushing image")
    return identity, service


_stall: list[int] = []


def stall_port(stack) -> int:
    """A listener that accepts and never answers."""
    if not _stall:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        _stall.append(listener.getsockname()[1])
        stack.keep = [*getattr(stack, "keep", []), listener]
    return _stall[0]


def no_leftovers(stack, worker):
    wait_for(lambda: not worker.build_folders(), 10, "build folders removed")
    wait_for(lambda: not worker.children(), 10, "children gone")
    wait_gone("sleep 1020")


@pytest.mark.parametrize("phase", ["fetch", "build", "push"])
def test_cancel_stops_a_running_build(stack, worker, repo, phase):
    identity, service = in_phase(stack, worker, repo, phase)
    asked = time.monotonic()
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    assert time.monotonic() - asked < 15  # Less than what it would wait for.
    no_leftovers(stack, worker)
    stack.ecr.control("/__fail", {})
    wait_for(lambda: stack.redis.unfinished() == [], 10, "job settled")
    mine = [json.loads(entry.body) for entry in stack.api.record if f"/{identity}/" in entry.path]
    assert [post.get("status") for post in mine].index("CANCELLED") == len(mine) - 1, "nothing comes behind it"
    assert stack.api.deployments[identity].logs[-1][1:] == ("ERROR", "Deployment cancelled by user")
    assert stack.ecr.digest_of(f"deployra/{service}", "latest") is None


@pytest.mark.one_engine
def test_cancel_of_a_queued_job(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="1")
    running, _ = in_phase(stack, worker, repo, "build")
    queued = stack.api.enqueue(stack.job(repo().name))
    wait_for(lambda: stack.redis.client.llen("builder-queue") == 1)
    stack.api.cancel(queued)
    wait_for(lambda: stack.redis.client.llen("builder-queue") == 0, 20, "job removed from the queue")
    wait_for(lambda: stack.api.final_posts(queued) == ["CANCELLED"], 20)
    assert "BUILDING" not in stack.api.statuses(queued)
    stack.api.cancel(running)
    stack.api.wait_end(running)


@pytest.mark.one_engine
def test_cancel_while_the_worker_was_away(stack, make_worker, repo):
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.api.cancel(identity)
    make_worker()
    assert stack.api.wait_end(identity) == "CANCELLED"
    assert "BUILDED" not in stack.api.statuses(identity)
    assert "Building image" not in stack.api.log_text(identity)


@pytest.mark.one_engine
def test_a_deleted_service_is_not_built(stack, make_worker, repo):
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.api.deployments[identity].service_deleted = True
    make_worker()
    assert stack.api.wait_end(identity) == "CANCELLED"


@pytest.mark.one_engine
def test_a_deployment_that_the_platform_never_had_stops_no_other_and_becomes_a_dead_letter(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="1", UNKNOWN_DEPLOYMENT_TIMEOUT="1s")
    unknown = stack.job(repo().name)["deploymentId"]
    stack.api.push(stack.job(repo().name, deploymentId=unknown))
    wait_for(lambda: unknown in worker.not_ready(), 20, "it may be an outage")
    gone = 'deployra_builder_builds_total{result="gone"}'
    built = []

    def others_are_known() -> bool:
        built.append(stack.api.enqueue(stack.job(repo().name)))
        assert stack.api.wait_end(built[-1]) == "BUILDED"
        return worker.metric(gone) == 1

    wait_for(others_are_known, 60, "given up")
    assert worker.metric('deployra_builder_dead_letters_total{reason="unknown"}') == 1
    assert re.search(rf"error +deployment={unknown} .*dead letter: .*Deployment not found", worker.text())
    wait_for(lambda: stack.redis.unfinished() == [], 20, "settled")
    dead = json.loads(stack.redis.client.lindex("{builder-queue}:dead", 0))
    assert (dead["id"], dead["reason"]) == (unknown, "unknown")
    wait_for(worker.is_ready, 20, "ready")


LINES_THAT_END_MEANWHILE = "echo now-running; sleep 1; for i in $(seq 200); do echo line-$i; done; sleep 1; echo line-201"


def running_build(stack, repo) -> str:
    step = f"RUN : {time.monotonic_ns()}; {LINES_THAT_END_MEANWHILE}"
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\n{step}\n"}).name))
    stack.api.wait_output(identity, "now-running")
    return identity


def ended_whole(stack, identity) -> None:
    assert stack.api.wait_end(identity) == "BUILDED"
    lines = re.findall(r"^line-(\d+)$", stack.api.log_text(identity), re.M)
    assert [int(line) for line in lines] == list(range(1, 202))
    assert re.search(r"^Log complete: \d+ lines$", stack.api.log_text(identity), re.M)
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


@pytest.mark.one_engine
def test_what_is_not_the_platform_loses_nothing(stack, worker, repo):
    """A proxy while its backend is deployed, a maintenance page, an ingress that wants https."""
    strangers = [(404, {"Content-Type": "text/plain"}, b"404 page not found\n"),
                 (200, {"Content-Type": "text/html"}, b"<!doctype html><title>Back soon</title>"),
                 (308, {"Location": "https://platform.test/api/x"}, b""), (502, {}, b"Bad Gateway")]
    running = running_build(stack, repo)
    queued = []
    for stranger in strangers:
        stack.api.in_front = lambda path, body, stranger=stranger: stranger
        wait_for(lambda stranger=stranger: str(stranger[0]) in worker.not_ready(), 20, f"not ready: {stranger}")
        assert "API_URL" in worker.not_ready()
        queued.append(stack.api.enqueue(stack.job(repo().name)))
    wait_for(lambda: re.search(rf"deployment={running} .*promote took", worker.text()), 20, "built")
    assert stack.redis.client.llen("builder-queue") == len(queued)
    stack.api.in_front = lambda path, body: None
    ended_whole(stack, running)
    for identity in queued:
        assert stack.api.wait_end(identity) == "BUILDED"
        assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


@pytest.mark.one_engine
def test_a_platform_without_its_database_loses_nothing(stack, worker, repo):
    running = running_build(stack, repo)
    stack.api.has_database = False
    queued = stack.api.enqueue(stack.job(repo().name))
    wait_for(lambda: "database" in worker.not_ready(), 20, "not ready")
    wait_for(lambda: re.search(rf"deployment={running} .*promote took", worker.text()), 20, "built")
    stack.api.has_database = True
    ended_whole(stack, running)
    assert stack.api.wait_end(queued) == "BUILDED"


@pytest.mark.one_engine
def test_a_firewall_that_dislikes_a_text_is_that_post_s_affair(stack, worker, repo):
    refusal = 403, {"Content-Type": "text/html"}, b"<title>403 Forbidden</title>Request blocked."
    stack.api.in_front = lambda path, body: refusal if b"/etc/passwd" in body else None
    poisoned = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN false /etc/passwd\n"}).name))
    assert stack.api.wait_end(poisoned) == "FAILED"
    assert "did not take the reason" in stack.api.error_of(poisoned)
    assert "the platform refuses this line" in stack.api.log_text(poisoned)
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    assert "not ready: platform" not in worker.text().split(f"deployment={poisoned}", 1)[1]


@pytest.mark.one_engine
def test_late_and_repeated_and_malformed_cancels_do_no_harm(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED"
    for message in ("garbage", "{}", '{"deploymentId":7}', '{"deploymentId":"../x"}', f'{{"deploymentId":"{identity}"}}'):
        stack.redis.client.publish("builder:cancel", message)
    other = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(other) == "BUILDED"
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


@pytest.mark.parametrize("phase", ["fetch", "build", "push"])
def test_kill_9_loses_no_job(stack, make_worker, repo, phase):
    worker = make_worker()
    identity, service = in_phase(stack, worker, repo, phase)
    worker.kill()
    wait_gone("sleep 1020")
    stack.ecr.control("/__fail", {})
    worker.start()
    if phase == "push":
        assert stack.api.wait_end(identity) == "BUILDED"
        assert stack.ecr.digest_of(f"deployra/{service}", "latest") == stack.ecr.digest_of(f"deployra/{service}", identity)
    else:
        wait_for(lambda: stack.api.statuses(identity).count("BUILDING") >= (2 if phase == "build" else 1), 20, "built again")
        stack.api.cancel(identity)
        assert stack.api.wait_end(identity) == "CANCELLED"
    no_leftovers(stack, worker)
    assert len(stack.api.final_posts(identity)) == 1


@pytest.mark.parametrize("phase", ["fetch", "build", "push"])
def test_a_second_signal_gives_the_job_back(stack, make_worker, repo, phase):
    worker = make_worker()
    identity, _ = in_phase(stack, worker, repo, phase)
    worker.signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in worker.text())
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    wait_gone("sleep 1020")
    assert stack.redis.client.llen("builder-queue") == 1
    assert stack.api.final_posts(identity) == []
    assert stack.redis.unfinished() == []


def test_sigterm_lets_running_builds_finish_and_takes_no_more(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="1")
    repository = repo({"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep 3\n"})
    running = stack.api.enqueue(stack.job(repository.name))
    stack.api.wait_output(running, "now-running")
    waiting = stack.api.enqueue(stack.job(repo().name))
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert stack.api.final_posts(running) == ["BUILDED"]
    assert stack.api.statuses(waiting) == [] and stack.redis.client.llen("builder-queue") == 1


def test_the_drain_timeout_gives_the_job_back(stack, make_worker, repo):
    worker = make_worker(DRAIN_TIMEOUT="1")
    in_phase(stack, worker, repo, "build")
    worker.signal(signal.SIGINT)
    assert worker.wait(10) == 0
    assert stack.redis.client.llen("builder-queue") == 1
    wait_gone("sleep 1020")


def test_a_build_timeout_is_a_failure_that_says_so(stack, make_worker, repo):
    make_worker(BUILD_TIMEOUT="2")
    identity = stack.api.enqueue(stack.job(repo(SLOW).name))
    assert stack.api.wait_end(identity) == "FAILED"
    assert "took longer than" in stack.api.error_of(identity)
    wait_gone("sleep 1020")


@pytest.mark.one_engine
def test_an_api_that_is_away_loses_no_line_and_no_status(stack, worker, repo):
    step = f"RUN : {time.monotonic_ns()} && echo now-running && for i in $(seq 200); do echo line-$i; sleep 0.01; done"
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\n{step}\n"}).name))
    stack.api.wait_output(identity, "now-running")
    stack.api.stop()
    try:
        time.sleep(60)
    finally:
        stack.api.start()
    assert stack.api.wait_end(identity) == "BUILDED"
    lines = re.findall(r"line-(\d+)$", stack.api.log_text(identity), re.M)
    assert [int(line) for line in lines] == list(range(1, 201))


@pytest.mark.one_engine
@pytest.mark.parametrize("faults", [[500] * 3, ["drop"] * 2, [429], [503, "drop", 408]])
def test_statuses_survive_an_unwell_api(stack, make_worker, repo, faults):
    stack.api.faults[:] = list(faults)
    identity = stack.api.enqueue(stack.job(repo().name))
    make_worker()
    assert stack.api.wait_end(identity) == "BUILDED"
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


@pytest.mark.one_engine
def test_with_a_wrong_api_key_no_job_is_taken(stack, make_worker, repo):
    worker = make_worker(start=False, API_KEY="wrong-api-key").start(ready=False)
    identity = stack.api.enqueue(stack.job(repo().name))
    wait_for(lambda: "API_KEY" in worker.not_ready(), 20, "not ready")
    time.sleep(1)
    assert stack.redis.client.llen("builder-queue") == 1 and stack.redis.unfinished() == []
    assert stack.api.statuses(identity) == [] and "cloning" not in worker.text().lower()


@pytest.mark.one_engine
def test_redis_may_restart_at_any_time(stack, worker, repo):
    identity, _ = in_phase(stack, worker, repo, "build")
    stack.redis.restart()
    quick = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(quick) == "BUILDED"
    wait_for(lambda: stack.redis.client.pubsub_numsub("builder:cancel")[0][1] == 1, 10, "subscribed again")
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    wait_for(lambda: stack.redis.unfinished() == [], 10, "jobs settled")


def test_a_registry_in_trouble_is_asked_again(stack, worker, repo):
    stack.ecr.control("/__fail", {"api": ["throttle", "500"], "data": [503, 502]})
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)


def test_an_expired_registry_token_is_renewed(stack, worker, repo):
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    stack.ecr.control("/__expire")
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"


def test_a_repository_deleted_in_between_is_made_again(stack, worker, repo):
    repository = repo()
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repository.name, serviceId="svc-deleted"))) == "BUILDED"
    stack.ecr.api("DeleteRepository", repositoryName="deployra/svc-deleted", force=True)
    repository.commit({"a.txt": "new"})
    identity = stack.api.enqueue(stack.job(repository.name, serviceId="svc-deleted"))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)


def test_an_engine_that_restarts_during_a_build(stack, worker, repo):
    identity, _ = in_phase(stack, worker, repo, "build")
    stack.engine.stop(signal.SIGKILL)
    try:
        for pid in processes_matching("sleep 1020"):
            with contextlib.suppress(ProcessLookupError):  # One that ended with another.
                os.kill(pid, signal.SIGKILL)
    finally:
        stack.engine.start()
    wait_for(lambda: stack.api.outputs(identity, "now-running") > 1 or stack.api.final_posts(identity), 60)
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) in ("CANCELLED", "FAILED")
    wait_gone("sleep 1020", 10)
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"


def test_no_job_is_taken_while_the_engine_is_away(stack, worker, repo):
    stack.engine.stop()
    try:
        wait_for(lambda: "engine: " in worker.not_ready(), 20, "not ready")
        identity = stack.api.enqueue(stack.job(repo().name))
        wait_for(lambda: "not ready: engine" in worker.text(), 20, "it is in the log")
        # A take that waited already may have got it; it is given back at once.
        wait_for(lambda: stack.redis.client.llen("builder-queue") == 1, 20, "it is in the queue")
        time.sleep(1)
        assert stack.redis.client.llen("builder-queue") == 1 and stack.api.statuses(identity) == []
    finally:
        stack.engine.start()
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)


def base64_core(value: str) -> str:
    """The characters that do not depend on what follows the value."""
    return base64.b64encode(value.encode()).decode()[:len(value.encode()) * 8 // 6]


def test_no_secret_is_shown_anywhere(stack, make_worker, repo):
    token = "gho_" + "Sup3rSecretToken0123456789abcd"
    secret_value = "hunter2-value-of-a-secret"
    planted = [PASSWORD, API_KEY, SECRET, REDIS_PASSWORD, secret_value, token]
    forms = [form for value in planted for form in (
        value, urllib.parse.quote(value, safe=""), base64_core(value))]
    forms.append(base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    prints = "\n".join(f"printf '%s\\n' '{form}'" for form in forms)
    with ArgvSampler() as argv:
        worker = make_worker()
        good = repo({"Dockerfile": "FROM busybox\nCOPY s.sh /\nRUN sh /s.sh\n", "s.sh": prints + f"\nprintf '{PASSWORD[:4].replace('%', '%%')}'; sleep 0.3; printf '{PASSWORD[4:].replace('%', '%%')}\\n'"})
        jobs = [stack.job(good.name, environmentVariables=[{"key": "MY_TOKEN", "value": secret_value}, {"key": "API_SECRET", "value": token}]),
                stack.job("team/missing"), stack.job(good.name, gitProvider=stack.git.provider(username="nobody"))]
        for job in jobs:
            stack.api.wait_end(stack.api.enqueue(job))
    haystacks = {"argv": "\n".join(line for line in argv.seen if "AKIDEXAMPLE:" not in line),
                 "service log": worker.text(), "metrics": worker.get("/metrics")[1],
                 "api": stack.api.all_bytes().decode(errors="replace")}
    for path in worker.work_dir.rglob("*"):
        if path.is_file() and path.stat().st_size < 1_000_000:
            haystacks[str(path)] = path.read_bytes().decode(errors="replace")
    known_in_repository = {form for form in forms}
    for where, text in haystacks.items():
        for form in known_in_repository:
            if form in text:
                pytest.fail(f"{form!r} is shown in {where}: …{text[max(0, text.index(form) - 80):text.index(form) + 80]!r}")
    assert "[REDACTED]" in haystacks["api"]


def test_nothing_leaks_over_many_deployments(stack, worker, repo):
    """With 32 deployments a descriptor that each of them leaves is more than all HTTP sessions have."""
    repository, started = repo(), worker.open_files()
    for round_number in range(4):
        identities = [stack.api.enqueue(stack.job(repository.name)) for _ in range(8)]
        for identity in identities:
            assert stack.api.wait_end(identity) == "BUILDED"
        wait_for(lambda: worker.metric("deployra_builder_builds_running") == 0, 20)
        no_leftovers(stack, worker)
        if round_number == 0:
            before, threads = worker.open_files(), worker.threads()
            before["unix"] = started["unix"]
    worker.wait_for_closed(before, stack.redis.port, stack.api.port, stack.ecr.port)
    wait_for(lambda: worker.threads() <= threads + 4, 20, f"threads back to {threads}")


@pytest.mark.one_engine
def test_a_new_process_starts_while_the_old_one_drains(stack, make_worker, repo):
    old = make_worker(MAX_PARALLEL_BUILDS="1")
    repository = repo({"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep 5\n"})
    running = stack.api.enqueue(stack.job(repository.name))
    stack.api.wait_output(running, "now-running")
    old.signal(signal.SIGTERM)
    new = make_worker(WORK_DIR=str(old.work_dir))
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    assert stack.api.wait_end(running) == "BUILDED"
    assert stack.api.statuses(running) == ["BUILDING", "BUILDED"]
    assert old.wait(20) == 0
    assert new.stop() == 0
    assert list((old.work_dir / "processes").glob("*/")) == []


@pytest.mark.one_engine
def test_version_1_0_left_jobs_and_cancels(stack, make_worker, repo):
    worker = make_worker(start=False)
    worker.work_dir.mkdir(parents=True)
    (worker.work_dir / "worker-id").write_text("old-one\n")
    taken, cancelled = stack.job(repo().name), stack.job(repo().name)
    for job in (taken, cancelled):
        stack.api.enqueue(job)
        stack.redis.client.rpush("{builder-queue}:taken:old-one", stack.redis.client.lpop("builder-queue"))
    stack.redis.client.zadd("{builder-queue}:cancelled", {cancelled["deploymentId"]: time.time() + 1000})
    worker.start()
    assert stack.api.wait_end(taken["deploymentId"]) == "BUILDED"
    assert stack.api.wait_end(cancelled["deploymentId"]) == "CANCELLED"
    assert stack.redis.client.keys("*:taken:*") + stack.redis.client.keys("*:cancelled") == []


@pytest.mark.one_engine
def test_systemd_is_told_when_the_worker_is_ready_and_when_it_stops(make_worker, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        worker = make_worker(NOTIFY_SOCKET=str(path))
        assert listener.recv(4096) == b"READY=1"
        assert worker.stop() == 0
        assert listener.recv(4096) == b"STOPPING=1"
        # Or systemd would kill a drain that takes longer than it has been told to wait.
        assert listener.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")


@pytest.mark.one_engine
def test_trouble_that_repeats_is_said_once(stack, make_worker):
    worker = make_worker()
    stack.redis.stop()
    try:
        wait_for(lambda: "cancel messages are not heard: Redis at " in worker.text(), 20, "said")
        time.sleep(5)  # Time for five more tries.
        assert worker.text().count("cancel messages are not heard: Redis at ") == 1
    finally:
        stack.redis.start()
    wait_for(worker.is_ready, 30, "heard again")
