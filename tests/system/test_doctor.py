"""`deployra-builder doctor`: what is well is said to be well; what is broken is found, alone, with its setting and its cure."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kit.platform_api import API_KEY
from kit.process import wait_for
from kit.registry import SECRET
from kit.stack import REDIS_PASSWORD
from kit.worker import BINARY

pytestmark = pytest.mark.one_engine
SECRETS = (API_KEY, SECRET, REDIS_PASSWORD, "wrong-password", "wrong-api-key")


class Look:
    """What one run found."""

    def __init__(self, done: subprocess.CompletedProcess[str], seconds: float) -> None:
        self.code, self.text, self.seconds = done.returncode, done.stdout, seconds
        assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
        read = json.loads(done.stdout)
        self.findings = {(finding["group"], finding["what"]): finding for finding in read["findings"]}
        assert read["exit"] == self.code
        assert read["failures"] == sum(finding["state"] == "failure" for finding in read["findings"])

    def of(self, state: str) -> set[tuple[str, str]]:
        return {name for name, finding in self.findings.items() if finding["state"] == state}


@pytest.fixture
def environment(stack, tmp_path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **stack.environment, "WORK_DIR": str(tmp_path / "work"), "GIT_NETWORK_POLICY": "any",
            "MIN_FREE_DISK": "0", "MAX_MEMORY_PRESSURE": "0", "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{stack.moto.port}"}


@pytest.fixture
def doctor(environment, tmp_path):
    def look(*arguments: str, timeout: float | None = 20, **changes: str) -> Look:
        """On a busy machine the usual four seconds may be too short; None has them."""
        started = time.monotonic()
        limit = [f"--timeout={timeout}"] if timeout else []
        done = subprocess.run([str(BINARY), "doctor", "--json", *limit, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              env={**environment, **changes})
        return Look(done, time.monotonic() - started)

    return look


def answering(head: bytes):
    """An HTTP server that says the same to everybody; gives its port."""
    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.wfile.write(head)
            self.close_connection = True

        do_GET = do_POST = do_HEAD = do_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def page():
    server = answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>")
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_where_all_is_well_all_is_said_to_be_well(doctor, stack, tmp_path):
    look = doctor()
    assert look.of("failure") == set(), look.text
    assert look.code == 0
    assert doctor(timeout=None).seconds < 10
    assert look.of("ok") >= {
        ("configuration", "settings"), ("Redis", "server"), ("Redis", "role"), ("Redis", "rights"), ("Redis", "persistence"),
        ("Redis", "eviction"), ("Redis", "queue"), ("Redis", "cancels"), ("engine", "server"), ("engine", "cache"),
        ("API", "service"), ("API", "key"), ("AWS", "credentials"), ("AWS", "identity"), ("AWS", "ecr:GetAuthorizationToken"),
        ("AWS", "ecr:DescribeRepositories"), ("AWS", "ecr:GetLifecyclePolicy"), ("AWS", "ecr:PutLifecyclePolicy"),
        ("registry", "server"), ("git", "program"), ("git", "host"), ("clock", "Redis"), ("clock", "ECR"), ("host", "disk")}
    assert ("registry", "push") in look.of("not tried")
    assert look.findings["AWS", "identity"]["text"].startswith("arn:aws:")
    assert re.match(r"(Redis|Valkey) \d", look.findings["Redis", "server"]["text"])
    assert os.listdir(tmp_path) == [], "nothing was written"


def test_the_least_rights_of_redis_are_enough_for_it(doctor, stack):
    from test_redis_faults import documented_rights

    stack.redis.client.execute_command("ACL", "SETUSER", "least", "on", ">secret-of-user", *documented_rights())
    try:
        look = doctor(REDIS_USERNAME="least", REDIS_PASSWORD="secret-of-user")
        assert {name for name in look.findings if name[0] == "Redis"} <= look.of("ok"), look.text
        stack.redis.client.execute_command("ACL", "SETUSER", "least", "-ltrim", "-zadd", "-subscribe")
        look = doctor(REDIS_USERNAME="least", REDIS_PASSWORD="secret-of-user")
        assert look.code == 1
        assert look.of("failure") == {("Redis", "rights"), ("Redis", "cancels")}
        rights = look.findings["Redis", "rights"]
        assert "LTRIM" in rights["text"] and "ZADD" in rights["text"], "all of them at once"
        assert rights["setting"] == "REDIS_USERNAME" and "docs/protocol.md" in rights["cure"]
        assert stack.redis.client.keys() == []
    finally:
        stack.redis.client.execute_command("ACL", "DELUSER", "least")


BROKEN = [
    ("a wrong password", {"REDIS_PASSWORD": "wrong-password"}, ("Redis", "server"), "REDIS_PASSWORD", "WRONGPASS", "ACL"),
    ("no Redis", {"REDIS_PORT": "1"}, ("Redis", "server"), "REDIS_HOST, REDIS_PORT", "Connection refused", "start Redis"),
    ("a queue that is no list", {"REDIS_QUEUE_NAME": "{builder-queue}:hash"}, ("Redis", "queue"), "REDIS_QUEUE_NAME", "WRONGTYPE",
     "no list"),
    ("a key of the queue that is another's", {"REDIS_QUEUE_NAME": "taken"}, ("Redis", "rights"), "REDIS_QUEUE_NAME", "WRONGTYPE",
     "another program"),
    ("no password", {"REDIS_PASSWORD": ""}, ("Redis", "server"), "REDIS_PASSWORD", "NOAUTH", "asks for a password"),
    ("no AWS credentials", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true",
                            "HOME": "/nonexistent"},
     ("AWS", "credentials"), "AWS_ACCESS_KEY_ID", "no AWS credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
    ("a wrong API key", {"API_KEY": "wrong-api-key"}, ("API", "key"), "API_KEY", "refuses the API key", "WEBHOOK_API_KEY"),
    ("no API", {"API_URL": "http://127.0.0.1:1/api"}, ("API", "service"), "API_URL", "refused", "start the platform"),
    ("no socket", {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}, ("engine", "server"), "DOCKER_HOST",
     "No such file or directory; does dockerd run?", "start the engine"),
    ("an engine with holes", {"STRICT_VERSIONS": "true"}, ("engine", "versions"), "STRICT_VERSIONS", "", "install"),
    ("wrong AWS keys", {"AWS_SECRET_ACCESS_KEY": "wrong-password"}, ("AWS", "ecr:GetAuthorizationToken"), "AWS_ACCESS_KEY_ID",
     "Signature", "correct the keys"),
    ("no AWS keys", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "typo", "HOME": "/nonexistent"},
     ("AWS", "credentials"), "AWS_PROFILE", "profile 'typo'", "Who the worker is at AWS"),
    ("no git host", {"GITHUB_URL": "http://127.0.0.1:1"}, ("git", "host"), "GITHUB_URL", "refused", "proxy"),
    ("a git host that is not allowed", {"GIT_NETWORK_POLICY": "public"}, ("git", "host"), "GIT_NETWORK_POLICY", "do not allow",
     "GIT_ALLOWED_HOSTS"),
    ("no git", {"PATH": "/nonexistent"}, ("git", "program"), "", "cannot be run", "install git"),
    ("a short disk", {"MIN_FREE_DISK": "1000000GiB"}, ("host", "disk"), "MIN_FREE_DISK", "are free on the disk of WORK_DIR", "make room"),
    ("no WORK_DIR", {"WORK_DIR": "/proc/nowhere"}, ("host", "WORK_DIR"), "WORK_DIR", "cannot be written", "a folder of its own"),
]


@pytest.mark.parametrize("changes, broken, setting, words, cure", [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_what_is_broken_is_found_alone(doctor, stack, changes, broken, setting, words, cure):
    stack.redis.client.hset("{builder-queue}:hash", "a", "b")
    stack.redis.client.set("{taken}:own", "another program's")
    if broken == ("host", "WORK_DIR") and os.geteuid() == 0:
        changes = {"WORK_DIR": "/dev/null/work"}
        words = "is no folder"
    look = doctor(**changes)
    # The engine's disk may be another one than WORK_DIR's; a hole may have several names.
    assert look.of("failure") - {("engine", "disk")} == {broken}, look.text
    found = look.findings[broken]
    assert look.code == 1
    assert found["setting"] == setting and words in found["text"] and cure in found["cure"], found


def test_a_redis_that_may_throw_the_queue_away(doctor, stack):
    stack.redis.client.config_set("maxmemory", "1gb")
    stack.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    look = doctor()
    assert look.of("failure") == {("Redis", "eviction")}
    assert "set maxmemory-policy to noeviction, it is allkeys-lru" in look.findings["Redis", "eviction"]["text"]


def test_a_redis_that_forgets_is_a_warning(doctor, stack):
    stack.redis.client.config_set("appendonly", "no")
    try:
        look = doctor()
        assert look.code == 0 and ("Redis", "persistence") in look.of("warning")
        assert "appendonly yes" in look.findings["Redis", "persistence"]["cure"]
    finally:
        stack.redis.client.config_set("appendonly", "yes")


def test_another_service_behind_an_address(doctor, stack, page):
    for name, url, broken in (("API_URL", f"http://127.0.0.1:{page}/api", ("API", "service")),
                              ("DOCKER_HOST", f"tcp://127.0.0.1:{page}", ("engine", "server")),
                              ("AWS_ENDPOINT_URL_ECR", f"http://127.0.0.1:{page}", ("AWS", "ecr:GetAuthorizationToken"))):
        look = doctor(**{name: url})
        assert look.of("failure") == {broken}, look.text
        assert look.findings[broken]["setting"] == name, look.findings[broken]


def test_a_registry_that_is_away_or_is_something_else(doctor, stack):
    for fault in ({"refuse": "GET /v2/"}, {"refuse": "GET /v2/", "page": 404}):
        stack.ecr.control("/__fail", fault)
        look = doctor(timeout=8)
        assert look.of("failure") == {("registry", "server")}, look.text


def test_a_right_of_aws_that_is_missing(doctor, stack):
    for right in ("GetAuthorizationToken", "DescribeRepositories", "PutLifecyclePolicy"):
        stack.ecr.control("/__fail", {"deny": right})
        look = doctor()
        assert look.of("failure") == {("AWS", f"ecr:{right}")}, look.text
        found = look.findings["AWS", f"ecr:{right}"]
        assert f"ecr:{right}" in found["text"] and "IAM" in found["cure"] and found["setting"] == "AWS_ACCESS_KEY_ID"


def test_a_push_is_tried_when_it_is_asked_for(doctor, stack):
    look = doctor("--push-test")
    assert look.code == 0 and look.of("ok") >= {("AWS", "ecr:CreateRepository"), ("registry", "push")}, look.text
    stack.ecr.control("/__fail", {"deny_push": "deployra/doctor"})
    look = doctor("--push-test")
    assert look.of("failure") == {("registry", "push")}
    assert "ecr:InitiateLayerUpload" in look.findings["registry", "push"]["text"]


def test_the_key_that_signs_is_tried(doctor, stack):
    signs = {"ATTESTATIONS": "on", "BUILDER_ID": "https://builds.example.com"}
    look = doctor(**signs)
    assert look.code == 0 and ("registry", "signing") in look.of("warning"), look.text
    key, der = stack.ecr.kms_key()
    signs |= {"SIGNING_KEY": f"awskms:///{key}", "AWS_ENDPOINT_URL_KMS": f"http://{stack.ecr.host}"}
    look = doctor(**signs)
    assert hashlib.sha256(der).hexdigest() in look.findings["registry", "signing"]["text"], look.text
    stack.ecr.control("/__fail", {"deny": "Sign"})
    look = doctor(**signs)
    assert look.of("failure") == {("registry", "signing")}, look.text
    found = look.findings["registry", "signing"]
    assert "AccessDenied" in found["text"] and "kms:Sign" in found["cure"] and found["setting"] == "AWS_ACCESS_KEY_ID", look.text


def test_a_clock_that_is_wrong(doctor, stack):
    """Ours or the platform's: its answers are dated."""
    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = urllib.request.Request(stack.api.url.removesuffix("/api") + self.path, body, dict(self.headers), method="POST")
            try:
                status, text = 200, urllib.request.urlopen(request, timeout=10).read()
            except urllib.error.HTTPError as error:
                status, text = error.code, error.read()
            date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=90), usegmt=True)
            head = f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            self.wfile.write(head.encode() + (b"" if self.command == "HEAD" else text))
            self.close_connection = True

        do_POST = do_HEAD = do_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        look = doctor(API_URL=f"http://127.0.0.1:{server.server_address[1]}/api")
        assert look.of("failure") == {("clock", "the API")}, look.text
        assert re.fullmatch(r"(8[5-9]|9[0-5]) s ahead of this machine's", look.findings["clock", "the API"]["text"])
    finally:
        server.shutdown()
        server.server_close()


