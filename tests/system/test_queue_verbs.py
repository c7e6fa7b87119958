"""The verbs about the queue, beside workers that build."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest
from kit.platform_api import Deployment
from kit.process import free_port, wait_for
from kit.worker import BINARY

ROOT = Path(__file__).resolve().parents[2]
HOST = socket.gethostname()
SENTENCE = re.compile(r"deployra-builder: .+\n")


def slow() -> dict[str, str]:
    """A step that no engine knows already, and that does not end by itself."""
    return {"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep 1029\n"}


@pytest.fixture
def verb(stack, tmp_path):
    """Runs a verb as a person does: with the settings of Redis and no others."""

    def verb(*arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        done = subprocess.run([str(BINARY), *arguments], cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], **stack.redis.environment, **environment})
        return done.returncode, done.stdout, done.stderr

    return verb


@pytest.fixture
def told(verb):
    """What a verb prints as JSON."""

    def told(*arguments: str, **environment: str):
        code, out, err = verb(*arguments, "--json", **environment)
        assert (code, err) == (0, ""), (code, out, err)
        return json.loads(out)

    return told


@pytest.fixture
def submit(stack, verb):
    """A job that the platform knows, queued by the verb."""

    def submit(job: dict[str, object]) -> str:
        identity = str(job["deploymentId"])
        with stack.api.lock:
            stack.api.deployments.setdefault(identity, Deployment(identity, str(job["serviceId"])))
        code, out, err = verb("submit", "-", stdin=json.dumps(job, indent=2) + "\n")
        assert (code, err) == (0, "") and out.startswith(f"{identity} is queued, place "), (code, out, err)
        return identity

    return submit


def two_workers(make_worker):
    # A short lease has frequent beats, which bring the step that a build is in.
    return [make_worker(MAX_PARALLEL_BUILDS="1", LEASE_TIME="12s") for _ in range(2)]


def name_of(worker) -> str:
    """By the id that the worker itself sees."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return f"{HOST}:{re.findall(r'^NSpid:.*?([0-9]+)$', status, re.MULTILINE)[0]}"


def fill(stack, repo, count: int) -> list[str]:
    """Builds that keep their slots until they are cancelled."""
    running = [stack.api.enqueue(stack.job(repo(slow()).name)) for _ in range(count)]
    for identity in running:
        stack.api.wait_output(identity, "now-running")
    return running


