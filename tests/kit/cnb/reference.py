"""A buildpacks build with buildctl or buildx as the client: what another platform makes of the same app."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from ..buildkitd import Buildkitd
from ..engine import Dockerd
from ..go_tools import tool
from . import GID, UID

DOCKERFILE = """FROM {builder} AS cnb
USER 0:0
COPY --chown={uid}:{gid} app/ /workspace/
COPY platform/ /platform/
ARG NONCE
RUN --mount=type=cache,id=reference-{key},target=/cnb-cache,sharing=locked \
 --mount=type=secret,id=auth,required=true,mode=0400 \
 CNB_PLATFORM_API=0.13 CNB_NO_COLOR=true CNB_REGISTRY_AUTH="$(cat /run/secrets/auth)" \
 /cnb/lifecycle/creator -cache-dir /cnb-cache {flags} {image} && cp /layers/report.toml /report.toml && rm -rf /layers /workspace
FROM scratch
COPY --from=cnb /report.toml /
"""


def build(engine: Buildkitd | Dockerd, builder: str, files: dict[str, str], image: str, key: str, nonce: str,
          auth: dict[str, str] | None = None, metadata: str = "", flags: str = "") -> tuple[str, str]:
    """Gives the digest of the image, which is in the registry then, and the log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            target = folder / "app" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        (folder / "platform" / "env").mkdir(parents=True)
        (folder / "platform" / "env" / "PORT").write_text("3000")
        (folder / "platform" / "project-metadata.toml").write_text(metadata)
        (folder / "auth").write_text(json.dumps(auth or {}))
        if metadata:
            flags += " -project-metadata /platform/project-metadata.toml"
        (folder / "Dockerfile").write_text(DOCKERFILE.format(
            builder=builder, uid=UID, gid=GID, key=key, image=image, flags=flags))
        done = _solve(engine, folder, nonce)
        assert done.returncode == 0, done.stderr[-3000:]
        report = (folder / "out" / "report.toml").read_text()
    return report.split('digest = "')[1].split('"')[0], done.stderr


def _solve(engine: Buildkitd | Dockerd, folder: Path, nonce: str) -> subprocess.CompletedProcess[str]:
    shared = [f"--secret=id=auth,src={folder / 'auth'}", "--allow=network.host", "--progress=plain",
              f"--output=type=local,dest={folder / 'out'}"]
    if isinstance(engine, Buildkitd):
        return engine.buildctl("build", "--frontend=dockerfile.v0", f"--local=context={folder}", f"--local=dockerfile={folder}",
                               f"--opt=build-arg:NONCE={nonce}", "--opt=force-network-mode=host", *shared)
    return subprocess.run([str(tool("buildx")), "build", f"--build-arg=NONCE={nonce}", "--network=host", *shared, str(folder)],
                          env={"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": engine.host},
                          capture_output=True, text=True, check=False)
