"""What a repository of many files costs: three deployments (first, the same again, one file changed), each with what git,
the dates of the files (docs/adr/0019-file-times.md) and the worker's processor took.

    [BUILDER_BINARY=…] $(tools/setup --python) bench/large_tree.py [files] [rounds]
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.stack import running_stack  # noqa: E402


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with running_stack() as stack:
        repository = stack.git.repository()
        repository.commit({"Dockerfile": "FROM busybox\nCOPY . /app\n"} | {
            f"src/{n % 50}/{n % 500}/file{n}.js": f"module.exports = {n};\n" for n in range(count)})
        worker = stack.worker(MIN_FREE_DISK="0").start()

        def deploy(what: str, service: str) -> None:
            stat = Path(f"/proc/{worker.process.pid}/stat")  # type: ignore[union-attr]
            used = lambda: sum(int(n) for n in stat.read_text().split()[13:15])  # noqa: E731
            log, cpu, begin = len(worker.text()), used(), time.monotonic()
            sent = worker.metric("deployra_builder_context_bytes_total")
            identity = stack.api.enqueue(stack.job(repository.name, serviceId=service))
            assert stack.api.wait_end(identity, 600) == "BUILDED", stack.api.log_text(identity)
            took = time.monotonic() - begin
            text = worker.text()[log:]
            fetch = re.search(r"fetch took (\d+) ms", text)
            times = re.search(r"times of .*: (\d+) us", text)
            print(f"{what:8} {took:6.2f} s, fetch {fetch[1] if fetch else '?':>5} ms, "
                  f"times {int(times[1]) / 1000 if times else 0:6.1f} ms, worker CPU {(used() - cpu) * 10:5} ms, "
                  f"sent {worker.metric('deployra_builder_context_bytes_total') - sent:9.0f} B", flush=True)

        for number in range(rounds):
            service = f"large{number}"
            deploy("first", service)
            deploy("same", service)
            repository.commit({"src/0/0/file0.js": f"{os.urandom(8).hex()}\n"})
            deploy("changed", service)
        sizes = [len(value) for value in stack.redis.client.hvals("{builder-queue}:times")]  # type: ignore[union-attr]
        print(f"records in Redis: {sizes} bytes")
        worker.stop()


if __name__ == "__main__":
    main()
