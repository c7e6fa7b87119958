"""A large image that starts with few of its files: how much of it has to come first, by how its layers are packed.

    $(tools/setup --python) bench/lazy_start.py [megabytes [engine]]

With gzip and zstd whoever starts the image gets all of its layers first. With estargz a snapshotter that reads lazily gets the table of
contents of each layer and what of its files is read. Here that is done by range requests to the registry: the footer, the table, and the
files of a start, each of them unpacked and compared. What is read is a program of 4 MB, its 40 modules and its configuration, among files
that are opened later or never. Nothing here is a test: quote figures with their conditions.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import sys
import tarfile
import time
import urllib.request
import uuid
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.images import RegistryClient  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402

FOOTER = 51  # Bytes: containerd/stargz-snapshotter, docs/estargz.md, "eStargz Footer".
WORDS = [f"{a}{b}" for a in ("get", "set", "read", "write", "find", "open", "close", "map") for b in ("Node", "Path", "Text", "Item", "State", "Row")]


def content(chance: random.Random, size: int) -> bytes:
    """As programs and their modules are: it packs to about a third."""
    text = bytearray()
    while len(text) < size:
        text += " ".join(chance.choices(WORDS, k=400)).encode() + chance.randbytes(700)
    return bytes(text[:size])


def files_of(megabytes: int) -> tuple[dict[str, bytes], list[str]]:
    """The files, and those of a start."""
    chance, files = random.Random(17), {"app/server": b"", "app/config.json": b"{}" * 2_000}
    files["app/server"] = content(chance, 4 << 20)
    files |= {f"app/modules/m{number}.js": content(chance, 30_000) for number in range(40)}
    started = list(files)
    block = content(chance, 8 << 20)
    for number in range(max(1, megabytes // 8 - 1)):
        files[f"app/assets/{number // 16}/a{number}.bin"] = number.to_bytes(4, "big") * 64 + block[number * 977:] + block[:number * 977]
    return files, started


class LazyReader:
    """One layer, as a snapshotter reads it."""

    def __init__(self, stack: Stack, name: str, layer: dict[str, object]) -> None:
        self.url, self.size = f"http://{stack.registry.host}/v2/{name}/blobs/{layer['digest']}", int(str(layer["size"]))
        self.bytes, self.requests = 0, 0
        footer = self._range(self.size - FOOTER, self.size)
        # The gzip header's extra field: "SG", its length, the offset in hex, "STARGZ".
        at = int(footer[16:32], 16)
        table = gzip.decompress(self._range(at, self.size - FOOTER))
        with tarfile.open(fileobj=io.BytesIO(table)) as tar:
            member = tar.extractfile("stargz.index.json")
            assert member is not None
            text = member.read()
        assert "sha256:" + hashlib.sha256(text).hexdigest() == layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"]  # type: ignore[index]
        self.entries = json.loads(text)["entries"]
        offsets = sorted({entry["offset"] for entry in self.entries if entry.get("offset")} | {at})
        self.ends = dict(zip(offsets, offsets[1:], strict=False))

    def read(self, path: str) -> bytes:
        chunks = [entry for entry in self.entries if entry["name"] == path and entry["type"] in ("reg", "chunk")]
        whole = b""
        for chunk in chunks:
            packed = self._range(chunk["offset"], self.ends[chunk["offset"]])
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed)
            whole += data[:chunk.get("chunkSize") or len(data)]
        return whole[:next(entry["size"] for entry in chunks if entry["type"] == "reg")]

    def _range(self, begin: int, end: int) -> bytes:
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={begin}-{end - 1}"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 206
            data = answer.read()
        self.bytes += len(data)
        self.requests += 1
        return data


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    engine = sys.argv[2] if len(sys.argv) > 2 else "buildkitd"
    files, started = files_of(megabytes)
    with running_stack() as stack:
        stack.use(engine)
        base = f"bench-{uuid.uuid4().hex[:8]}/base:1"
        RegistryClient(stack.registry.host).push_base_image(base)
        repository = stack.git.repository({"Dockerfile": f"FROM {stack.registry.host}/{base}\nCOPY app /app\n", **files})
        for setting in ("gzip", "zstd", "estargz"):
            worker = stack.worker(f"lazy-{setting}", IMAGE_COMPRESSION=setting, BUILD_NETWORK_POLICY="any", SECRET_IN_IMAGE="off")
            worker.start()
            # Of its own: a layer that is in the engine's cache stays packed as it is.
            repository.commit({"app/kind": f"{setting} {time.time()}"})
            begun = time.monotonic()
            identity = stack.api.enqueue(stack.job(repository.name))
            assert stack.api.wait_end(identity, 1200) == "BUILDED", stack.api.log_text(identity)
            took = time.monotonic() - begun
            worker.stop()
            name = f"deployra/{stack.api.deployments[identity].service}"
            layers = stack.ecr.manifest(name, identity)["layers"]
            size = sum(layer["size"] for layer in layers)
            print(f"{setting}: deployed in {took:.1f} s, {size / 1e6:.1f} MB packed; ", end="")
            if setting != "estargz":
                begun = time.monotonic()
                for layer in layers:
                    urllib.request.urlopen(f"http://{stack.registry.host}/v2/{name}/blobs/{layer['digest']}").read()
                print(f"a start needs all of it, {time.monotonic() - begun:.2f} s here without unpacking", flush=True)
                continue
            begun = time.monotonic()
            lazy = LazyReader(stack, name, layers[-1])
            for path in started:
                assert lazy.read(path) == files[path], path
            others = sum(layer["size"] for layer in layers[:-1])
            print(f"a start needs {(lazy.bytes + others) / 1e6:.1f} MB ({(lazy.bytes + others) / size:.1%}) in {lazy.requests} requests, "
                  f"{time.monotonic() - begun:.2f} s here", flush=True)


if __name__ == "__main__":
    main()
