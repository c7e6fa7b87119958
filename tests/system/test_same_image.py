"""The same commit gives the same image: built twice, on one host and on two."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.cnb import STATIC_APP
from kit.images import RegistryClient
from kit.stack import Stack

COPIES = {"Dockerfile": "FROM busybox\nCOPY --chown=7:8 a /a\nENV A=b\n",
          "a/x.txt": "x\n", "a/y/z.txt": "z\n"}
RUNS = {"Dockerfile": "FROM busybox AS made\nRUN date +%s > /dev/null; mkdir -p /out/a && echo x > /out/a/b\n"
                      "FROM busybox\nWORKDIR /srv/www\nCOPY --from=made /out /out\nCOPY . /app\n"
                      "RUN mkdir /made && touch /made/x\nCOPY x.txt /deep/er/\n",
        "x.txt": "x\n"}


class Host:
    """A build machine with nothing on it yet: an engine of its own, and what a worker keeps of its own."""

    def __init__(self, stack: Stack, folder: Path, make_worker: Callable) -> None:
        self.stack, self.make_worker = stack, make_worker
        self.engine = Buildkitd(folder, mirrors={"docker.io": stack.registry.host})

    def build(self, repository: str, service: str, **settings: str) -> str:
        """Builds it here; the image's digest."""
        if not self.engine.server.running:
            self.engine.start()
        worker = self.make_worker(BUILDKIT_HOST=self.engine.host, DOCKER_HOST="unix:///nonexistent/docker.sock", REUSE_IMAGES="0",
                                  **settings)
        identity = self.stack.api.enqueue(self.stack.job(repository, serviceId=service))
        assert self.stack.api.wait_end(identity, 120) == "BUILDED", self.stack.api.log_text(identity)
        worker.stop()
        digest = self.stack.ecr.digest_of(f"deployra/{service}", identity)
        assert digest
        return digest


@pytest.fixture
def hosts(stack: Stack, tmp_path: Path, make_worker) -> Iterator[list[Host]]:
    RegistryClient(stack.registry.host).push_base_image()
    made = [Host(stack, tmp_path / f"host{number}", make_worker) for number in range(2)]
    yield made
    for host in made:
        host.engine.stop()


def config_of(stack: Stack, service: str, digest: str) -> dict:
    return RegistryClient(stack.registry.host).config(f"deployra/{service}", digest)


def committed(repository) -> str:
    seconds = int(repository.git("log", "-1", "--format=%ct"))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_two_hosts_make_one_image_of_folders_that_are_copied(stack, hosts, repo) -> None:
    repository = repo(COPIES)
    first = hosts[0].build(repository.name, "copies")
    assert hosts[0].build(repository.name, "copies") == first
    assert hosts[1].build(repository.name, "copies") == first
    config = config_of(stack, "copies", first)
    times = {config["created"], *(entry["created"] for entry in config["history"] if entry["created_by"] != "kit")}
    assert times == {committed(repository)}
    # The next commit is another image, though nothing that goes into it has changed.
    repository.commit({"other": "x"})
    assert hosts[0].build(repository.name, "copies") != first


def test_one_host_makes_one_image_and_two_do_when_layers_are_rewritten(stack, hosts, repo) -> None:
    repository = repo(RUNS)
    first = hosts[0].build(repository.name, "runs")
    assert hosts[0].build(repository.name, "runs") == first, "what is cached is as it was"
    layers = hosts[0].build(repository.name, "runs", IMAGE_EPOCH="layers")
    assert layers != first
    assert hosts[1].build(repository.name, "runs", IMAGE_EPOCH="layers") == layers


def test_the_times_of_the_build_are_there_for_who_wants_them(stack, hosts, repo) -> None:
    repository = repo({**COPIES, "unlike": "the others"})
    config = config_of(stack, "off", hosts[0].build(repository.name, "off", IMAGE_EPOCH="off"))
    # A build that ends within the second of its commit is told apart by the fraction alone.
    assert re.fullmatch(r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d+Z", config["created"]), config["created"]
    assert config["created"][:19] >= committed(repository)[:19]


def test_two_hosts_make_one_image_with_buildpacks(stack, hosts, repo) -> None:
    repository = repo(STATIC_APP)
    builder = cnb.push_builder(RegistryClient(stack.registry.host), cnb.Builder())
    settings = {"CNB_BUILDER": builder, "CNB_NETWORK": "host"}
    first = hosts[0].build(repository.name, "packs", **settings)
    # Without the first's image beside it: nothing of it is taken over.
    second = hosts[1].build(repository.name, "packs2", **settings)
    assert second == hosts[0].build(repository.name, "packs2", **settings)
    assert config_of(stack, "packs", first)["created"] == committed(repository)
    assert config_of(stack, "packs", first)["rootfs"] == config_of(stack, "packs2", second)["rootfs"]