def test_a_wrong_configuration_keeps_nobody_from_looking_at_the_rest(doctor, tmp_path):
    look = doctor(REDIS_PORT="x", LOG_LEVEL="loud")
    assert look.code == 2
    assert look.findings["Redis", "all"]["state"] == "not tried"
    assert {("API", "key"), ("engine", "server"), ("registry", "server")} <= look.of("ok")
    read = json.loads(look.text)
    settings = {finding["setting"] for finding in read["findings"] if finding["group"] == "configuration"}
    assert settings == {"REDIS_PORT", "LOG_LEVEL"}


def test_a_peer_that_says_nothing_is_not_waited_for(doctor):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        look = doctor(timeout=6, REDIS_PORT=port, API_URL=f"http://127.0.0.1:{port}/api")
    assert look.seconds < 12
    assert look.of("failure") == {("Redis", "server"), ("API", "service")}, look.text
    for name in look.of("failure"):
        assert "no answer in time" in look.findings[name]["text"], look.findings[name]
    assert ("registry", "server") in look.of("ok")


def test_beside_a_busy_worker_it_changes_nothing(doctor, stack, make_worker, repo):
    worker = make_worker()
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep 12\n"}).name))
    stack.api.wait_output(identity, "now-running")

    def state() -> tuple[object, object]:
        dump = stack.redis.dump()
        dump.pop("{builder-queue}:workers", None)  # Leases go on.
        return dump, sorted(str(path) for path in worker.work_dir.glob("processes/*"))

    before = state()
    for _ in range(3):
        look = doctor(WORK_DIR=str(worker.work_dir))
        assert look.of("failure") == set(), look.text
        assert "1 workers hold a lease" in look.findings["Redis", "queue"]["text"]
    assert state() == before
    assert worker.is_ready()
    assert stack.api.wait_end(identity) == "BUILDED"
    assert "taken away" not in worker.text()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_of_any_width_shows_all_of_it(environment, tmp_path, columns):
    """In a pseudo-terminal, as a person sees it."""
    done = subprocess.run(["script", "-qec", f"stty cols {columns}; {BINARY} doctor --timeout=20", "/dev/null"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env={**environment, "TERM": "xterm", "API_KEY": "wrong-api-key", "REDIS_PORT": "1"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\x1b[31mfailure" in done.stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).replace("\r", "")
    assert max(map(len, plain.splitlines())) <= columns
    words = " ".join(plain.split())
    assert "Connection refused" in words and "REDIS_HOST, REDIS_PORT" in words and "WEBHOOK_API_KEY" in words
    assert re.search(r"2 failures, .*: Redis server, API key$", words), words[-300:]


def test_a_worker_says_the_same_words(doctor, stack, make_worker):
    changes = {"API_KEY": "wrong-api-key", "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    look = doctor(**changes)
    worker = make_worker(start=False, **changes).start(ready=False)
    for name in (("API", "key"), ("engine", "server")):
        wait_for(lambda name=name: look.findings[name]["text"] in worker.not_ready(), 20, f"{look.findings[name]['text']} in /readyz")


def test_a_pipe_gets_a_line_for_each_finding(environment, tmp_path):
    done = subprocess.run([str(BINARY), "doctor", "--timeout=20"], cwd=tmp_path, capture_output=True, text=True, timeout=30,
                          env={**environment, "REDIS_PORT": "1"})
    assert done.returncode == 1 and "\x1b" not in done.stdout
    head, *rows, last = done.stdout.splitlines()
    assert head.split() == ["STATE", "GROUP", "WHAT", "FOUND"]
    assert all(re.match(r"(ok|warning|failure|not tried) +\S", row) for row in rows)
    assert [row for row in rows if re.match(r"failure +Redis +server +.*Connection refused", row)]
    assert last.endswith(": Redis server")


def test_the_output_has_a_section_in_the_documents():
    text = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
    for field in ("findings", "ok", "warnings", "failures", "not_tried", "seconds", "exit", "group", "what", "state", "text", "setting", "cure"):
        assert f"`{field}`" in text
