"""Thirteen secrets are planted: in all that a worker writes or sends, in whatever form, none is found."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from kit import history
from kit.git_server import PASSWORD
from kit.platform_api import API_KEY
from kit.process import wait_for
from kit.registry import SECRET
from kit.stack import REDIS_PASSWORD

pytestmark = pytest.mark.both_engines

KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ7fQx3v9Kz2\nTq8sLw1XmB5nR0cYd6hGpAeUoVfI4jZk\n-----END PRIVATE KEY-----"
VARIABLES = {"DATABASE_PASSWORD": "pl4nted/Db+9xKw&Zq", "JWT": "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.Q7vR2mXk9TzLw",
             "DATABASE_URL": "postgres://app:pl4ntedUrlPart77@db.internal/app", "SIGNING_KEY": KEY,
             "TOKEN": "9f86d081884c7d659a2feaa0c55ad015", "WEBHOOK": "https://hooks.example.com/T0/B1/Xq7vR2mZk9TzLwP4sN8bYc6d"}
SENTINEL, MIRROR, BASE_LOGIN = "pl4ntedSentinel8Wq2", "pl4ntedMirror5Xe9", "pl4ntedBaseLogin6Rt3"
# Of values with a form of their own the part that is the secret.
PLANTED = {"API_KEY": API_KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "REDIS_PASSWORD": REDIS_PASSWORD, "git password": PASSWORD,
           "REDIS_SENTINEL_PASSWORD": SENTINEL, "CNB_DEPENDENCY_MIRROR": MIRROR, "base image login": BASE_LOGIN, **VARIABLES,
           "DATABASE_URL": "pl4ntedUrlPart77", "SIGNING_KEY": KEY.splitlines()[1], "WEBHOOK": "Xq7vR2mZk9TzLwP4sN8bYc6d"}
PRINT = ("cat .env; base64 .env; base64 -w 0 .env; od -An -v -tx1 .env; od -An -v -tx1 .env | tr -d ' \\n'; echo; "
         "sed 's/\\(.\\)/\\1/g' .env | while read -r l; do echo \"$l\" | sed 's/%/%25/g; s/\\//%2F/g; s/+/%2B/g; s/&/%26/g'; done")


def forms(secret: str) -> set[bytes]:
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex(" ").encode(), urllib.parse.quote(secret, safe="").encode(),
             urllib.parse.quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    for before in range(3):  # Wherever in a group of three bytes it begins; what depends on its neighbours is cut.
        text = base64.b64encode(b"x" * before + raw).decode().rstrip("=")
        found.add(text[(before * 8 + 5) // 6:][:len(raw) * 8 // 6 - 2].encode())
    return found


def everything_in(client) -> bytes:
    """All that Redis holds, keys and values."""
    read = {"string": client.get, "hash": client.hgetall, "list": lambda key: client.lrange(key, 0, -1),
            "zset": lambda key: client.zrange(key, 0, -1), "set": client.smembers}
    return "\n".join(f"{key} {read[kind](key)}" for key in client.scan_iter()
                     if (kind := client.type(key)) in read).encode()


class Children:
    """Arguments and environments of all processes that the worker starts."""

    def __init__(self, worker) -> None:
        self.worker, self.seen, self.ending = worker, {}, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.ending.is_set():
            for child in self.worker.children():
                for name in ("cmdline", "environ"):
                    try:
                        text = Path(f"/proc/{child}/{name}").read_bytes()
                    except OSError:
                        continue
                    # Between its fork and its program it is a copy of the worker, whose environment is its own.
                    if name == "cmdline" and b"deployra-builder" in text:
                        break
                    self.seen[f"{name} of {text[:40]!r}" if name == "cmdline" else f"environment {child}"] = text
            time.sleep(0.002)

    def __enter__(self) -> Children:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()


def test_no_planted_secret_is_found_in_anything_the_worker_writes_or_sends(stack, make_worker, repo, tmp_path):
    auths = tmp_path / "config.json"
    auths.write_text(json.dumps({"auths": {"base.example.com": {"auth": base64.b64encode(f"u:{BASE_LOGIN}".encode()).decode()}}}))
    worker = make_worker(REGISTRY_AUTHS_FILE=str(auths), REDIS_SENTINEL_PASSWORD=SENTINEL,
                         CNB_DEPENDENCY_MIRROR=f"https://u:{MIRROR}@mirror.example.com")
    variables = [{"key": key, "value": value} for key, value in VARIABLES.items()]

    def job(commands: str, **changes):
        dockerfile = f"FROM busybox\nCOPY . /app\nWORKDIR /app\nRUN : {time.monotonic_ns()}; {commands}\n"
        return stack.job(repo({"Dockerfile": dockerfile, ".dockerignore": "nothing\n"}).name,
                         **{"environmentVariables": variables, **changes})

    with Children(worker) as children:
        ends = {stack.api.enqueue(job(PRINT)): "BUILDED", stack.api.enqueue(job(PRINT + "; exit 3")): "FAILED",
                stack.api.enqueue(job("cat .env >&2; cat no-such-file")): "FAILED",
                stack.api.enqueue(job(PRINT, branch=7)): "FAILED",
                stack.api.enqueue(job(PRINT, commitSha="1" * 40)): "FAILED",
                stack.api.enqueue(job(PRINT, gitProvider=stack.git.provider(password=VARIABLES["JWT"]))): "FAILED"}
        stack.redis.client.rpush("builder-queue", '{"broken": "' + VARIABLES["TOKEN"])
        for identity, end in ends.items():
            assert stack.api.wait_end(identity, 120) == end, stack.api.log_text(identity)
        cancelled = stack.api.enqueue(job(PRINT + "; echo now-running; sleep 100"))
        stack.api.wait_output(cancelled, "now-running")
        stack.api.cancel(cancelled)
        assert stack.api.wait_end(cancelled) == "CANCELLED"
        wait_for(lambda: worker.metric("deployra_builder_builds_running") == 0, 20)
        pages = "".join(worker.get(path)[1] for path in ("/readyz", "/metrics", "/healthz"))
    assert any(name.startswith("cmdline of b'git") for name in children.seen), "git was seen"
    built = next(iter(ends))
    assert "DATABASE_PASSWORD=" in stack.api.log_text(built), "it was printed"
    shown = stack.engine.json("GET", "/images/json?all=1") if hasattr(stack.engine, "json") else []
    places = {"service log": worker.text().encode(), "posts": stack.api.all_bytes(), "pages": pages.encode(),
              "Redis": everything_in(stack.redis.client), "images": json.dumps(shown).encode(), **children.seen}
    folder = worker.work_dir / "history"
    wait_for(lambda: {run["deployment"] for run in history.read(folder) if run["ended"]} >= {*ends, cancelled}, 30, "the history")
    assert any("DATABASE_PASSWORD=" in text for _, _, text in history.read(folder, built)[0]["log"]), "it was remembered"
    places["history"] = history.text_of(folder)
    places |= {str(path): path.read_bytes() for path in worker.work_dir.rglob("*") if path.is_file()}
    found = sorted({f"{place[:60]} holds {name}: {text[max(0, text.find(form) - 60):][:120]!r}" for name, secret in PLANTED.items() for form in forms(secret)
                    for place, text in places.items() if form in text})
    assert found == []
    worker.stop()
    assert sorted({name for name, secret in PLANTED.items() for form in forms(secret) if form in worker.text().encode()}) == []
