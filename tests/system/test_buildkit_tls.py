"""A standalone BuildKit over tcp with certificates of both sides, and every way to get them wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.buildkitd import Buildkitd
from kit.certificates import Authority
from kit.images import RegistryClient
from kit.process import free_port, stopped_at_end, wait_for
from kit.stack import Stack


class Remote:
    """The daemon and what a worker needs to reach it."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.authority = Authority(folder / "pki")
        self.server = self.authority.issue("server", "DNS:buildkit.test")
        self.client = self.authority.issue("client", "DNS:worker.test")
        self.port = free_port()
        self.daemon = Buildkitd(folder, {"docker.io": registry}, address=f"tcp://127.0.0.1:{self.port}", options=(
            f"--tlscacert={self.authority.certificate}", f"--tlscert={self.server[0]}", f"--tlskey={self.server[1]}"))
        self.environment = {
            "BUILDKIT_HOST": self.daemon.host, "BUILDKIT_TLS_CA": str(self.authority.certificate),
            "BUILDKIT_TLS_CERT": str(self.client[0]), "BUILDKIT_TLS_KEY": str(self.client[1]),
            "BUILDKIT_TLS_SERVER_NAME": "buildkit.test", "DOCKER_HOST": "unix:///nonexistent/docker.sock"}


@pytest.fixture(scope="module")
def remote(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    RegistryClient(servers.registry.host).push_base_image()
    made = Remote(tmp_path_factory.mktemp("remote"), servers.registry.host)
    with stopped_at_end(made.daemon):
        made.daemon.start()
        yield made


def test_a_deployment_over_mutual_tls(stack, make_worker, repo, remote):
    worker = make_worker(**remote.environment)
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity) + worker.text()[-2000:]
    assert stack.output_of(identity, ["cat", "/app/a.txt"]) == "one\n"
    lines = worker.text().splitlines()
    assert any(f"building with BuildKit at {remote.daemon.host}, over TLS" in line for line in lines[:5])
    assert any("engine: BuildKit v" in line for line in lines[:12])


@pytest.mark.parametrize("changes, words", [
    ({"BUILDKIT_TLS_CERT": "", "BUILDKIT_TLS_KEY": ""}, ["refuses our certificate", "BUILDKIT_TLS_CERT"]),
    ({"BUILDKIT_TLS_SERVER_NAME": "elsewhere.test"}, ["another name", "BUILDKIT_TLS_SERVER_NAME"]),
    ({"BUILDKIT_TLS_SERVER_NAME": ""}, ["another name", "BUILDKIT_TLS_SERVER_NAME"]),
    ({"BUILDKIT_TLS_CA": "other"}, ["not accepted", "BUILDKIT_TLS_CA"]),
    ({"BUILDKIT_TLS_CERT": "other", "BUILDKIT_TLS_KEY": "other"}, ["refuses our certificate", "BUILDKIT_TLS_CERT"]),
    ({name: "" for name in ("BUILDKIT_TLS_CA", "BUILDKIT_TLS_CERT", "BUILDKIT_TLS_KEY", "BUILDKIT_TLS_SERVER_NAME")},
     ["it wants TLS", "BUILDKIT_TLS_CA"]),
    ({"BUILDKIT_HOST": "nobody"}, ["refused"]),
])
def test_what_is_wrong_is_said_and_no_job_is_lost(stack, make_worker, repo, remote, tmp_path, changes, words):
    stranger = Authority(tmp_path / "stranger", "stranger")
    certificate, key = stranger.issue("client", "DNS:worker.test")
    others = {"BUILDKIT_TLS_CA": str(stranger.certificate), "BUILDKIT_TLS_CERT": str(certificate),
              "BUILDKIT_TLS_KEY": str(key)}
    changes = {name: others[name] if value == "other" else value for name, value in changes.items()}
    if changes.get("BUILDKIT_HOST"):
        changes["BUILDKIT_HOST"] = f"tcp://127.0.0.1:{free_port()}"
    identity = stack.api.enqueue(stack.job(repo().name))
    worker = make_worker(start=False, **{**remote.environment, **changes})
    worker.start(ready=False)
    wait_for(lambda: "engine: buildkitd at" in worker.not_ready(), 20, "a reason why it is not ready")
    for word in words:
        assert word in worker.not_ready()
        wait_for(lambda: word in worker.text(), 10, f"{word} in the log")
    assert str(key) not in worker.text() and "BEGIN" not in worker.text()
    assert stack.redis.client.llen("builder-queue") == 1 and stack.api.statuses(identity) == []
    worker.kill()
    make_worker(**remote.environment)
    assert stack.api.wait_end(identity) == "BUILDED"


def test_wrong_files_are_configuration_errors(stack, make_worker, remote, tmp_path):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate\n")
    for changes, words in (
            ({"BUILDKIT_TLS_CA": "/nonexistent"}, "BUILDKIT_TLS_CA: /nonexistent cannot be read"),
            ({"BUILDKIT_TLS_CA": str(nonsense)}, "BUILDKIT_TLS_CA"),
            ({"BUILDKIT_TLS_CERT": str(nonsense)}, "BUILDKIT_TLS_CERT"),
            ({"BUILDKIT_TLS_KEY": str(remote.server[1])}, "does not belong to BUILDKIT_TLS_CERT"),
            ({"BUILDKIT_TLS_KEY": ""}, "belong together"),
            ({"BUILDKIT_HOST": ""}, "BUILDKIT_TLS_CA needs BUILDKIT_HOST=tcp"),
            ({"BUILDKIT_HOST": "unix:///run/buildkit/buildkitd.sock"}, "BUILDKIT_TLS_CERT needs BUILDKIT_HOST=tcp"),
            ({"BUILDKIT_HOST": "docker-container://x"}, "BUILDKIT_HOST must be")):
        worker = make_worker(start=False, **{**remote.environment, **changes})
        worker.start(ready=False)
        assert worker.wait(10) == 2, changes
        assert words in worker.text(), (changes, worker.text())
