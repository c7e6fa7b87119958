"""Names of what a worker asks its peers, read from the bytes on the wire: faults and kills are placed by them."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "src" / "adapters" / "redis" / "leased" / "scripts"


@functools.cache
def scripts() -> dict[bytes, str]:
    """Redis's name of each script; the build puts what they share in front of each."""
    common = (SCRIPTS / "common.lua").read_bytes()
    return {hashlib.sha1(common + b"\n" + path.read_bytes()).hexdigest().encode(): path.stem
            for path in SCRIPTS.glob("*.lua")}


def redis(data: bytes) -> str:
    words = data.split(b"\r\n")
    if not words[0].startswith(b"*") or len(words) < 3:
        return ""
    command = words[2].lower()
    if command in (b"evalsha", b"eval") and len(words) > 4:
        digest = words[4] if command == b"evalsha" else hashlib.sha1(words[4]).hexdigest().encode()
        return scripts().get(digest, "a script")
    return command.decode(errors="replace")


def _request(data: bytes) -> tuple[str, str] | None:
    found = re.match(rb"([A-Z]{3,7}) (\S+) HTTP/1\.[01]\r\n", data)
    return (found[1].decode(), found[2].decode(errors="replace")) if found else None


def api(data: bytes) -> str:
    request = _request(data)
    if request is None:
        return ""
    if "/readiness-probe/" in request[1]:
        return "probe"
    status = re.search(rb'"status" ?: ?"([A-Z]+)"', data)
    return status[1].decode() if status else request[1].rsplit("/", 1)[-1]


def registry(data: bytes) -> str:
    """ECR's API, or the registry's protocol."""
    request = _request(data)
    if request is None:
        return ""
    target = re.search(rb"(?i)x-amz-target: *\S+?\.(\w+)", data)
    if target:
        return target[1].decode()
    method, path = request
    kind = re.search(r"/v2/(?:.*/)?(manifests/latest|manifests|blobs/uploads|blobs)", path)
    return f"{method} {kind[1] if kind else 'v2'}"


def git(data: bytes) -> str:
    request = _request(data)
    return f"{request[0]} {request[1].split('?')[0].rsplit('/', 1)[-1]}" if request else ""


def engine(data: bytes) -> str:
    """The Engine's HTTP, and what gRPC calls name in clear the first time they are made."""
    call = re.search(rb"/moby\.buildkit\.v1\.Control/(\w+)", data)
    if call:
        return call[1].decode()
    request = _request(data)
    if request is None:
        return ""
    words = [word for word in request[1].split("?")[0].split("/") if re.fullmatch(r"_?[a-z]+", word)]
    return f"{request[0]} {'/'.join(words[:1] + words[1:][-1:])}"
