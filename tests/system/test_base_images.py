"""Base images from registries that want to know who asks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.images import RegistryClient
from kit.process import stopped_at_end
from kit.registry import PlainRegistry

pytestmark = pytest.mark.every_engine

USER, PASSWORD = "base-reader", "p:a+s/s=w0rd"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainRegistry]:
    registry = PlainRegistry(tmp_path_factory.mktemp("private"), USER, PASSWORD)
    with stopped_at_end(registry):
        registry.start()
        RegistryClient(registry.host, USER, PASSWORD).push_base_image("team/base:1")
        yield registry


def auths(folder: Path, host: str, password: str = PASSWORD) -> str:
    file = folder / "auths.json"
    file.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}}))
    return str(file)


def test_a_private_base_image_is_used_with_the_login_of_the_file(stack, make_worker, repo, private, tmp_path):
    worker = make_worker(REGISTRY_AUTHS_FILE=auths(tmp_path, private.host))
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM {private.host}/team/base:1\nCOPY . /app\n", "a.txt": "one\n"}).name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/app/a.txt"]) == "one\n"
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for text in (worker.text(), stack.api.log_text(identity)):
        assert PASSWORD not in text and encoded not in text


@pytest.mark.parametrize("login", ["none", "wrong", "of another host"])
def test_without_the_right_login_the_customer_is_told_which_image(stack, make_worker, repo, private, tmp_path, login):
    file = {"none": "", "wrong": auths(tmp_path, private.host, "not-this-one"),
            "of another host": auths(tmp_path, "registry.example.com")}[login]
    # A tag of its own: nothing may answer from an earlier build.
    tag = f"{login.replace(' ', '-')}-{stack.engine.name}"
    RegistryClient(private.host, USER, PASSWORD).push_base_image(f"team/base:{tag}")
    make_worker(REGISTRY_AUTHS_FILE=file, BUILD_NETWORK_POLICY="any")
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM {private.host}/team/base:{tag}\n"}).name))
    assert stack.api.wait_end(identity) == "FAILED"
    assert stack.api.error_of(identity) == (
        f'Dockerfile:1: base image "{private.host}/team/base:{tag}" does not exist or needs a login')


def test_an_auths_file_that_cannot_be_used_is_a_configuration_error(make_worker, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"auths": {"ghcr.io": {"auth": "c2VjcmV0LXRva2Vu"}}}')
    for path, words in ((str(broken), "ghcr.io"), ("/nonexistent.json", "cannot be read")):
        worker = make_worker(start=False, REGISTRY_AUTHS_FILE=path)
        worker.start(ready=False)
        assert worker.wait(10) == 2
        assert "REGISTRY_AUTHS_FILE" in worker.text() and words in worker.text()
        assert "secret-token" not in worker.text() and "c2VjcmV0" not in worker.text()


def push_to_ecr(stack, name):
    stack.ecr.api("CreateRepository", repositoryName=name.split(":")[0])
    RegistryClient(stack.ecr.host, "AWS", stack.ecr.token()).push_base_image(name)


CLOSED = ("Dockerfile:1: images of the platform's own registry cannot be used with this build engine; take one from another "
          "registry")


def keeps_policies(stack):
    """Engine 20.10 cannot be told which images a build may not use, so its builds get no login there."""
    return stack.engine.name != "docker"


def test_base_images_of_the_platforms_own_registry(stack, worker, repo):
    shared = f"shared/{stack.engine.name}"
    push_to_ecr(stack, f"{shared}:1")
    repository = repo({"Dockerfile": f"FROM {stack.ecr.host}/{shared}:1\nRUN true\n"})
    identity = stack.api.enqueue(stack.job(repository.name))
    if not keeps_policies(stack):
        assert stack.api.wait_end(identity) == "FAILED", stack.api.log_text(identity)
        assert stack.api.error_of(identity) == CLOSED
        stack.engine.pull(f"{stack.ecr.host}/{shared}:1", "AWS", stack.ecr.token())
        identity = stack.api.enqueue(stack.job(repository.name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)


def test_an_earlier_image_of_the_same_service_may_be_one(stack, worker, repo):
    service = f"own-{stack.engine.name}"
    first = stack.api.enqueue(stack.job(repo().name, serviceId=service))
    assert stack.api.wait_end(first) == "BUILDED"
    image = f"{stack.ecr.host}/deployra/{service}:{first}"
    second = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM {image}\nRUN cat /app/a.txt\n"}).name, serviceId=service))
    if keeps_policies(stack):
        assert stack.api.wait_end(second) == "BUILDED", stack.api.log_text(second)
    else:
        assert stack.api.wait_end(second) == "FAILED" and stack.api.error_of(second) == CLOSED, stack.api.error_of(second)
