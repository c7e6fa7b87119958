"""Later builds take the base images that a service's first one took, and images tell what they were made of."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from kit.images import RegistryClient, busybox_layer

pytestmark = pytest.mark.both_engines

LABEL = "org.opencontainers.image."


def test_bases_are_pinned_and_renewed_and_labels_tell_them(stack, make_worker, repo):
    make_worker(BASE_IMAGES="pinned", IMAGE_LABELS="oci", BUILD_NETWORK_POLICY="any")
    registry = RegistryClient(stack.registry.host)
    base = f"pins-{uuid.uuid4().hex[:8]}/base:1"
    name = f"{stack.registry.host}/{base}"
    service = f"pins-{uuid.uuid4().hex[:8]}"
    repository = repo({"Dockerfile": f"FROM {name} AS made\nCOPY app /app\nFROM made\nLABEL {LABEL}revision=mine\n", "app/page": "0"})

    def push(version):
        return registry.push_image(base, [busybox_layer()], {"Env": [f"VERSION={version}"]})

    def deploy(page, **variables):
        commit = repository.commit({"app/page": page})
        identity = stack.api.enqueue(stack.job(repository.name, serviceId=service, environmentVariables=[
            {"key": key, "value": value} for key, value in variables.items()]))
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
        image = registry.config(f"deployra/{service}", stack.ecr.digest_of(f"deployra/{service}", identity))
        made = int(repository.git("log", "-1", "--format=%ct", commit))
        return image["config"]["Env"][0], image["config"]["Labels"], stack.api.log_text(identity), made

    first = push("one")
    env, labels, _, _ = deploy("1")
    assert env == "VERSION=one"
    assert LABEL + "base.digest" not in labels, "which one it would be was not known before"
    second = push("two")
    env, labels, log, made = deploy("2")
    assert env == "VERSION=one", log
    assert f"Pinned base images: {name} at {first[:19]}" in log
    assert labels.pop(LABEL + "created") == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(made))
    assert labels == {LABEL + "source": f"{stack.git.url}/{repository.name}.git", LABEL + "revision": "mine",
                      LABEL + "base.name": name, LABEL + "base.digest": first}
    env, _, log, _ = deploy("3", DEPLOYRA_BUILD_NO_CACHE="true")
    assert env == "VERSION=two"
    assert f"The base image {name} has moved: from {first[:19]} to {second[:19]} (no_cache" in log
    # A version that the registry has not got.
    times, field, redis = "{builder-queue}:times", f"{service}#bases", stack.redis.client
    pins = json.loads(redis.hget(times, field))
    pins[name]["digest"] = "sha256:" + "0" * 64
    redis.hset(times, field, json.dumps(pins))
    env, _, log, _ = deploy("4")
    assert env == "VERSION=two" and "(its registry has lost the former)" in log, log
