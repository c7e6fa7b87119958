"""Images made of nothing but Debian's static busybox, pushed to a registry without an engine.

The same inputs give the same digests.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import http.client
import io
import json
import subprocess
import tarfile
import urllib.parse
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MADE = "1980-01-01T00:00:01Z"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """A layer's tar, its parent folders made as they are needed."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)
        self.made: set[str] = set()

    @staticmethod
    def _info(path: str, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.mode, info.uid, info.gid, info.mtime = mode, uid, gid, 315532801
        return info

    def folder(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Layer:
        if path not in self.made and path not in ("", "/"):
            self.folder(str(Path(path).parent))
            self.made.add(path)
            info = self._info(path, mode, uid, gid)
            info.type = tarfile.DIRTYPE
            self.tar.addfile(info)
        return self

    def file(self, path: str, content: str | bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Layer:
        self.folder(str(Path(path).parent))
        data = content.encode() if isinstance(content, str) else content
        info = self._info(path, mode, uid, gid)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def link(self, path: str, target: str) -> Layer:
        self.folder(str(Path(path).parent))
        info = self._info(path, 0o777, 0, 0)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(info)
        return self

    @functools.cached_property
    def packed(self) -> tuple[bytes, bytes]:
        """The tar, and the tar compressed."""
        self.tar.close()
        raw = self.buffer.getvalue()
        return raw, gzip.compress(raw, compresslevel=1, mtime=0)


@functools.cache
def busybox_layer(uid: int = 1001, gid: int = 1002) -> Layer:
    """A file system with a shell, root and one user."""
    layer = Layer()
    for folder in ("/bin", "/etc", "/usr/bin", "/proc", "/sys", "/dev", "/run", "/root"):
        layer.folder(folder)
    layer.folder("/tmp", 0o1777).folder("/var/tmp", 0o1777)
    layer.file("/bin/busybox", BUSYBOX.read_bytes(), 0o755)
    names = subprocess.run([str(BUSYBOX), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            layer.link(f"/bin/{name}", "busybox")
    layer.link("/usr/bin/env", "/bin/busybox")
    layer.file("/etc/passwd", f"root:x:0:0:root:/root:/bin/sh\ncnb:x:{uid}:{gid}::/home/cnb:/bin/sh\n")
    layer.file("/etc/group", f"root:x:0:\ncnb:x:{gid}:\n")
    layer.file("/etc/os-release", 'NAME="Tiny"\nID=tiny\nVERSION_ID="1"\n')
    layer.folder("/home/cnb", 0o755, uid, gid)
    return layer


class RegistryClient:
    """As much of the distribution API as pushing and looking takes, over plain HTTP."""

    def __init__(self, host: str, user: str = "", password: str = "") -> None:
        self.host = host
        self.headers = {}
        if user:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(self, method: str, path: str, body: bytes | None = None,
             headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data
        finally:
            connection.close()

    def push_blob(self, repository: str, data: bytes) -> str:
        digest = digest_of(data)
        if self.call("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            return digest
        status, headers, answer = self.call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, (status, answer)
        where = urllib.parse.urlsplit(headers["location"])
        query = (where.query + "&" if where.query else "") + "digest=" + urllib.parse.quote(digest)
        status, _, answer = self.call("PUT", f"{where.path}?{query}", data,
                                      {"Content-Type": "application/octet-stream"})
        assert status == 201, (status, answer)
        return digest

    def push_image(self, name: str, layers: list[Layer], config: dict[str, object],
                   architecture: str = "amd64") -> str:
        """Pushes `repository[:tag]` and gives the manifest's digest."""
        repository, _, tag = name.partition(":")
        packed = [layer.packed for layer in layers]
        image = json.dumps({
            "architecture": architecture, "os": "linux", "created": MADE, "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(raw) for raw, _ in packed]},
            "history": [{"created": MADE, "created_by": "kit"} for _ in packed]}, sort_keys=True).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(image),
                       "digest": self.push_blob(repository, image)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(data),
                        "digest": self.push_blob(repository, data)} for _, data in packed]}).encode()
        status, _, answer = self.call("PUT", f"/v2/{repository}/manifests/{tag or 'latest'}", manifest,
                                      {"Content-Type": MANIFEST})
        assert status == 201, (status, answer)
        return digest_of(manifest)

    def push_index(self, name: str, architectures: list[str], configured: str = "") -> str:
        """One image with a shell (amd64's, whatever it is called) for each of them; gives the index's digest. `configured`: what
        the images themselves say that they are for."""
        repository = name.partition(":")[0]
        return self.push_index_of(name, {architecture: self.push_image(
            f"{repository}:{architecture}", [busybox_layer()], {"Env": [PATH]}, configured or architecture)
            for architecture in architectures})

    def push_index_of(self, name: str, manifests: dict[str, str]) -> str:
        """Of images (by digest) that are there, for each architecture one; gives its digest."""
        repository, _, tag = name.partition(":")
        images = []
        for architecture, digest in manifests.items():
            size = len(self.call("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": MANIFEST})[2])
            images.append({"mediaType": MANIFEST, "digest": digest, "size": size,
                           "platform": {"os": "linux", "architecture": architecture}})
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}).encode()
        status, _, answer = self.call("PUT", f"/v2/{repository}/manifests/{tag or 'latest'}", index, {"Content-Type": INDEX})
        assert status == 201, (status, answer)
        return digest_of(index)

    def manifest(self, repository: str, reference: str) -> dict[str, object] | None:
        status, _, data = self.call("GET", f"/v2/{repository}/manifests/{reference}", headers={
            "Accept": f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"})
        return json.loads(data) if status == 200 else None

    def config(self, repository: str, reference: str) -> dict[str, object]:
        manifest = self.manifest(repository, reference)
        assert manifest is not None, f"{repository}:{reference} is not there"
        digest = manifest["config"]["digest"]  # type: ignore[index]
        status, _, data = self.call("GET", f"/v2/{repository}/blobs/{digest}")
        assert status == 200, (status, data)
        return json.loads(data)

    def push_base_image(self, name: str = "library/busybox:latest") -> str:
        return self.push_image(name, [busybox_layer()], {"Env": [PATH], "Cmd": ["/bin/sh"]})
