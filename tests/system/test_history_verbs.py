"""What was built, read by the verbs: on the worker's host, and from the workers over HTTP."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest
from kit.process import free_port, wait_for
from kit.worker import BINARY, ROOT

pytestmark = pytest.mark.one_engine

HOST = socket.gethostname()
TOKEN = "t0ken-0f-the-history-tests"
SENTENCE = re.compile(r"deployra-builder: .+\n")


def never_cached(*commands: str) -> dict[str, str]:
    return {"Dockerfile": "\n".join(["FROM busybox", f"RUN : {time.monotonic_ns()}", *commands]) + "\n"}


@pytest.fixture
def start(stack, tmp_path):
    """A verb as a person starts it: with the settings of Redis, and no others but those that are given."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen([str(BINARY), *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={"PATH": os.environ["PATH"], **stack.redis.environment, **environment})

    return start


@pytest.fixture
def verb(start):
    def verb(*arguments: str, **environment: str) -> tuple[int, str, str]:
        running = start(*arguments, **environment)
        out, err = running.communicate(timeout=60)
        return running.returncode, out, err

    return verb


def serving(make_worker, **environment: str):
    """A worker that shows its history to others on this machine."""
    worker = make_worker(start=False, **{"HISTORY_TOKEN": TOKEN, **environment})
    worker.environment["HISTORY_ADDRESS"] = f"http://127.0.0.1:{worker.port}"
    return worker.start()


def name_of(worker) -> str:
    return f"{HOST}:{worker.process.pid}"


def build(stack, repo, *commands: str) -> tuple[str, str]:
    identity = stack.api.enqueue(stack.job(repo(never_cached(*commands)).name))
    return identity, stack.api.wait_end(identity)


def here(worker) -> dict[str, str]:
    return {"HISTORY_DIR": str(worker.work_dir / "history")}


def runs_of(verb, *arguments: str, **environment: str) -> list[dict]:
    code, out, err = verb("list", "--json", *arguments, **environment)
    assert code == 0, (out, err)
    return json.loads(out)["runs"]


def ended(verb, identity: str, **environment: str) -> dict:
    """The deployment's run, once its end is kept: a moment after the platform was told."""
    def look():
        found = [run for run in runs_of(verb, **environment) if run["deployment"] == identity and run["ended"]]
        return found[0] if found else None

    return wait_for(look, 30, f"{identity} in the history")


