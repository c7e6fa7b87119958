"""What the search for secrets in finished images costs a deployment: on and off, alternating in one run.

    $(tools/setup --python) bench/image_check.py [pairs]

Two workers with a queue each build the same repositories on the same engine: a warm build that changes one small file, and
the first build of a service on a large base, whose layers no search has seen. Nothing here is a test.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.images import PATH, Layer, RegistryClient, busybox_layer  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402

VARIABLES = [{"key": f"TOKEN_{i}", "value": f"npm_{random.Random(i).randbytes(12).hex()}"} for i in range(12)]
LARGE = 300 << 20


def push_large_base(images: RegistryClient, size: int) -> str:
    text = random.Random(1)
    words = [bytes(text.choices(b"abcdefghijklmnopqrstuvwxyz_(){}", k=text.randint(2, 12))) for _ in range(50_000)]
    content = b" ".join(text.choices(words, k=size // 8))
    layer = Layer().folder("/opt").file("/opt/large", content)
    return images.push_image("library/large:latest", [busybox_layer(), layer], {"Env": [PATH]})


def seconds(stack: Stack, queue: str, job: dict[str, object]) -> float:
    identity = stack.api.enqueue(job, queue)
    stack.api.wait_end(identity, 300)
    posts = stack.api.deployments[identity].posts
    assert posts[-1][1] == "BUILDED", stack.api.log_text(identity)
    return posts[-1][0] - posts[0][0]


def compare(stack: Stack, title: str, pairs: int, job) -> None:  # type: ignore[no-untyped-def]
    times: dict[str, list[float]] = {"on": [], "off": []}
    for i in range(pairs + 1):
        for queue in ("on", "off") if i % 2 else ("off", "on"):
            took = seconds(stack, queue, job(i, queue))
            if i > 0:  # The first fills the caches.
                times[queue].append(took)
    on, off = (statistics.median(times[queue]) for queue in ("on", "off"))
    print(f"{title}: on {on * 1000:.0f} ms, off {off * 1000:.0f} ms, {(on - off) * 1000:+.0f} ms "
          f"(medians of {pairs}; fastest {min(times['on']) * 1000:.0f} and {min(times['off']) * 1000:.0f} ms)", flush=True)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with running_stack() as stack:
        push_large_base(RegistryClient(stack.registry.host), LARGE)
        workers = {queue: stack.worker(queue, REDIS_QUEUE_NAME=queue, LOG_LEVEL="debug", BUILD_NETWORK_POLICY="any",
                                       SECRET_IN_IMAGE="warn" if queue == "on" else "off").start() for queue in ("on", "off")}
        repositories = {queue: stack.git.repository({"Dockerfile": "FROM busybox\nCOPY . /app\nCMD [\"sh\"]\n", "a.txt": "0\n"})
                        for queue in ("on", "off")}

        def warm(i: int, queue: str) -> dict[str, object]:
            repositories[queue].commit({"a.txt": f"{i} {queue}\n"})
            return stack.job(repositories[queue].name, serviceId=f"warm-{queue}", environmentVariables=VARIABLES)

        compare(stack, "warm build, one file changed", pairs, warm)
        large = stack.git.repository({"Dockerfile": f"FROM {stack.registry.host}/library/large\nCOPY . /app\n"})
        compare(stack, f"first build of a service on a base of {LARGE >> 20} MiB", max(2, pairs // 5),
                lambda i, queue: stack.job(large.name, serviceId=f"first-{queue}-{i}", environmentVariables=VARIABLES))
        for what in (r"searched \d.* in (\d+) ms", r"promote took (\d+) ms"):
            found = [int(ms) for ms in re.findall(what, workers["on"].text())]
            print(f"  {what}: medians {statistics.median(found[1:pairs + 1]):.0f} ms warm, "
                  f"{statistics.median(found[pairs + 2:]):.0f} ms first")
        for worker in workers.values():
            worker.stop()


if __name__ == "__main__":
    main()
