"""Deployments of what is known: how long they take, what it costs the others to find out, and whether it is ever wrong.

    $(tools/setup --python) bench/reuse.py [engine [edits]]

First the same commit, used again and built (DEPLOYRA_BUILD_FORCE) in turn; then new commits with REUSE_IMAGES on and off in turn.
Then random edits, each deployed twice: as it is, and built. An edit that used an image again is wrong if the build made another
one; an edit that was built is slow, not wrong, if an earlier image was the same. Images are compared without the times in their
configuration. Nothing here is a test: quote figures with their conditions.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.images import RegistryClient  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402

PAIRS = 10
FORCE = {"key": "DEPLOYRA_BUILD_FORCE", "value": "true"}


class Service:
    """One service with a repository of its own."""

    def __init__(self, stack: Stack, base: str) -> None:
        self.stack, self.name = stack, f"reuse-{uuid.uuid4().hex[:8]}"
        self.variables: list[dict[str, str]] = []
        self.repository = stack.git.repository({
            "Dockerfile": f"FROM {base}\nARG COLOUR=red\nCOPY src /src\nRUN cat /src/* > /all && echo $COLOUR >> /all\nCOPY web /web\n",
            ".dockerignore": "*.md\ndocs\n.env\n", "src/a": "a", "src/b": "b", "web/page": "page", "docs/x": "x", "README.md": "r",
            "unused/file": "u"})

    def deploy(self, force: bool = False) -> tuple[float, bool, str]:
        """Seconds, whether an image was used again, and the image without its times."""
        started = time.monotonic()
        identity = self.stack.api.enqueue(self.stack.job(self.repository.name, serviceId=self.name,
                                                         environmentVariables=[*self.variables, *([FORCE] if force else [])]))
        assert self.stack.api.wait_end(identity, 180) == "BUILDED", self.stack.api.log_text(identity)
        seconds = self.stack.api.deployments[identity].posts[-1][0] - started
        return seconds, "using that image again" in self.stack.api.log_text(identity), self._image(identity)

    def _image(self, tag: str) -> str:
        name = f"deployra/{self.name}"
        config = json.loads(self.stack.ecr.blob_url(f"{name}/blobs/{self.stack.ecr.manifest(name, tag)['config']['digest']}"))
        return json.dumps([config["rootfs"], config["config"], [step.get("created_by") for step in config["history"]]])


def edit(service: Service, chance: random.Random, commits: list[str]) -> str:
    """Changes something; says what."""
    repository, number = service.repository, str(chance.randrange(10**6))
    kind = chance.choice(["source", "web", "ignored", "docs", "unused", "mode", "comment", "variable", "same", "rollback", "rename"])
    if kind in {"source", "web", "ignored", "docs", "unused"}:
        path = {"source": "src/a", "web": "web/page", "ignored": "README.md", "docs": "docs/x", "unused": "unused/file"}[kind]
        repository.commit({path: number})
    elif kind == "mode":
        path = repository.work / "web/page"
        path.chmod(0o755 if path.stat().st_mode & 0o111 == 0 else 0o644)
        repository.commit_all()
    elif kind == "comment":
        repository.commit({"Dockerfile": (repository.work / "Dockerfile").read_text() + f"# {number}\n"})
    elif kind == "variable":
        service.variables = [{"key": "COLOUR", "value": chance.choice(["blue", "green"])}]
    elif kind == "rename":
        repository.commit({"src/b": None, "src/c": "b"} if (repository.work / "src/b").exists() else {"src/c": None, "src/b": "b"})
    elif kind == "rollback" and commits:
        repository.git("checkout", "--quiet", "-B", "main", chance.choice(commits))
        repository.git("push", "--quiet", "--force", str(repository.bare), "HEAD:refs/heads/main")
    commits.append(repository.git("rev-parse", "HEAD"))
    return kind


def main() -> None:
    engine = sys.argv[1] if len(sys.argv) > 1 else "buildkitd"
    edits = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with running_stack() as stack:
        stack.use(engine)
        base = f"bench-{uuid.uuid4().hex[:8]}/base:1"
        RegistryClient(stack.registry.host).push_base_image(base)
        settings = {"BUILD_NETWORK_POLICY": "any", "LOG_LEVEL": "info"}
        workers = {name: stack.worker(f"reuse-{name}", REUSE_IMAGES=time, **settings) for name, time in (("on", "30d"), ("off", "0"))}

        workers["on"].start()
        service = Service(stack, f"{stack.registry.host}/{base}")
        service.deploy()
        pairs = [(service.deploy()[0], service.deploy(force=True)[0]) for _ in range(PAIRS)]
        again, built = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"{engine}: the same commit, used again {again * 1000:.0f} ms, built {built * 1000:.0f} ms, "
              f"ratio {statistics.median(a / b for a, b in pairs):.2f}", flush=True)

        chance, commits, known = random.Random(16), [], {service.deploy()[2]}
        wrong, slow, used = 0, 0, 0
        kinds: dict[str, list[int]] = {}
        for _ in range(edits):
            kind = edit(service, chance, commits)
            _, is_used, image = service.deploy()
            _, _, truth = service.deploy(force=True)
            wrong += is_used and image != truth
            slow += not is_used and truth in known
            used += is_used
            counted = kinds.setdefault(kind, [0, 0])
            counted[0] += is_used
            counted[1] += 1
            known.add(truth)
        print(f"{edits} edits: {used} used an image again, {wrong} wrongly; {slow} built what was there")
        print("  " + ", ".join(f"{kind} {again}/{all_of}" for kind, (again, all_of) in sorted(kinds.items())), flush=True)
        workers["on"].stop()

        times: dict[str, list[float]] = {"on": [], "off": []}
        for number in range(2 * PAIRS):
            name = ("on", "off")[number % 2]
            workers[name].start()
            service.deploy()  # What a worker does once is not counted.
            service.repository.commit({"web/page": f"new {number}"})
            times[name].append(service.deploy()[0])
            workers[name].stop()
        print(f"a new commit, REUSE_IMAGES on {statistics.median(times['on']) * 1000:.0f} ms, "
              f"off {statistics.median(times['off']) * 1000:.0f} ms, "
              f"ratio {statistics.median(a / b for a, b in zip(times['on'], times['off'], strict=True)):.2f}")


if __name__ == "__main__":
    main()
