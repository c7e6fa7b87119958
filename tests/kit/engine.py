"""A Docker Engine of our own, and the base image the builds start from."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from .bridge import Bridge
from .go_tools import tool
from .process import Server

# BuildKit clips the log of a step. Newer engines take -1 for "no limit"; 20.10 clips everything then,
# so the largest number it can read is used.
NO_LIMIT = "2147483647"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=120)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def base_image_tar(program: bytes = b"", names: Sequence[str] = ()) -> bytes:
    """A small base image from Debian's static busybox; nothing can be pulled here. With `program` it has that under these names,
    and what the first line of a script asks for."""
    binary = Path("/bin/busybox").read_bytes()
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        for path, content, mode in (("bin/busybox", binary, 0o755),
                                    ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
                                    *[(f"usr/local/bin/{name}", program, 0o755) for name in names]):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
        if program:
            info = tarfile.TarInfo("usr/bin/env")
            info.type, info.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(info)
    return buffer.getvalue()


# The features of daemon.json by the name of an engine: Debian's 20.10, and a 29 with either of its image stores.
ENGINES: dict[str, dict[str, bool]] = {
    "docker": {}, "docker29": {"containerd-snapshotter": True}, "docker29-graph": {"containerd-snapshotter": False}}


class Dockerd:
    """On a bridge of its own unless told otherwise; what it leaves on the host goes at stop."""

    def __init__(self, folder: Path, bridge: bool = True, name: str = "docker") -> None:
        self.server = Server("dockerd", folder / name)
        self.name = name
        self.socket = self.server.folder / "docker.sock"
        self.bridge = Bridge() if bridge else None
        self.step_log_limit = NO_LIMIT  # bytes; of the next start

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> Dockerd:
        folder = self.server.folder
        (folder / "docker.pid").unlink(missing_ok=True)
        config = folder / "daemon.json"
        # On a disk that is nearly full it would throw away what a test built a moment ago.
        settings: dict[str, object] = {"builder": {"gc": {"enabled": False}}}
        if ENGINES[self.name]:
            settings["features"] = ENGINES[self.name]
        config.write_text(json.dumps(settings))
        program = "dockerd" if self.name == "docker" else str(tool("dockerd"))
        # With its own namespaces and network, so that several may live on one machine.
        command = [program, f"--config-file={config}", f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}",
                   f"--host={self.host}", f"--pidfile={folder / 'docker.pid'}",
                   f"--containerd-namespace=kit{os.getpid()}",
                   f"--containerd-plugins-namespace=kit{os.getpid()}-plugins",
                   "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
                   "--userland-proxy=false", f"--bridge={self.bridge.name if self.bridge else 'none'}"]
        if self.bridge:
            self.bridge.begin()
        env = {**os.environ, "BUILDKIT_STEP_LOG_MAX_SIZE": self.step_log_limit, "BUILDKIT_STEP_LOG_MAX_SPEED": NO_LIMIT}
        self.server.launch(command, self._ready, 60, env)
        return self

    def mend(self) -> None:
        """Up and without a limit, whatever a test left."""
        if self.step_log_limit != NO_LIMIT or not (self.server.running and self._ready()):
            self.stop(signal.SIGKILL)
            self.step_log_limit = NO_LIMIT
            self.start()

    def _ready(self) -> bool:
        try:
            return self.call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.server.end(how, 40)
        # A killed dockerd leaves its mounts behind, and a pid file that may name a zombie or a stranger.
        (self.server.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        for line in Path("/proc/self/mounts").read_text().splitlines()[::-1]:
            mount = line.split()[1]
            if mount.startswith(str(self.server.folder)):
                subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)
        if self.bridge:
            self.bridge.end()

    def call(self, method: str, path: str, body: bytes | None = None,
             headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = UnixConnection(str(self.socket))
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None) -> object:
        status, data = self.call(method, path, None if body is None else json.dumps(body).encode(),
                                 {"Content-Type": "application/json"})
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {data!r}")
        return json.loads(data) if data.strip() else None

    def make_base_image(self, name: str = "busybox:latest", content: bytes = b"") -> None:
        """In its own store, where a FROM finds it before any registry is asked."""
        repository, tag = name.rsplit(":", 1)
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": repository, "tag": tag,
                                        "changes": "CMD [\"/bin/sh\"]"})
        status, data = self.call("POST", f"/images/create?{query}", content or base_image_tar(),
                                 {"Content-Type": "application/x-tar"})
        if status != 200 or b'"error"' in data:
            raise RuntimeError(f"import of the base image: {status} {data!r}")

    def containers(self) -> list[dict[str, object]]:
        return self.json("GET", "/containers/json?all=1")  # type: ignore[return-value]

    def pull(self, name: str, username: str, password: str) -> None:
        """`host/repository:tag` from a registry; layers that are here already are not sent again."""
        login = base64.urlsafe_b64encode(json.dumps({"username": username, "password": password}).encode())
        status, data = self.call("POST", f"/images/create?{urllib.parse.urlencode({'fromImage': name})}",
                                 headers={"X-Registry-Auth": login.decode()})
        if status != 200 or b'"error"' in data:
            raise RuntimeError(f"pull of {name}: {status} {data!r}")

    def run_output(self, image: str, command: list[str]) -> str:
        """Runs a command in an image without a network and gives what it printed."""
        made = self.json("POST", "/containers/create", {
            "Image": image, "Cmd": command, "Entrypoint": [], "HostConfig": {"NetworkMode": "none"}})
        identity = made["Id"]  # type: ignore[index]
        try:
            self.json("POST", f"/containers/{identity}/start")
            self.json("POST", f"/containers/{identity}/wait")
            _, raw = self.call("GET", f"/containers/{identity}/logs?stdout=1&stderr=1")
        finally:
            self.call("DELETE", f"/containers/{identity}?force=1")
        text = b""
        while len(raw) >= 8:  # Each frame: stream, three zeros, length, data.
            size = int.from_bytes(raw[4:8], "big")
            text += raw[8:8 + size]
            raw = raw[8 + size:]
        return text.decode(errors="replace")

    @contextlib.contextmanager
    def running(self, image: str, environment: dict[str, str]) -> Iterator[str]:
        """The image as it is, on this machine's network, with these variables; the container's id."""
        made = self.json("POST", "/containers/create", {
            "Image": image, "Env": [f"{key}={value}" for key, value in environment.items()],
            "HostConfig": {"NetworkMode": "host"}})
        identity = str(made["Id"])  # type: ignore[index]
        try:
            self.json("POST", f"/containers/{identity}/start")
            yield identity
        finally:
            self.call("DELETE", f"/containers/{identity}?force=1")

    def logs(self, identity: str) -> str:
        return self.call("GET", f"/containers/{identity}/logs?stdout=1&stderr=1")[1].decode(errors="replace")
