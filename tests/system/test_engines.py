"""What an engine must be to build here, and how its images are packed."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.images import RegistryClient
from kit.process import Server, wait_for
from kit.rootless import rootless

FILES = {"Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN seq 1 20000 > /numbers\n", "a.txt": "one\n"}


def built(stack, repo, **changes):
    identity = stack.api.enqueue(stack.job(repo(FILES).name, **changes))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    manifest = stack.ecr.manifest(f"deployra/{stack.api.deployments[identity].service}", identity)
    assert stack.output_of(identity, ["tail", "-n", "1", "/numbers"]) == "20000\n"
    return identity, manifest


@pytest.mark.every_engine
def test_images_have_the_media_types_the_engine_can_make(stack, make_worker, repo):
    worker = make_worker()
    identity, manifest = built(stack, repo)
    graph = stack.engine.name in ("docker", "docker29-graph")
    kind = "application/vnd.docker.distribution.manifest.v2+json" if graph else "application/vnd.oci.image.manifest.v1+json"
    layer = "vnd.docker.image.rootfs.diff.tar.gzip" if graph else "vnd.oci.image.layer.v1.tar+gzip"
    assert manifest["mediaType"] == kind
    assert {entry["mediaType"] for entry in manifest["layers"][1:]} == {f"application/{layer}"}
    name = f"deployra/{stack.api.deployments[identity].service}"
    assert stack.ecr.digest_of(name, "latest") == stack.ecr.digest_of(name, identity)
    assert [tag for _, _, tag, _ in stack.ecr.pushes(name)] == [identity, "latest"]
    assert "IMAGE_COMPRESSION" not in worker.text()


@pytest.mark.every_engine
def test_nothing_of_a_build_is_left_at_the_engine(stack, worker, repo):
    identity, _ = built(stack, repo)
    service = stack.api.deployments[identity].service
    if hasattr(stack.engine, "json"):
        wait_for(lambda: service not in json.dumps(stack.engine.json("GET", "/images/json?all=1")), 20, "no image left")


@pytest.mark.parametrize("stack", ["docker29", "buildkitd"], indirect=True)
@pytest.mark.parametrize("setting, kind", [("zstd:3", "zstd"), ("gzip:9", "gzip"), ("estargz", "gzip")])
def test_layers_are_packed_as_the_operator_says(stack, make_worker, repo, setting, kind):
    make_worker(IMAGE_COMPRESSION=setting)
    # Of its own from the first layer on: what lies in the engine's cache stays packed as it is.
    files = {**FILES, "a.txt": f"packed with {setting}\n"}
    identity = stack.api.enqueue(stack.job(repo(files).name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    name = f"deployra/{stack.api.deployments[identity].service}"
    for layer in stack.ecr.manifest(name, identity)["layers"][1:]:
        assert layer["mediaType"] == f"application/vnd.oci.image.layer.v1.tar+{kind}"
        start = stack.ecr.blob_url(f"{name}/blobs/{layer['digest']}")[:4]
        assert start[:3] == (b"\x28\xb5\x2f" if kind == "zstd" else b"\x1f\x8b\x08")
        if setting == "estargz":
            assert layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"].startswith("sha256:")


@pytest.mark.parametrize("stack", ["docker", "docker29-graph"], indirect=True)
def test_an_engine_that_packs_layers_its_own_way_is_named_once(stack, make_worker, repo):
    worker = make_worker(IMAGE_COMPRESSION="zstd")
    _, manifest = built(stack, repo)
    assert manifest["layers"][-1]["mediaType"].endswith("tar.gzip")
    assert worker.text().count("IMAGE_COMPRESSION has no effect") == 1


class Filter(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Stands before an Engine's socket, as proxies do, and answers some paths itself."""

    daemon_threads = True

    def __init__(self, path: Path, target: str, refuse: str, answer: str) -> None:
        self.target, self.refuse, self.answer = target, refuse, answer
        super().__init__(str(path), FilterHandler)


class FilterHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Filter)
        head = self.request.recv(65536)
        if head.split(b" ")[1:2] == [server.refuse.encode()]:
            self.request.sendall(f"HTTP/1.1 {server.answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer:
            peer.connect(server.target)
            peer.sendall(head)
            back = threading.Thread(target=self._copy, args=(peer, self.request))
            back.start()
            self._copy(self.request, peer)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def filtered(path: Path, target: str, refuse: str, answer: str) -> Iterator[Filter]:
    server = Filter(path, target, refuse, answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def not_taken(stack, worker, repo) -> tuple[str, str]:
    """Why the worker is not ready, and a job that waits meanwhile."""
    wait_for(lambda: "engine: " in worker.not_ready(), 20, "not ready")
    identity = stack.api.enqueue(stack.job(repo().name))
    wait_for(lambda: "not ready: engine" in worker.text(), 20, "it is in the log")
    assert stack.api.statuses(identity) == [] and stack.redis.client.llen("builder-queue") == 1
    return worker.not_ready(), identity


@pytest.mark.parametrize("path", ["/grpc", "/session"])
@pytest.mark.parametrize("answer", ["403 Forbidden", "404 Not Found"])
def test_a_filter_that_lets_no_build_through_is_named(stack, make_worker, repo, tmp_path, path, answer):
    with filtered(tmp_path / "filter.sock", str(stack.docker.socket), path, answer) as server:
        worker = make_worker(start=False, DOCKER_HOST=f"unix://{tmp_path / 'filter.sock'}")
        worker.start(ready=False)
        reason, identity = not_taken(stack, worker, repo)
        assert f"refused {path}: HTTP/1.1 {answer}" in reason and "DOCKER_HOST" in reason
        server.refuse = "/nothing"  # The operator mends it: no restart is needed.
        wait_for(lambda: not worker.not_ready(), 20, "ready")
        assert stack.api.wait_end(identity, 60) == "BUILDED"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Of short paths, which podman wants, and in reach of other users."""
    with tempfile.TemporaryDirectory(prefix="kit-") as name:
        yield Path(name)


def test_podmans_socket_is_refused_with_the_reason(stack, make_worker, repo, short_folder):
    service = Server("podman", short_folder)
    path = service.folder / "podman.sock"
    try:
        service.launch(["podman", "--storage-driver=vfs", "--root", str(service.folder / "root"), "--runroot", str(service.folder / "run"),
                        "system", "service", "--time=0", f"unix://{path}"], path.exists)
        worker = make_worker(start=False, DOCKER_HOST=f"unix://{path}")
        worker.start(ready=False)
        reason, _ = not_taken(stack, worker, repo)
    finally:
        service.end()
    assert "Libpod" in reason and "refused /grpc" in reason and "BUILDKIT_HOST" in reason


def test_the_socket_of_the_other_kind_is_named(stack, make_worker, repo):
    worker = make_worker(start=False, BUILDKIT_HOST=stack.docker.host)
    worker.start(ready=False)
    assert "DOCKER_HOST" in not_taken(stack, worker, repo)[0]
    worker.stop()
    stack.mend()
    stack.use("buildkitd")
    worker = make_worker(start=False, BUILDKIT_HOST="", DOCKER_HOST=stack.engine.host)
    worker.start(ready=False)
    assert "BUILDKIT_HOST" in not_taken(stack, worker, repo)[0]


@pytest.mark.parametrize("engine, step", [("buildkitd", "RUN cat /a.txt\n"), ("docker29", "")])
def test_a_rootless_engine_builds(stack, make_worker, repo, short_folder, engine, step):
    RegistryClient(stack.registry.host).push_base_image()
    with rootless(engine, short_folder, stack.registry.host) as told:
        make_worker(**told)
        identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\nCOPY a.txt /\n{step}", "a.txt": "one\n"}).name))
        assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/a.txt"]) == "one\n"
