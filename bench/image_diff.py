"""What two images differ in: which part, which layer and the step that made it, which file, and from which byte on.

    $(tools/setup --python) bench/image_diff.py localhost:5000/app:1 localhost:5000/app@sha256:…

For registries on plain HTTP without a login. Ends with 0 when the digests are equal, with 1 when they are not.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.images import RegistryClient, digest_of  # noqa: E402

TYPES = ", ".join(f"application/vnd.{kind}+json" for kind in (
    "oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"))
MEMBER_FIELDS = ("type", "mode", "uid", "gid", "uname", "gname", "size", "mtime", "linkname", "pax_headers")


@dataclass
class Image:
    manifest: bytes
    config: dict
    layers: list[tuple[str, bytes]]  # The step that made each, and its packed bytes.

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def read_image(reference: str, architecture: str = "amd64") -> Image:
    host, _, rest = reference.partition("/")
    repository, _, name = rest.partition("@") if "@" in rest else rest.rpartition(":")
    client = RegistryClient(host)

    def fetch(path: str) -> bytes:
        status, _, body = client.call("GET", f"/v2/{repository}/{path}", headers={"Accept": TYPES})
        if status != 200:
            sys.exit(f"{reference}: {path}: HTTP {status}")
        return body

    manifest = fetch(f"manifests/{name}")
    content = json.loads(manifest)
    for entry in content.get("manifests", []):
        if entry.get("platform", {}).get("architecture") == architecture:
            manifest = fetch(f"manifests/{entry['digest']}")
            content = json.loads(manifest)
            break
    config = json.loads(fetch(f"blobs/{content['config']['digest']}"))
    made_by = [step.get("created_by", "?") for step in config.get("history", []) if not step.get("empty_layer")]
    made_by += ["?"] * (len(content["layers"]) - len(made_by))
    return Image(manifest, config, [(step, fetch(f"blobs/{layer['digest']}")) for step, layer in zip(made_by, content["layers"])])


def unpacked(layer: bytes) -> bytes:
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer


def first_difference(one: bytes, other: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return f"from byte {at} of {len(one)} and {len(other)}: {one[at:at + 24]!r}, {other[at:at + 24]!r}"


def differences_of_layers(one: bytes, other: bytes) -> Iterator[str]:
    tars = [tarfile.open(fileobj=io.BytesIO(unpacked(layer))) for layer in (one, other)]
    members = [{member.name: member for member in tar.getmembers()} for tar in tars]
    for name in sorted(set(members[0]) ^ set(members[1])):
        yield f"/{name}: only in the {'first' if name in members[0] else 'second'}"
    for name in sorted(set(members[0]) & set(members[1])):
        left, right = members[0][name], members[1][name]
        for field in MEMBER_FIELDS:
            if getattr(left, field) != getattr(right, field):
                yield f"/{name}: {field} {getattr(left, field)!r}, {getattr(right, field)!r}"
        if left.isfile() and right.isfile():
            contents = [tar.extractfile(member).read() for tar, member in zip(tars, (left, right))]
            if contents[0] != contents[1]:
                yield f"/{name}: {first_difference(*contents)}"
    if list(members[0]) != list(members[1]):
        yield "the files come in another order"


def differences(one: Image, other: Image) -> Iterator[str]:
    """Nothing: they are the same to the byte."""
    if one.manifest == other.manifest:
        return
    named = "the manifests differ"
    for key in sorted(set(one.config) | set(other.config)):
        if key != "rootfs" and one.config.get(key) != other.config.get(key):
            named = ""
            yield f"configuration, {key}: {first_difference(*(json.dumps(image.config.get(key), sort_keys=True).encode() for image in (one, other)))}"
    if len(one.layers) != len(other.layers):
        yield f"{len(one.layers)} and {len(other.layers)} layers"
        return
    for number, ((step, left), (_, right)) in enumerate(zip(one.layers, other.layers), 1):
        if left == right:
            continue
        named = ""
        found = list(differences_of_layers(left, right)) or ["the same files, packed in another way"]
        yield f"layer {number} of {len(one.layers)} ({step[:100]}):"
        yield from (f"    {line}" for line in found[:20])
        if len(found) > 20:
            yield f"    and {len(found) - 20} more"
    if named:
        yield named


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    images = [read_image(reference) for reference in sys.argv[1:]]
    for reference, image in zip(sys.argv[1:], images):
        print(f"{image.digest}  {reference}")
    lines = list(differences(*images))
    print("\n".join(lines) if lines else "the same")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
