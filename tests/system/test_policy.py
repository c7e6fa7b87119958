"""The operator's policy: which images builds are made of, whether they are signed, and what no Dockerfile may ask for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from kit import cnb
from kit.cnb import STATIC_APP
from kit.go_tools import tool
from kit.images import PATH, RegistryClient, busybox_layer
from kit.worker import BINARY

POLICY = """refuse = ["add-url"]

[[images]]
name = "golden"
from = ["{host}/golden/*", "{host}/cnb/builder", "{host}/cnb/run"]
signed_by = ["cosign.pub"]

[[images]]
from = ["{host}/plain/*"]
digest = true
"""


class Signed:
    """A policy, and the key of whoever signs its base images."""

    def __init__(self, host: str, folder: Path) -> None:
        self.folder, self.file = folder, folder / "policy.toml"
        self.file.write_text(POLICY.format(host=host))
        self.environment = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(folder), "DOCKER_CONFIG": str(folder)}
        self.cosign("generate-key-pair")

    def cosign(self, *arguments: str) -> None:
        subprocess.run([tool("cosign"), *arguments], cwd=self.folder, env=self.environment, check=True, capture_output=True, timeout=60)

    def sign(self, image: str, *more: str) -> None:
        self.cosign("sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry",
                    *more, image)


@pytest.mark.both_engines
def test_builds_are_made_of_what_the_policy_allows(stack, make_worker, repo, tmp_path):
    host = stack.registry.host
    registry = RegistryClient(host)
    policy = Signed(host, tmp_path)
    plain = registry.push_base_image("plain/base:1")
    signed, older, unsigned = (registry.push_image(f"golden/{name}:1", [busybox_layer()], {"Env": [PATH, f"NAME={name}"]})
                               for name in ("signed", "older", "unsigned"))
    registry.push_base_image("other/base:1")
    trigger = registry.push_image("plain/trigger:1", [busybox_layer()],
                                  {"Env": [PATH], "OnBuild": [f"COPY --from={host}/other/base:1 /etc/passwd /stolen"]})
    policy.sign(f"{host}/golden/signed@{signed}")
    policy.sign(f"{host}/golden/older@{older}", "--new-bundle-format=false")
    builder = cnb.push_builder(registry, cnb.Builder())

    worker = make_worker(BUILD_NETWORK_POLICY="any", POLICY_FILE=str(policy.file), CNB_BUILDER=builder, CNB_NETWORK="host")
    repository = repo({"a.txt": "one\n", "Dockerfile": "FROM scratch\n"})
    # An engine before BuildKit 0.11 takes what a tag means when it builds.
    by_tag = "" if stack.engine.name == "buildkitd" else f"@{signed}"

    def built(dockerfile: str) -> str:
        """Empty: it was; otherwise the platform's line."""
        repository.commit({"Dockerfile": dockerfile})
        identity = stack.api.enqueue(stack.job(repository.name, serviceId="policy"))
        return "" if stack.api.wait_end(identity, 120) == "BUILDED" else stack.api.error_of(identity)

    assert built(f"FROM {host}/golden/signed:1{by_tag} AS one\nFROM {host}/golden/older@{older}\nCOPY --from=one /etc/passwd /a\n"
                 f"RUN --mount=from={host}/plain/base@{plain},target=/x test -e /x/bin/sh\n") == ""
    for dockerfile, line in (
            (f"FROM {host}/plain/base:1\n", f'Dockerfile:1: the policy "{host}/plain/*" wants {host}/plain/base:1 with its digest'),
            (f"FROM {host}/plain/base:1@{plain}\nCOPY --from={host}/other/base:1 / /\n", f"Dockerfile:2: the policy allows no image {host}/other"),
            (f"ARG REPO=other\nFROM {host}/$REPO/base:1\n", "Dockerfile:2: the policy allows no image"),
            (f"FROM {host}/golden/unsigned@{unsigned}\n", 'Dockerfile:1: the policy "golden" wants'),
            (f"FROM {host}/golden/signed@{unsigned}\n", "Dockerfile:1: "),
            (f"FROM {host}/plain/base@{plain}\nADD https://example.com/a /\n", "Dockerfile:2: the policy allows no ADD"),
            (f"# syntax=docker/dockerfile:1\nFROM {host}/plain/base@{plain}\n", "Dockerfile:1: the policy allows no image docker/dockerfile:1"),
            # What the Dockerfile does not say. Old engines know no images there.
            (f"FROM {host}/plain/trigger@{trigger}\nRUN true\n",
             "not found in the stage or image" if stack.engine.name == "docker" else f"the policy allows no image {host}/other/base:1")):
        assert line in built(dockerfile), dockerfile
    assert stack.ecr.digest_of("deployra/policy", "latest") != ""

    app = repo(STATIC_APP).name
    for image, what in (("builder", "Builder"), ("run", "Run image"), ("", "")):
        identity = stack.api.enqueue(stack.job(app, serviceId="packed"))
        end = stack.api.wait_end(identity, 120)
        if not image:
            assert end == "BUILDED", stack.api.log_text(identity)
            continue
        assert end == "FAILED" and f'{what}: the policy "golden" wants {host}/cnb/{image}' in stack.api.error_of(identity)
        policy.sign(f"{host}/cnb/{image}:latest")
    assert ("knows no source policies: POLICY_FILE" in worker.text()) == (stack.engine.name == "docker")

    # By hand: what it says of each, without a build.
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").write_text(f"FROM {host}/golden/signed:1\nCOPY --from=busybox / /\n")
    environment = {**os.environ, **stack.environment, "POLICY_FILE": str(policy.file)}
    told = subprocess.run([BINARY, "build", "--explain", "--json", tmp_path / "app"], env=environment, capture_output=True, text=True, check=True)
    assert [(row["line"], row["name"], row["rule"], row["refused"]) for row in json.loads(told.stdout)["policy"]] == [
        (1, f"{host}/golden/signed:1", "golden", False), (2, "busybox", "", True)]
