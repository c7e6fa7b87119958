"""A buildpacks deployment beside the same lifecycle run with git and buildctl, alternating in one run on one BuildKit.

    $(tools/setup --python) bench/buildpacks.py [pairs]

Ours is timed from the job in the queue to BUILDED at the platform, `latest` moved; theirs is a clone, then the build that
pushes one tag. Both push to the same ECR stand-in and reuse the last
image by its digest. Nothing here is a test: quote figures with their conditions.
"""

from __future__ import annotations

import base64
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit import cnb  # noqa: E402
from kit.cnb import reference  # noqa: E402
from kit.git_server import PASSWORD, USER  # noqa: E402
from kit.images import RegistryClient  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402


class Theirs:
    def __init__(self, stack: Stack, builder: str, url: str, key: str) -> None:
        self.stack, self.builder, self.url, self.key = stack, builder, url, key
        self.last = ""
        self.token = stack.ecr.token()
        stack.ecr.api("CreateRepository", repositoryName=f"theirs/{key}")

    def build(self, number: int) -> float:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", self.url, f"{folder}/app"], check=True)
            files = {str(path.relative_to(f"{folder}/app")): path.read_text() for path in Path(folder).rglob("*")
                     if path.is_file() and ".git/" not in str(path)}
            image = f"{self.stack.ecr.host}/theirs/{self.key}"
            login = base64.b64encode(f"AWS:{self.token}".encode()).decode()
            assert self.stack.other is not None
            digest, _ = reference.build(self.stack.other, self.builder, files, f"{image}:{number}", self.key, str(number),
                                     {self.stack.ecr.host: f"Basic {login}"}, flags=f"-previous-image {self.last}" if self.last else "")
            self.last = f"{image}@{digest}"
        return time.monotonic() - started


def ours(stack: Stack, job: dict[str, object]) -> float:
    started = time.monotonic()
    identity = stack.api.enqueue(job)
    stack.api.wait_end(identity, 300)
    posts = stack.api.deployments[identity].posts
    assert posts[-1][1] == "BUILDED", stack.api.log_text(identity)
    return posts[-1][0] - started


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with running_stack() as stack:
        stack.use("buildkitd")
        builder = cnb.push_builder(RegistryClient(stack.registry.host), cnb.Builder())
        worker = stack.worker("bench", LOG_LEVEL="info", CNB_BUILDER=builder, CNB_NETWORK="host").start()
        user, password = urllib.parse.quote(USER, safe=""), urllib.parse.quote(PASSWORD, safe="")
        cold: dict[str, list[float]] = {"ours": [], "theirs": []}
        warm: dict[str, list[float]] = {"ours": [], "theirs": []}
        number = 0
        for service in range(3):
            repository = stack.git.repository({**cnb.NODE_APP, **{f"src/f{i}.js": f"{i}\n" * 50 for i in range(50)}})
            theirs = Theirs(stack, builder, f"http://{user}:{password}@127.0.0.1:{stack.git.port}/git/{repository.name}.git",
                            f"app{service}")
            for i in range(pairs // 3 + 1):
                repository.commit({"public/index.html": f"{service} {i}\n"})
                for which in (("ours", "theirs") if (i + service) % 2 else ("theirs", "ours")):
                    number += 1
                    took = theirs.build(number) if which == "theirs" else ours(
                        stack, stack.job(repository.name, serviceId=f"bench-{service}"))
                    (warm if i else cold)[which].append(took)
        for title, figures in (("first build of a service", cold), ("warm, one file changed", warm)):
            mine, other = figures["ours"], figures["theirs"]
            ratio = statistics.median(m / t for m, t in zip(mine, other))
            print(f"{title}: clone + buildctl {statistics.median(other) * 1000:.0f} ms, ours "
                  f"{statistics.median(mine) * 1000:.0f} ms, median ratio {ratio:.2f} (n={len(mine)} alternating pairs)")
        worker.stop()


if __name__ == "__main__":
    main()