def test_what_runs_where_and_what_waits(stack, make_worker, repo, verb, told, submit):
    workers = two_workers(make_worker)
    running = fill(stack, repo, 2)
    secrets = ["hunter22-of-a-customer", str(stack.git.provider()["password"])]
    job = stack.job(repo().name, environmentVariables=[{"key": "PASSWORD", "value": secrets[0]}])
    waiting = submit(job)

    wait_for(lambda: all("RUN" in (one["step"] or "") for one in told("queue")["running"]), 20, "the steps are told")
    queue = told("queue")
    assert queue["waiting"] == 1 and queue["queue"][0]["deployment"] == waiting
    assert queue["queue"][0]["position"] == 1 and queue["queue"][0]["repository"] == job["repositoryName"]
    assert {one["deployment"] for one in queue["running"]} == set(running)
    assert {one["worker"] for one in queue["running"]} == {name_of(worker) for worker in workers}
    for one in queue["running"]:
        assert one["phase"] == "build" and one["attempt"] == 1 and 0 <= one["age_seconds"] < 120
    seen = told("workers")["workers"]
    assert {f"{worker['host']}:{worker['pid']}" for worker in seen} == {name_of(worker) for worker in workers}
    version = subprocess.check_output([BINARY, "--version"], text=True).split()[1]
    for worker in seen:
        assert worker["slots"] == 1 and len(worker["running"]) == 1 and 0 < worker["lease_left_seconds"] <= 12
        assert worker["engine"] == f"docker {stack.docker.host}" and worker["pause"] is None and worker["version"] == version

    shown = told("show", running[0])
    assert shown["state"] == "running" and shown["running"]["phase"] == "build" and shown["attempts"] == 1
    assert re.fullmatch("[0-9a-f]{40}", shown["checkpoint"]["commit"])
    assert told("show", waiting)["state"] == "queued"
    code, text, _ = verb("queue")
    assert code == 0 and text.startswith("1 waiting, 2 running on 2 workers\n") and name_of(workers[0]) in text
    assert verb("show", waiting)[1].splitlines()[2].split() == ["Place", "1", "of", "1"]
    assert not [secret for secret in secrets if secret in text + json.dumps([queue, seen, shown])]
    assert not [secret for secret in secrets if secret in json.dumps(stack.redis.client.hgetall("{builder-queue}:about"))]

    code, out, _ = verb("cancel", waiting)
    assert (code, out) == (0, f"{waiting} was waiting and is removed; a worker tells the platform CANCELLED\n")
    for identity in running:
        code, out, _ = verb("cancel", identity)
        assert (code, out) == (0, f"{identity} is being built and is told to stop (2 workers heard it)\n")
    for identity in (*running, waiting):
        assert stack.api.wait_end(identity) == "CANCELLED"
    wait_for(lambda: told("queue")["undelivered"] == 0 and not told("queue")["running"], 20, "settled")
    code, _, err = verb("cancel", waiting)
    assert code == 1 and "had ended before as CANCELLED" in err
    shown = told("show", waiting)
    assert (shown["state"], shown["status"]) == ("ended", "CANCELLED") and shown["ended"] and shown["cancelled"]


def test_every_look_beside_builds_changes_nothing(stack, make_worker, repo, verb, told, submit):
    """All the time while two workers build; what must hold of the deployments is checked at the end of every test."""
    two_workers(make_worker)
    stop, looks, problems = threading.Event(), [0], []

    def look() -> None:
        while not stop.is_set():
            for arguments in (["queue"], ["queue", "--json", "-n", "500"], ["workers"], ["workers", "--json"],
                              ["dead"], ["show", built[-1]], ["show", built[0], "--json"]):
                code, out, err = verb(*arguments)
                looks[0] += 1
                if code or err:
                    problems.append((arguments, code, out, err))

    built = [submit(stack.job(repo().name)) for _ in range(3)]
    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(6):
            job = stack.job(repo().name)
            built.append(submit(job) if number % 2 else stack.api.enqueue(job))
        for identity in built:
            assert stack.api.wait_end(identity, 120) == "BUILDED"
        wait_for(lambda: stack.redis.unfinished() == [], 20, "settled")
        wait_for(lambda: looks[0] >= 14, 60, "all looks twice")
    finally:
        stop.set()
        thread.join()
    assert problems == []
    assert all(stack.api.statuses(identity) == ["BUILDING", "BUILDED"] for identity in built)


@pytest.mark.hosts_pids
def test_a_paused_worker_takes_nothing_until_it_is_resumed(stack, make_worker, repo, verb, told, submit):
    first, second = two_workers(make_worker)
    code, out, err = verb("pause", name_of(first), "--note", "new disk")
    assert (code, err) == (0, "") and out.startswith(f"{name_of(first)} takes no jobs from now on; nothing runs there.")
    for identity in [submit(stack.job(repo().name)) for _ in range(3)]:
        assert stack.api.wait_end(identity) == "BUILDED"
        assert f"deployment={identity}" in second.text() and f"deployment={identity}" not in first.text()
    wait_for(lambda: "paused: by " in first.not_ready(), 20, "said")
    assert re.search(r"^paused: by \S+@\S+ since \S+Z: new disk \(deployra-builder resume ends it\)$", first.not_ready(), re.M)
    assert second.is_ready() and first.metric("deployra_builder_paused") == 1 and second.metric("deployra_builder_paused") == 0
    pauses = {f"{worker['host']}:{worker['pid']}": worker["pause"] for worker in told("workers")["workers"]}
    assert pauses[name_of(first)]["note"] == "new disk" and pauses[name_of(second)] is None

    assert verb("resume", name_of(first)) == (0, f"{name_of(first)} takes jobs again\n", "")
    wait_for(first.is_ready, 20, "ready")
    assert verb("resume", name_of(first)) == (0, f"{name_of(first)} was not paused\n", "")