def test_what_was_built_here_is_listed_shown_and_printed(stack, worker, repo, verb):
    good, status = build(stack, repo, "RUN echo a-line-of-output")
    assert status == "BUILDED"
    bad, status = build(stack, repo, "RUN echo the-last-words && exit 7")
    assert status == "FAILED"
    ended(verb, good, **here(worker))
    run = ended(verb, bad, **here(worker))
    assert (run["outcome"], run["attempt"], run["worker"], run["branch"]) == ("failed", 1, name_of(worker), "main")
    assert "exit code 7" in run["line"] and run["category"] and re.fullmatch("[0-9a-f]{40}", run["commit"])
    assert [run["deployment"] for run in runs_of(verb, **here(worker))] == [bad, good]
    assert [run["deployment"] for run in runs_of(verb, "--outcome", "builded", **here(worker))] == [good]
    assert [run["deployment"] for run in runs_of(verb, "--service", run["service"], **here(worker))] == [bad]
    assert [run["deployment"] for run in runs_of(verb, "-n", "1", **here(worker))] == [bad]
    assert len(runs_of(verb, "--since", "1h", **here(worker))) == 2
    assert runs_of(verb, "--since", "2100-01-01", **here(worker)) == []
    code, out, err = verb("list", **here(worker))
    assert (code, err) == (0, "") and out.splitlines()[0].split()[:3] == ["DEPLOYMENT", "SERVICE", "OUTCOME"]
    assert out.splitlines()[1].split()[0] == bad and name_of(worker) in out

    code, out, err = verb("show", bad, **here(worker))
    assert (code, err) == (0, "") and "State        ended" in out and "the-last-words" in out and "docker.io/library/busybox" in out
    assert re.search(r"^failed after .+ RUN echo the-last-words", out, re.M) and re.search("^fetch +[0-9.]+s$", out, re.M)
    shown = json.loads(verb("show", good, "--json", **here(worker))[1])
    assert shown["status"] == "BUILDED" and shown["missing"] == []
    (run,) = shown["history"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", run["digest"]) and run["log_end"] == [] and run["rows_lost"] == 0
    assert [phase["name"] for phase in run["phases"]] == ["fetch", "build", "promote", "report"]
    assert any("RUN echo a-line-of-output" in step["name"] and not step["failed"] for step in run["steps"])
    assert {base["reference"] for base in run["bases"]} <= {"docker.io/library/busybox"} and run["variables"] == []

    code, out, err = verb("logs", good, **here(worker))
    posted = stack.api.log_text(good).splitlines()
    # The worker's own rows, but for the one that counts them.
    told = [line for line in posted if not line.startswith(("Log complete", "Awaiting deploy"))]
    assert (code, err) == (0, "") and out.splitlines() == told
    assert verb("logs", "-n", "2", good, **here(worker))[1].splitlines() == out.splitlines()[-2:]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", verb("logs", "-t", good, **here(worker))[1])
    rows = [json.loads(line) for line in verb("logs", "--json", good, **here(worker))[1].splitlines()]
    assert [row["row"] for row in rows] == list(range(len(rows))) and {row["deployment"] for row in rows} == {good}
    assert {"type": "STDOUT", "line": "a-line-of-output"}.items() <= next(row for row in rows if "a-line" in row["line"] and row["type"] == "STDOUT").items()


def test_what_is_not_there_is_said_so(stack, worker, repo, verb, tmp_path):
    identity, _ = build(stack, repo, "RUN true")
    ended(verb, identity, **here(worker))
    code, out, err = verb("logs", "d-nobody", **here(worker))
    assert (code, out) == (1, "") and err == "deployra-builder: no history has deployment d-nobody\n"
    code, out, err = verb("logs", "--attempt", "3", identity, **here(worker))
    assert (code, out) == (1, "") and "attempt 3" in err and "these are: 1" in err
    nowhere = {"HISTORY_DIR": str(tmp_path / "nowhere")}
    code, out, err = verb("logs", identity, **nowhere)
    assert (code, out) == (1, "") and f"{name_of(worker)}: it shows no history: its HISTORY_TOKEN is not set" in err
    assert f"no history has deployment {identity}, which is ended" in err
    code, out, err = verb("list", **nowhere)
    assert (code, out) == (1, "") and "no history can be read" in err
    code, out, err = verb("show", identity, **nowhere)
    assert (code, err) == (0, "") and "State        ended" in out, "as without histories"
    for arguments in (["list", "--since", "soon"], ["list", "--outcome", "good"], ["list", "-n", "0"], ["logs"], ["logs", "../x"],
                      ["logs", "d1", "--attempt", "0"]):
        assert verb(*arguments, **nowhere)[:2] == (2, ""), arguments
    assert verb("list", HISTORY_TOKEN="short")[0] == 2 and verb("queue", HISTORY_TOKEN="short")[0] == 0
    # Redis is away, but what is here can be read.
    code, out, err = verb("list", **{**here(worker), "REDIS_PORT": str(free_port())})
    assert code == 0 and identity in out and SENTENCE.fullmatch(err) and "REDIS_HOST" in err


@pytest.mark.parametrize("remote", [False, True])
def test_a_log_is_followed_until_its_build_has_ended(stack, make_worker, repo, start, verb, remote):
    worker = serving(make_worker)
    environment = {"HISTORY_TOKEN": TOKEN} if remote else here(worker)
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN echo now-running && sleep 1033")).name))
    stack.api.wait_output(identity, "now-running")
    wait_for(lambda: "now-running" in verb("logs", identity, **environment)[1].splitlines(), 30, "kept")
    assert runs_of(verb, "--outcome", "running", **environment)[0]["deployment"] == identity
    following, aborted = start("logs", "-f", identity, **environment), start("logs", "-f", identity, **environment)
    assert following.stdout and aborted.stdout
    while following.stdout.readline() != "now-running\n":
        assert following.poll() is None
    while aborted.stdout.readline() != "now-running\n":
        assert aborted.poll() is None
    aborted.send_signal(signal.SIGINT)
    assert aborted.wait(30) == 130
    stack.api.cancel(identity)
    rest, err = following.communicate(timeout=60)
    assert following.returncode == 0 and err == "", err
    assert stack.api.wait_end(identity) == "CANCELLED"
    assert rest.splitlines()[-1] in stack.api.log_text(identity).splitlines()[-2:], rest
    assert ended(verb, identity, **environment)["outcome"] == "cancelled"


def test_histories_of_other_workers_are_read_and_those_that_are_missing_named(stack, make_worker, repo, verb):
    good = serving(make_worker)
    identity, status = build(stack, repo, "RUN echo a-line-of-output")
    assert status == "BUILDED"
    assert good.get("/history")[0] == 401 and good.get(f"/history/{identity}")[0] == 401
    others = {
        "wrong token": serving(make_worker, HISTORY_TOKEN="another-token-of-this-test"),
        "gone": serving(make_worker),
        "keeps none": serving(make_worker, HISTORY_KEEP="0"),
        "no token": make_worker(),
    }
    names = {what: name_of(worker) for what, worker in others.items()}
    others["gone"].kill()
    stack.redis.client.zadd("{builder-queue}:workers", {"0ld0ld0ld0ld": (time.time() + 600) * 1000})
    told = {"HISTORY_TOKEN": TOKEN}
    assert others["keeps none"].get("/history")[0] == 404 and others["no token"].get("/history")[0] == 404

    run = ended(verb, identity, **told)
    assert (run["worker"], run["outcome"]) == (name_of(good), "builded")
    code, out, err = verb("list", "--json", **told)
    missing = {each["whose"].split(" ")[0]: each["why"] for each in json.loads(out)["missing"]}
    assert "is not signed with the HISTORY_TOKEN" in missing[names["wrong token"]] and "HISTORY_KEEP is 0" in missing[names["keeps none"]]
    assert "HISTORY_TOKEN is not set" in missing[names["no token"]] and names["gone"] in missing
    assert missing["lease"] == "it is of a version without a history" and name_of(good) not in missing
    assert len(err.splitlines()) == len(missing) and all(SENTENCE.fullmatch(line + "\n") for line in err.splitlines())
    code, out, err = verb("logs", identity, **told)
    assert code == 0 and "a-line-of-output" in out.splitlines()
    shown = json.loads(verb("show", identity, "--json", **told)[1])
    assert shown["history"][0]["worker"] == name_of(good) and shown["history"][0]["steps"]
    # Read twice, as a file and over HTTP, a run is told once.
    assert [run["deployment"] for run in runs_of(verb, **told, **here(good))] == [identity]
    # Without the token nobody is asked.
    code, out, err = verb("list")
    assert (code, out) == (1, "") and f"{name_of(good)}: it is not asked: HISTORY_TOKEN is not set here" in err
    assert TOKEN not in "".join(worker.text() for worker in (good, *others.values()))
    assert TOKEN not in json.dumps(stack.redis.client.hgetall("{builder-queue}:about"))


@pytest.mark.parametrize("arguments", [["list"], ["logs", "d1"], ["show", "d1"]])
def test_the_documented_rights_suffice(stack, worker, repo, verb, arguments):
    identity, _ = build(stack, repo, "RUN true")
    ended(verb, identity, **here(worker))
    # `show` needs those of `logs` once it looks at the workers.
    name = "list" if arguments == ["list"] else "logs"
    rights = re.search(rf"^\| .*`{name}`.* \| `([^`]+)` \|$", (ROOT / "docs" / "protocol.md").read_text(), re.M)
    assert rights
    redis = stack.redis.client
    try:
        redis.execute_command("ACL", "SETUSER", "verbs", "reset", "on", ">secret-of-user", "resetchannels", "-@all", *rights[1].split())
        code, out, err = verb(*[identity if word == "d1" else word for word in arguments], **here(worker), HISTORY_TOKEN=TOKEN,
                              REDIS_USERNAME="verbs", REDIS_PASSWORD="secret-of-user")
    finally:
        redis.execute_command("ACL", "DELUSER", "verbs")
    assert code == 0 and err == "" and out, err


def test_thousands_of_slow_readers_keep_neither_health_nor_memory(stack, make_worker, repo, verb):
    worker = serving(make_worker)
    identity, status = build(stack, repo, "RUN i=0; while [ $i -lt 20000 ]; do echo $i-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; i=$((i+1)); done")
    assert status == "BUILDED"
    run = ended(verb, identity, HISTORY_TOKEN=TOKEN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    before = worker.memory()
    readers: list[socket.socket] = []
    answers = []
    try:
        for number in range(2000):
            reader = socket.create_connection(("127.0.0.1", worker.port), timeout=30)
            secret = TOKEN if number % 2 else "of-nobody"
            reader.sendall(f"GET /history/runs/{run['run']}/log?from=0 HTTP/1.1\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
            readers.append(reader)
            if number % 20 == 0:
                began = time.monotonic()
                assert worker.get("/healthz")[0] == 200
                answers.append(time.monotonic() - began)
        grown = worker.memory() - before
    finally:
        for reader in readers:
            reader.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"slowest {max(answers) * 1000:.0f} ms, median {sorted(answers)[len(answers) // 2] * 1000:.1f} ms, {grown} KiB more")
    assert sorted(answers)[len(answers) // 2] < 0.1
    assert grown < 16 * 1024
    wait_for(lambda: verb("logs", "-n", "1", identity, HISTORY_TOKEN=TOKEN)[0] == 0, 30, "read again")
