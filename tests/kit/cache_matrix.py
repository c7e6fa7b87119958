"""One shape on one engine, three deployments with an unrelated file changed between, ours and the plain tools' in turn."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace

from . import cnb
from .plain_tools import Built, PlainTools, cached_steps, reused_layers
from .shapes import UNRELATED, Shape
from .stack import Stack

DEPLOYMENTS = 3


@dataclass
class Cell:
    """What the two made of it, a deployment each entry."""

    shape: str
    ours: list[Built] = field(default_factory=list)
    theirs: list[Built] = field(default_factory=list)

    def differences(self) -> list[str]:
        """Where the plain tools found something in the cache that we did not, or the other way round."""
        return [f"{self.shape}, deployment {number}: ours {ours.cached} ({ours.ok}), theirs {theirs.cached} ({theirs.ok})"
                for number, (ours, theirs) in enumerate(zip(self.ours, self.theirs, strict=True), 1)
                if ours.cached != theirs.cached or ours.ok != theirs.ok]


def deploy(stack: Stack, **job: object) -> Built:
    """One deployment, from the queue to its end at the platform."""
    started = time.monotonic()
    identity = stack.api.enqueue(stack.job(**job))  # type: ignore[arg-type]
    status = stack.api.wait_end(identity, 180)
    seconds = stack.api.deployments[identity].posts[-1][0] - started
    text = stack.api.log_text(identity)
    return Built(status == "BUILDED", seconds, cached_steps(text), text)


def measure(stack: Stack, plain: PlainTools, shape: Shape) -> Cell:
    """The two have different salts, so that neither finds the other's steps in the engine's cache."""
    cell = Cell(shape.name)
    salts = {who: f"{who}-{uuid.uuid4().hex[:8]}" for who in ("ours", "theirs")}
    repositories = {who: stack.git.repository(shape.files(salt, stack.registry.host)) for who, salt in salts.items()}
    stack.ecr.api("CreateRepository", repositoryName=f"plain/{salts['theirs']}")
    for number in range(DEPLOYMENTS):
        for who in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            repository = repositories[who]
            repository.commit({UNRELATED: f"{salts[who]} {number + 1}\n"})
            if who == "ours":
                built = deploy(stack, repository=repository.name, serviceId=salts[who])
            else:
                built = plain.build(repository.name, f"{stack.ecr.host}/plain/{salts[who]}:{number}")
            cached = [name.replace(salts[who], "SALT") for name in built.cached]
            (cell.ours if who == "ours" else cell.theirs).append(replace(built, cached=cached))
    return cell


def measure_buildpacks(stack: Stack, plain: PlainTools, builder: str) -> Cell:
    """The shape without a Dockerfile. One step does it all, and never comes from the engine's cache: what counts is
    what the lifecycle finds in its own cache and in the last image. The worker has `builder` and CNB_NETWORK=host."""
    cell = Cell("buildpacks")
    salts = {who: f"{who}-{uuid.uuid4().hex[:8]}" for who in ("ours", "theirs")}
    repositories = {who: stack.git.repository(dict(cnb.NODE_APP)) for who in salts}
    repository_name, previous = f"plain/{salts['theirs']}", ""
    stack.ecr.api("CreateRepository", repositoryName=repository_name)
    for number in range(DEPLOYMENTS):
        for who in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            repositories[who].commit({"public/index.html": f"{salts[who]} {number + 1}\n"})
            if who == "ours":
                built = deploy(stack, repository=repositories[who].name, serviceId=salts[who])
                cell.ours.append(replace(built, cached=reused_layers(built.text)))
            else:
                image = f"{stack.ecr.host}/{repository_name}"
                built, digest = plain.build_with_buildpacks(repositories[who].name, builder, f"{image}:{number}", salts[who], previous)
                previous = f"{image}@{digest}"
                cell.theirs.append(built)
    return cell
