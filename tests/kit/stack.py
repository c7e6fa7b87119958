"""All servers of a deployment, started side by side."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .buildkitd import Buildkitd
from .engine import ENGINES, Dockerd
from .git_server import GitServer
from .images import RegistryClient
from .platform_api import PlatformApi
from .process import free_port, wait_for
from .redis_server import Redis
from .registry import EcrFront, Moto, PlainRegistry
from .worker import Worker

REDIS_USER, REDIS_PASSWORD = "platform", "r3d1s:Xq7/Tz9vLm2KwB8nPd4"


class Stack:
    def __init__(self, folder: Path, docker_host: str = "", bridge: bool = True) -> None:
        """With `docker_host` an engine that runs already is used."""
        self.folder = folder
        self.redis = Redis(folder, REDIS_USER, REDIS_PASSWORD)
        self.docker = None if docker_host else Dockerd(folder, bridge)
        self.docker_host = docker_host or self.docker.host  # type: ignore[union-attr]
        self.registry = PlainRegistry(folder)
        self.engine: Dockerd | Buildkitd | None = self.docker
        self.others: dict[str, Dockerd | Buildkitd] = {}
        self.other: Dockerd | Buildkitd | None = None  # The one that runs beside `docker`.
        self.moto = Moto(folder)
        self.ecr = EcrFront(folder, self.moto, self.registry)
        self.git = GitServer(folder)
        self.api = PlatformApi(self.redis)
        self.count = 0
        self.lock = threading.Lock()

    def start(self) -> Stack:
        def engine() -> None:
            if self.docker:
                self.docker.start()
                self.docker.make_base_image()

        def registry() -> None:
            self.moto.start()
            self.registry.start()
            self.ecr.start()

        with ThreadPoolExecutor() as pool:
            for task in [pool.submit(start) for start in (engine, registry, self.redis.start, self.git.start)]:
                task.result()
        self.api.start()
        return self

    def use(self, engine: str) -> Stack:
        """The engine the workers build with from now on: one of ENGINES, `buildkitd` (a unix socket), `buildkitd-tcp`.
        `docker` runs always, as the platform's node that pulls what was built; of the others one at a time."""
        if engine == "docker":
            self.engine = self.docker
            return self
        if self.other is not None and self.other.name != engine:
            self.other.stop()
            self.other = None
        if self.other is None:
            if engine not in self.others:
                self.others[engine] = self._make(engine)
            self.other = self.others[engine].start()
            if isinstance(self.other, Dockerd):
                self.other.make_base_image()
        self.engine = self.other
        return self

    def _make(self, engine: str) -> Dockerd | Buildkitd:
        if engine in ENGINES:
            return Dockerd(self.folder, name=engine)
        RegistryClient(self.registry.host).push_base_image()
        return Buildkitd(self.folder, mirrors={"docker.io": self.registry.host}, name=engine,
                         address=f"tcp://127.0.0.1:{free_port()}" if engine == "buildkitd-tcp" else "")

    def mend(self) -> None:
        """A test that failed half-way must not fail those behind it."""
        for part in (self.redis, self.api, self.docker, self.other):
            if part:
                part.mend()
        self.ecr.control("/__fail", {})

    def stop(self) -> None:
        for part in (self.other, self.api, self.git, self.ecr, self.registry, self.moto, self.redis, self.docker):
            if part:
                part.stop()

    @property
    def environment(self) -> dict[str, str]:
        engine = {"DOCKER_HOST": self.docker_host if self.engine is None else self.engine.host}
        if isinstance(self.engine, Buildkitd):
            # No Engine is there to fall back on.
            engine = {"BUILDKIT_HOST": self.engine.host, "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
        return {**self.redis.environment, **self.api.environment, **self.ecr.environment, **engine,
                "GITHUB_URL": self.git.url,
                # The default one is elsewhere; tests that build with buildpacks name their own.
                "CNB_BUILDER": f"{self.ecr.host}/no/builder"}

    def worker(self, name: str = "worker", **changes: str) -> Worker:
        return Worker(self.folder / name, {**self.environment, **changes})

    @contextlib.contextmanager
    def _pulled(self, identity: str) -> Iterator[str]:
        """The image of a deployment as a node of the platform has it. Under a name of its own: a worker that builds with the
        same Engine removes its names there, whoever has pulled them since."""
        image = f"{self.ecr.host}/deployra/{self.api.deployments[identity].service}:{identity}"
        assert self.docker is not None
        name = f"node:{identity.lower()}"

        def has_name() -> bool:
            self.docker.pull(image, "AWS", self.ecr.token())  # type: ignore[union-attr]
            status, _ = self.docker.call("POST", f"/images/{image}/tag?repo=node&tag={identity.lower()}")  # type: ignore[union-attr]
            return status == 201

        wait_for(has_name, 20, f"{image} pulled")
        try:
            yield name
        finally:
            for one in (image, name):
                self.docker.call("DELETE", f"/images/{one}")

    def output_of(self, identity: str, command: list[str]) -> str:
        """What a command prints in the image of a deployment."""
        with self._pulled(identity) as image:
            return self.docker.run_output(image, command)  # type: ignore[union-attr]

    @contextlib.contextmanager
    def running(self, identity: str, environment: dict[str, str]) -> Iterator[str]:
        """The image of a deployment, started as it is; see Dockerd.running."""
        with self._pulled(identity) as image, self.docker.running(image, environment) as container:  # type: ignore[union-attr]
            yield container

    def timed(self, job: dict[str, object], queue: str = "builder-queue") -> tuple[float, float]:
        """Seconds from the job in the queue to BUILDED, and to the first BUILDING."""
        started = time.monotonic()
        identity = self.api.enqueue(job, queue)
        assert self.api.wait_end(identity) == "BUILDED", self.api.log_text(identity)
        posts = self.api.deployments[identity].posts
        return posts[-1][0] - started, posts[0][0] - started

    def job(self, repository: str, **changes: object) -> dict[str, object]:
        """A valid job for a repository of the git server; None removes a field."""
        with self.lock:
            self.count += 1
            number = f"{os.getpid()}x{self.count}"
        job: dict[str, object] = {
            "deploymentId": f"d{number}", "serviceId": f"s{number}", "commitSha": "", "branch": "main",
            "repositoryName": repository, "gitProvider": self.git.provider()}
        job.update(changes)
        return {key: value for key, value in job.items() if value is not None}


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """For programs that are no tests."""
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        stack = Stack(Path(folder))
        try:
            yield stack.start()
        finally:
            stack.stop()