def test_a_pause_of_all_lets_builds_end_and_outlives_redis(stack, make_worker, repo, verb, submit):
    worker = make_worker(LEASE_TIME="12s")
    (running,) = fill(stack, repo, 1)
    code, out, _ = verb("pause", "--all")
    assert code == 0 and "all workers (1 is here) take no jobs from now on; 1 build goes on" in out
    waiting = submit(stack.job(repo().name))
    wait_for(lambda: "paused: by " in worker.not_ready(), 30, "said")
    verb("cancel", running)
    assert stack.api.wait_end(running) == "CANCELLED", "a cancel is obeyed"
    wait_for(lambda: stack.redis.unfinished() == [], 20, "settled")
    stack.redis.restart()
    wait_for(lambda: "redis:" not in worker.not_ready(), 60, "Redis is back")
    assert "paused: by " in worker.not_ready()
    assert stack.redis.client.lrange("builder-queue", 0, -1) and stack.api.statuses(waiting) == []
    late = make_worker(start=False)
    late.start(ready=False)
    wait_for(lambda: "paused: by " in late.not_ready() and late.not_ready().count("\n") == 1, 60, "only the pause is in its way")
    assert stack.api.statuses(waiting) == []
    code, _, err = verb("resume", HOST)
    assert code == 1 and "is still paused: deployra-builder resume --all ends that" in err
    assert verb("resume", "--all")[:2] == (0, "all workers take jobs again\n")
    assert stack.api.wait_end(waiting) == "BUILDED"


def test_who_is_no_worker_cannot_be_paused(stack, worker, verb, told):
    code, out, err = verb("pause", "nobody-here")
    assert (code, out) == (1, "") and name_of(worker) in err and SENTENCE.fullmatch(err)
    lease = told("workers")["workers"][0]["lease_id"]
    assert verb("pause", lease[:8])[1].startswith(f"{name_of(worker)} takes no jobs")
    assert verb("resume", lease[:8]) == (0, f"{name_of(worker)} takes jobs again\n", "")
    for arguments in (["pause"], ["resume"], ["pause", HOST, "--all"], ["dead", "drop"], ["dead", "drop", "1", "--all"]):
        code, out, err = verb(*arguments)
        assert (code, out) == (2, "") and "--all" in err


def test_a_worker_of_an_older_version_is_shown_with_what_is_known(stack, worker, verb, told):
    redis = stack.redis.client
    redis.zadd("{builder-queue}:workers", {"0ld0ld0ld0ld": (time.time() + 600) * 1000})
    redis.hset("{builder-queue}:own", "dold", "0ld0ld0ld0ld sold")
    assert [(one["lease_id"], one["version"]) for one in told("workers")["workers"]][1:] == [("0ld0ld0ld0ld", None)]
    assert [(one["deployment"], one["worker"], one["phase"]) for one in told("queue")["running"]] == [("dold", None, None)]
    assert "lease 0ld0ld0l" in verb("workers")[1] and "lease 0ld0ld0l" in verb("show", "dold")[1]
    code, _, err = verb("pause", "0ld0ld0ld")
    assert code == 1 and "SIGUSR2" in err
    code, _, err = verb("pause", "--all")
    assert code == 0 and "1 worker is of a version that knows no pauses" in err


