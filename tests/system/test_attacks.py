"""Attacks that need a worker, or peers, of their own; the others are in test_attack_corpus.py. The numbers are those of
the report by which they were found."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from kit.process import wait_for

BUILDABLE = {"Dockerfile": "FROM busybox\nRUN true\n"}


def deploy(stack, repo, files: dict[str, str]) -> str:
    return stack.api.enqueue(stack.job(repo(files).name))


def test_a10_slow_and_fat_clients_keep_nobody_out(stack, make_worker):
    worker = make_worker()
    before = worker.memory()
    with contextlib.ExitStack() as clients:
        def connect(text: bytes) -> None:
            client = clients.enter_context(socket.socket())
            client.settimeout(2)
            with contextlib.suppress(OSError):  # It may be refused, or thrown out.
                client.connect(("127.0.0.1", worker.port))
                client.sendall(text)

        for number in range(600):
            connect(b"GET /healthz HTTP/1.1\r\n" + (b"X: " + b"y" * 200_000 if number % 3 == 0 else b"Host: a\r\n"))
            if number % 60 == 0:
                assert worker.get("/healthz") == (200, "ok\n")
        assert worker.get("/healthz") == (200, "ok\n") and worker.is_ready()
        assert worker.memory() - before < 16 * 1024, "KiB"
    assert worker.process.poll() is None


def cpu_seconds(worker) -> float:
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a12_a_log_of_the_letter_that_the_secrets_are_made_of_costs_no_more_than_another(stack, make_worker, repo):
    worker = make_worker()
    variables = [{"key": f"SECRET_{number}", "value": "a" * (2_900 + number)} for number in range(200)]
    used = {}
    for letter in ("b", "a"):
        before = cpu_seconds(worker)
        rows = f"FROM busybox\nRUN : {time.monotonic_ns()}; yes {letter * 900} | head -c 3000000\n"
        identity = stack.api.enqueue(stack.job(repo({"Dockerfile": rows}).name, environmentVariables=variables))
        assert stack.api.wait_end(identity, 120) == "BUILDED"
        used[letter] = cpu_seconds(worker) - before
    assert used["a"] < 5 * used["b"] + 1, used


def test_a21_a_key_of_the_queue_that_holds_something_else_is_a_reason_not_to_be_ready(stack, make_worker, repo):
    worker = make_worker()
    stack.redis.client.set("{builder-queue}:att", "of another program")
    try:
        identity = deploy(stack, repo, BUILDABLE)
        wait_for(lambda: "queue: " in worker.not_ready() and "WRONGTYPE" in worker.not_ready(), 30, "said")
        assert stack.api.statuses(identity) == []
    finally:
        stack.redis.client.delete("{builder-queue}:att")
    assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(worker.is_ready, 20, "ready again")


def test_a15_an_engine_with_known_holes_is_named_and_refused_on_demand(stack, make_worker, repo):
    """The Engine here is 20.10 with the runc of its time. A strict worker leaves its jobs to others."""
    holes = ["Docker Engine 20.10", "CVE-2026-33747", "CVE-2024-23653", "CVE-2025-31133"]
    strict = make_worker(start=False, STRICT_VERSIONS="true").start(ready=False)
    wait_for(lambda: "versions: " in strict.not_ready(), 30, "named")
    identity = deploy(stack, repo, BUILDABLE)
    time.sleep(2)
    assert stack.redis.client.llen("builder-queue") == 1, "nothing is taken"
    assert "(STRICT_VERSIONS)" in strict.not_ready()
    strict.stop()
    worker = make_worker()
    assert stack.api.wait_end(identity) == "BUILDED"
    status, text = worker.get("/readyz")
    warnings = [line for line in text.splitlines() if line.startswith("warning: ")]
    assert status == 200 and all(any(hole in line for line in warnings) for hole in holes), text
    assert "warning: git" not in text, "Debian mended it under its old number"
    assert all(worker.text().count(hole) == 1 for hole in holes[1:]), "said once"


def test_a14_no_other_process_of_its_user_reads_its_memory(stack, make_worker):
    """Nor does a crash leave a core file: both hold the secrets of all customers."""
    from kit.worker import BINARY

    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory(prefix="a14-") as folder:
        Path(folder).chmod(0o777)
        binary = shutil.copy(BINARY, folder)
        worker = make_worker(start=False, WORK_DIR=f"{folder}/work")
        process = subprocess.Popen([*nobody, binary, "serve"], cwd=folder, env=worker.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: worker.get("/healthz")[0] == 200, 20, "alive")
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
            for file in ("environ", "maps"):
                spy = subprocess.run([*nobody, "cat", f"/proc/{process.pid}/{file}"], capture_output=True, check=False)
                assert spy.returncode != 0 and spy.stdout == b"", file
            sleeper = subprocess.Popen([*nobody, "sleep", "60"], env={"SECRET": "seen"})
            try:
                # Between setpriv and sleep the file is empty, so it is read until it is not.
                spy = [*nobody, "cat", f"/proc/{sleeper.pid}/environ"]
                wait_for(lambda: b"seen" in subprocess.run(spy, capture_output=True, check=True).stdout, 10,
                         "the spy reads what is not protected")
            finally:
                sleeper.kill()
                sleeper.wait()
        finally:
            process.kill()
            process.wait()


def test_a01_a_deployment_that_ends_its_worker_costs_no_neighbour(stack, make_worker, repo):
    """Whatever the poison is: here each worker is killed when it has begun to read of the deployment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        job = stack.job(repo().name)
        job["gitProvider"]["url"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(60)
        worker = make_worker(MAX_PARALLEL_BUILDS="4")
        neighbours = [deploy(stack, repo, {"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && sleep 3\n"})
                      for _ in range(3)]
        for identity in neighbours:
            stack.api.wait_status(identity, "BUILDING")
        poison = stack.api.enqueue(job)
        kills = 0
        while stack.api.statuses(poison)[-1:] != ["FAILED"]:
            try:
                listener.settimeout(0.2)
                listener.accept()[0].close()
            except TimeoutError:
                continue
            worker.kill()
            kills += 1
            worker.start(ready=False)
        assert kills == 3
    assert [stack.api.wait_end(identity) for identity in neighbours] == ["BUILDED"] * 3
