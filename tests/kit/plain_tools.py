"""What a person would type: `git clone`, then `buildctl` or `docker buildx`, which pushes the image."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path

from .buildkitd import Buildkitd
from .cnb import reference
from .git_server import PASSWORD, USER
from .go_tools import tool
from .stack import Stack


@dataclass(frozen=True)
class Built:
    ok: bool
    seconds: float
    cached: list[str]  # Names of the steps that were not run.
    text: str


def cached_steps(log: str) -> list[str]:
    """The names of the steps that plain progress calls CACHED, as BuildKit names them; but for base images, which are
    there once anybody has used them."""
    names: dict[str, str] = {}
    for number, name in re.findall(r"^#(\d+) (\[.+)$", log, re.M):
        names.setdefault(number, name)
    cached = dict.fromkeys(re.findall(r"^#(\d+) CACHED$", log, re.M))
    return sorted(name for name in (names.get(number, f"step {number}") for number in cached) if "] FROM " not in name)


# What a lifecycle and the kit's buildpack say of what they found.
REUSED = re.compile(r"(runtime: reusing layer|modules: restored|Reusing (?:cache )?layer '[^']+')")


def reused_layers(log: str) -> list[str]:
    return sorted(set(REUSED.findall(log)))


class PlainTools:
    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.login = base64.b64encode(f"AWS:{stack.ecr.token()}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {stack.ecr.host: {"auth": self.login}}}))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_CONFIG": str(folder),
                            "GIT_CONFIG_NOSYSTEM": "1"}

    def build(self, repository: str, image: str) -> Built:
        """A fresh clone, built and pushed under `image`."""
        started = time.monotonic()
        clone = self._clone(repository)
        done = subprocess.run(self._command(clone, image), env=self.environment | self._engine(), text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return Built(done.returncode == 0, time.monotonic() - started, cached_steps(done.stdout), done.stdout)

    def build_with_buildpacks(self, repository: str, builder: str, image: str, key: str, previous: str) -> tuple[Built, str]:
        """As `build`; `previous`: the last image by its digest, or nothing. Gives the new one's as well."""
        started = time.monotonic()
        clone = self._clone(repository)
        files = {str(path.relative_to(clone)): path.read_text() for path in clone.rglob("*")
                 if path.is_file() and ".git" not in path.relative_to(clone).parts}
        assert self.stack.engine is not None
        digest, log = reference.build(
            self.stack.engine, builder, files, image, key, uuid.uuid4().hex, {self.stack.ecr.host: f"Basic {self.login}"},
            flags=f"-previous-image {previous}" if previous else "")
        return Built(True, time.monotonic() - started, reused_layers(log), log), digest

    def _clone(self, repository: str) -> Path:
        clone = self.folder / "clones" / repository
        shutil.rmtree(clone, ignore_errors=True)
        user, password = urllib.parse.quote(USER, safe=""), urllib.parse.quote(PASSWORD, safe="")
        url = f"http://{user}:{password}@127.0.0.1:{self.stack.git.port}/git/{repository}.git"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", url, str(clone)], check=True,
                       env=self.environment, capture_output=True)
        return clone

    def _engine(self) -> dict[str, str]:
        assert self.stack.engine is not None
        return {} if isinstance(self.stack.engine, Buildkitd) else {"DOCKER_HOST": self.stack.engine.host}

    def _command(self, clone: Path, image: str) -> list[str]:
        if isinstance(self.stack.engine, Buildkitd):
            return [str(tool("buildctl")), "--addr", self.stack.engine.host, "build", "--progress=plain",
                    "--frontend=dockerfile.v0", f"--local=context={clone}", f"--local=dockerfile={clone}",
                    f"--output=type=image,name={image},push=true,registry.insecure=true"]
        return [str(tool("buildx")), "build", "--progress=plain", "--provenance=false", "--push", "--tag", image, str(clone)]