def test_dead_letters_are_listed_and_dropped(stack, worker, verb, told):
    assert verb("dead") == (0, "There are no dead letters.\n", "")
    for element in ("garbage", '{"deploymentId":7}', "[]"):
        stack.api.push(element)
    wait_for(lambda: len(told("dead")) == 3, 20, "dropped by the worker")
    assert [(one["reason"], one["deployment"], one["bytes"]) for one in told("dead")] == [
        ("no job", None, 2), ("no job", None, 18), ("no job", None, 7)]
    code, _, err = verb("dead", "drop", "1", "9")
    assert code == 1 and "9" in err and len(told("dead")) == 3, "all or nothing"
    assert verb("dead", "drop", "2") == (0, "dropped 1 dead letter\n", "")
    assert [one["bytes"] for one in told("dead")] == [2, 7]
    assert verb("dead", "drop", "--all") == (0, "dropped 2 dead letters\n", "")
    assert told("dead") == []


@pytest.mark.parametrize("job, words", [
    ("nonsense", ":1:2: this is not JSON"),
    ("[]", ": the queue element is not a JSON object"),
    ("", " is empty"),
    ('{\n  "deploymentId": "d1",\n  "serviceId" "secret-value"\n}\n', ":3:28: this is not JSON"),
    ('{"deploymentId": "d1",\n', ":2:1: the JSON ends too early"),
    ('{"deploymentId":"../x"}', "deploymentId"),
    ('{"deploymentId":"d1","serviceId":"UPPER"}', "serviceId"),
    ('{"deploymentId":"d1","serviceId":"s1","branch":"--upload-pack=x","repositoryName":"a/b",'
     '"gitProvider":{"type":"GITHUB"}}', "branch"),
    pytest.param('{"deploymentId":"d1","serviceId":"s1","x":"' + "x" * (1 << 20) + '"}', "larger", id="larger")])
def test_what_workers_would_refuse_is_not_queued(stack, verb, job, words, tmp_path):
    (tmp_path / "job.json").write_text(job)
    for arguments, stdin in ((["submit", "job.json"], ""), (["submit", "-"], job)):
        code, out, err = verb(*arguments, stdin=stdin)
        assert (code, out) == (1, "") and words in err and SENTENCE.fullmatch(err), err
        assert ("job.json" if arguments[1] == "job.json" else "standard input") in err and "secret-value" not in err
    assert stack.redis.client.llen("builder-queue") == 0


def test_what_verbs_did_is_told_to_programs_as_well(stack, verb):
    identity = "d-json"
    job = {"deploymentId": identity, "serviceId": "s1", "repositoryName": "a/b"}
    assert json.loads(verb("submit", "-", "--json", stdin=json.dumps(job))[1]) == {"deployment": identity, "place": 1}
    assert json.loads(verb("cancel", identity, "--json")[1])["answer"] == "removed"
    assert json.loads(verb("pause", "--all", "--json")[1]) == {"paused": "*", "workers": 0, "running": 0}
    assert json.loads(verb("resume", "--all", "--json")[1]) == {"resumed": "*", "was_paused": True, "still_paused_by": []}
    assert json.loads(verb("resume", "--all", "--json")[1])["was_paused"] is False
    assert json.loads(verb("dead", "drop", "--all", "--json")[1]) == {"dropped": 0}


def test_the_job_of_the_help_is_one(stack, verb):
    code, out, _ = verb("submit", "--help")
    example = re.search(r"^  \{.*\}$", out, re.M | re.S)[0]
    assert code == 0
    code, out, err = verb("submit", "-", "--json", stdin=example)
    assert (code, err) == (0, "") and json.loads(out) == {"deployment": json.loads(example)["deploymentId"], "place": 1}
    fields = set(json.loads(example)) | {"commitSha", "runtimeFilePath", "ports"}
    documented = (ROOT / "docs" / "protocol.md").read_text()
    assert not [field for field in fields if f"`{field}`" not in documented]


