"""Thirty templates of common frameworks, each built on two hosts: whether their images have one digest, and what differs if not.

    $(tools/setup --python) bench/same_digest.py [IMAGE_EPOCH [template…]]

A host is a BuildKit of its own with an empty cache, and a worker of its own. Each template is built on the first one, there again with the
cache, there again without it (DEPLOYRA_BUILD_NO_CACHE), and on the second one. The clock goes on meanwhile, so that a time that gets into an
image is seen. The templates' tools are stand-ins (tests/templates/build_tools.sh): what real ones write into their output they do not.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "system"), str(ROOT / "bench")]

from image_diff import differences, read_image  # noqa: E402
from kit.buildkitd import Buildkitd  # noqa: E402
from kit.engine import base_image_tar  # noqa: E402
from kit.images import Layer, RegistryClient  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402
from kit.worker import Worker  # noqa: E402
from test_templates import CASES, TEMPLATES, TOOLS, bases_of, variables_of  # noqa: E402

HOSTS = ("docker.io", "gcr.io", "ghcr.io", "mcr.microsoft.com", "quay.io")
AGAIN = {"key": "DEPLOYRA_BUILD_NO_CACHE", "value": "true"}


class Packed(Layer):
    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw

    @property
    def packed(self) -> tuple[bytes, bytes]:
        return self.raw, gzip.compress(self.raw, mtime=0)


def push_bases(client: RegistryClient) -> None:
    layer = Packed(base_image_tar((TEMPLATES / "build_tools.sh").read_bytes(), TOOLS))
    for name in {name for template in CASES for name in bases_of(template)}:
        host, _, rest = name.partition("/")
        path = rest if rest and "." in host else name
        client.push_image(path if "/" in path else f"library/{path}", [layer],
                          {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]})


def deploy(stack: Stack, repository: str, service: str, variables: list[dict[str, str]]) -> str:
    """The digest, as a reference that the registry takes without a login."""
    identity = stack.api.enqueue(stack.job(repository, serviceId=service, environmentVariables=variables))
    assert stack.api.wait_end(identity, 300) == "BUILDED", stack.api.log_text(identity)
    return f"{stack.registry.host}/deployra/{service}@{stack.ecr.digest_of(f'deployra/{service}', identity)}"


def main() -> int:
    epoch = sys.argv[1] if len(sys.argv) > 1 else "layers"
    templates = sys.argv[2:] or list(CASES)
    built: dict[str, list[str]] = {template: [] for template in templates}
    differ = 0
    with running_stack() as stack, tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        push_bases(RegistryClient(stack.registry.host))
        repositories = {}
        for template in templates:
            repositories[template] = stack.git.repository({})
            shutil.copytree(TEMPLATES / template, repositories[template].work, dirs_exist_ok=True)
            repositories[template].commit_all()
        for number, rounds in ((0, ([], [], [AGAIN])), (1, ([],))):
            engine = Buildkitd(Path(folder) / f"host{number}", mirrors={host: stack.registry.host for host in HOSTS}).start()
            worker = Worker(Path(folder) / f"worker{number}", {
                **stack.environment, "BUILDKIT_HOST": engine.host, "DOCKER_HOST": "unix:///nonexistent/docker.sock", "REUSE_IMAGES": "0",
                "BUILD_NETWORK_POLICY": "any", "IMAGE_EPOCH": epoch})
            worker.start()
            for more in rounds:
                time.sleep(1.1)
                for template in templates:
                    variables = [{"key": name, "value": value} for name, value in variables_of(template).items()]
                    built[template].append(deploy(stack, repositories[template].name, f"same-{template}", variables + more))
            worker.stop()
            engine.stop()
        for template, images in built.items():
            first, *others = images
            for how, image in zip(("with the cache", "without the cache", "on another host"), others, strict=True):
                if image != first:
                    differ += 1
                    print(f"{template}, {how}:")
                    print("\n".join(f"    {line}" for line in differences(read_image(first), read_image(image))), flush=True)
    print(f"IMAGE_EPOCH={epoch}: {len(templates)} templates, each built four times: {differ} of {3 * len(templates)} have another digest "
          "than the first")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
