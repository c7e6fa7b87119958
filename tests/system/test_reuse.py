"""What would make an image that is there already is not built: the deployment gets that image."""

from __future__ import annotations

import uuid

import pytest
from kit.images import RegistryClient, busybox_layer

pytestmark = pytest.mark.every_buildkit

AGAIN = "using that image again"


def test_a_build_that_nobody_needs_is_not_made(stack, make_worker, repo):
    worker = make_worker(BUILD_NETWORK_POLICY="any")
    registry = RegistryClient(stack.registry.host)
    base = f"reuse-{uuid.uuid4().hex[:8]}/base:1"
    registry.push_base_image(base)
    service = f"reuse-{uuid.uuid4().hex[:8]}"
    repository = repo({"Dockerfile": f"FROM {stack.registry.host}/{base}\nARG COLOUR=red\nCOPY app /app\nRUN echo $COLOUR > /colour\n",
                       ".dockerignore": "*.md\n.env\n", "app/page": "one"})

    def deploy(**changes):
        identity = stack.api.enqueue(stack.job(repository.name, serviceId=service, **changes))
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
        image = stack.ecr.manifest(f"deployra/{service}", identity)
        assert stack.ecr.manifest(f"deployra/{service}", "latest") == image
        return image, stack.api.log_text(identity)

    def same(made, **changes):
        image, log = deploy(**changes)
        assert AGAIN in log and "RUN" not in log, log
        assert image == made

    def built(**changes):
        image, log = deploy(**changes)
        assert AGAIN not in log and "RUN echo" in log, log
        return image, log

    first, _ = built()
    same(first)
    repository.commit({"README.md": "nothing that the build sees"})
    same(first)
    blue = [{"key": "COLOUR", "value": "blue"}]
    second, _ = built(environmentVariables=blue)
    same(second, environmentVariables=blue)
    head = repository.commit({"app/page": "two"})
    assert built()[0] != first
    same(first, commitSha=repository.git("rev-parse", f"{head}~1"))  # A rollback.
    built(environmentVariables=[{"key": "DEPLOYRA_BUILD_FORCE", "value": "true"}])

    registry.push_image(base, [busybox_layer(), busybox_layer(1, 2)], {"Env": ["PATH=/bin"]})
    _, log = built()
    assert f"The base image {stack.registry.host}/{base} has moved: from sha256:" in log
    assert worker.metric("deployra_builder_images_reused_total") == 4