def test_what_is_here_already_or_has_ended_is_not_queued_again(stack, make_worker, repo, verb, submit):
    job = stack.job(repo().name)
    identity = submit(job)
    code, _, err = verb("submit", "-", stdin=json.dumps(job))
    assert code == 1 and f"{identity} is queued already" in err
    make_worker()
    assert stack.api.wait_end(identity) == "BUILDED"
    code, _, err = verb("submit", "-", stdin=json.dumps(job))
    assert code == 1 and "has ended as BUILDED" in err
    code, out, err = verb("submit", "no-such-file")
    assert (code, out) == (1, "") and "no-such-file: No such file" in err


def test_what_is_not_known_is_said_so(stack, verb):
    for arguments in (["show", "d-nobody"], ["cancel", "d-nobody"]):
        code, out, err = verb(*arguments)
        assert (code, out) == (1, "") and "d-nobody is not known here" in err
    assert json.loads(verb("show", "d-somebody", "--json")[1])["state"] == "unknown"
    code, out, err = verb("cancel", "d-nobody", "--json")
    assert (code, err) == (1, "")
    assert json.loads(out) == {"deployment": "d-nobody", "answer": "unknown", "status": None, "listeners": 0}
    for arguments in (["show", "../x"], ["cancel", ""]):
        code, out, err = verb(*arguments)
        assert (code, out) == (2, "") and "no id" in err
    for arguments in (["queue"], ["workers"]):
        assert verb(*arguments)[0] == 0


LOOKS = [["queue"], ["workers"], ["show", "d1"], ["cancel", "d1"], ["dead"], ["dead", "drop", "--all"], ["pause", "--all"],
         ["resume", "--all"]]


@pytest.mark.parametrize("arguments", LOOKS[:2] + LOOKS[4:5])
def test_a_password_that_is_missing_is_named_with_its_setting(verb, arguments):
    code, out, err = verb(*arguments, REDIS_PASSWORD="")
    assert (code, out) == (1, "") and SENTENCE.fullmatch(err), err
    assert "NOAUTH" in err and "look at REDIS_PASSWORD" in err


@pytest.mark.parametrize("arguments", LOOKS[:2])
def test_a_queue_that_is_no_list_is_named_with_its_setting(stack, verb, arguments):
    stack.redis.client.set("no-list", "x")
    code, out, err = verb(*arguments, REDIS_QUEUE_NAME="no-list")
    assert (code, out) == (1, "") and SENTENCE.fullmatch(err), err
    assert "WRONGTYPE" in err and "look at REDIS_QUEUE_NAME" in err


@pytest.mark.parametrize("arguments", LOOKS)
def test_a_redis_that_is_away_is_named_with_its_setting(verb, arguments):
    code, out, err = verb(*arguments, REDIS_PORT=str(free_port()))
    assert (code, out) == (1, "") and SENTENCE.fullmatch(err), err
    assert "REDIS_HOST, REDIS_PORT" in err and "Connection refused" in err


def test_only_the_settings_of_redis_matter(verb):
    bad = {"API_URL": "ftp://h", "MAX_PARALLEL_BUILDS": "0", "DOCKER_HOST": "tcp://h"}
    assert verb("queue", **bad)[0] == 0
    code, out, err = verb("queue", **bad, REDIS_PORT="x")
    assert (code, out) == (2, "") and "1 error" in err and "REDIS_PORT" in err and "API_URL" not in err


def documented_rights() -> dict[str, list[str]]:
    """Of each verb, from the table in docs/protocol.md."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    section = re.search(r"<!-- rights of verbs -->\n(.*?)\n\n", text, re.S)
    assert section
    rows = re.findall(r"^\| (`.+?) \| `([^`]+)` \|$", section[1], re.M)
    return {verb: rights.split() for verbs, rights in rows for verb in re.findall("`([^`]+)`", verbs)}


@pytest.mark.parametrize("arguments", [*LOOKS, ["submit", "-"]])
def test_the_documented_rights_of_a_verb_suffice_and_are_needed(stack, make_worker, repo, verb, arguments):
    redis = stack.redis.client
    name = "dead drop" if arguments[:2] == ["dead", "drop"] else arguments[0]
    rights = documented_rights()[name]
    stack.api.push("garbage")
    worker = make_worker(LEASE_TIME="12s")
    wait_for(lambda: redis.llen("{builder-queue}:dead") == 1, 20, "a dead letter")
    running = fill(stack, repo, 1)[0]
    job = json.dumps(stack.job(repo().name))
    arguments = [running if word == "d1" else word for word in arguments]
    if name == "resume":
        redis.hset("{builder-queue}:pause", "*", "{}")
    try:
        redis.execute_command("ACL", "SETUSER", "verbs", "reset", "on", ">secret-of-user", "resetchannels", "-@all", *rights)
        user = {"REDIS_USERNAME": "verbs", "REDIS_PASSWORD": "secret-of-user"}
        # Without one of the commands it fails and names it, or does less and says so.
        for right in [right for right in rights if right.startswith("+") and right not in ("+auth", "+ping", "+client|setname")]:
            if name in ("queue", "workers", "show", "dead"):
                redis.execute_command("ACL", "SETUSER", "verbs", "-" + right[1:])
                code, out, err = verb(*arguments, **user)
                assert "NOPERM" in out + err, (right, code, out, err)
                redis.execute_command("ACL", "SETUSER", "verbs", right)
        code, out, err = verb(*arguments, stdin=job, **user)
        assert (code, err) == (0, "") and "NOPERM" not in out, (code, out, err)
    finally:
        redis.execute_command("ACL", "DELUSER", "verbs")
    redis.delete("{builder-queue}:pause")
    if name != "cancel":
        stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"
    if name == "submit":
        redis.delete("builder-queue")
    assert worker.stop() == 0


def read_all(terminal: int) -> bytes:
    out = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Its other end is closed.
            return out
        if not piece:
            return out
        out += piece


@pytest.mark.parametrize("columns", [40, 120])
def test_watch_draws_over_its_last_picture_until_ctrl_c(stack, worker, repo, verb, tmp_path, columns):
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    watching = subprocess.Popen([str(BINARY), "queue", "--watch"], cwd=tmp_path, stdin=other, stdout=other, stderr=other,
                                start_new_session=True,
                                env={"PATH": os.environ["PATH"], "TERM": "xterm", "NO_COLOR": "1", **stack.redis.environment})
    os.close(other)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(read_all(terminal)))
    pieces = b""

    def shows(text: bytes) -> bool:
        nonlocal pieces
        pieces += os.read(terminal, 65536)
        return text in pieces

    wait_for(lambda: shows(b"0 waiting, 0 running on 1 worker"), 20, "the first picture")
    running = fill(stack, repo, 1)[0]
    wait_for(lambda: shows(running.encode()), 20, "what began meanwhile")
    reader.start()
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    reader.join(10)
    out = (pieces + b"".join(seen)).decode()
    os.close(terminal)
    assert out.endswith("\x1b[J"), "the cursor stands below the last picture"
    assert "\x1b[2J" not in out and "\x1b[?" not in out, "nothing is cleared, nothing is left to restore"
    pictures = re.split(r"\x1b\[\d+F", out)
    assert len(pictures) >= 2
    for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out).split("\r\n"):
        assert len(line) <= columns, line
    stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"


def test_watch_needs_a_terminal_or_json(stack, verb, tmp_path):
    code, out, err = verb("queue", "--watch")
    assert (code, out) == (2, "") and "--json" in err and SENTENCE.fullmatch(err)
    watching = subprocess.Popen([str(BINARY), "queue", "--watch", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                                env={"PATH": os.environ["PATH"], **stack.redis.environment})
    assert watching.stdout
    assert [json.loads(watching.stdout.readline())["waiting"] for _ in range(2)] == [0, 0]
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(10) == 130
    watching.stdout.close()
