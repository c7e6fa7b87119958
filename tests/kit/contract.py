"""The peers of the C++ contract tests, and the environment that tells them where they are."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .git_server import PASSWORD, USER
from .images import RegistryClient
from .process import stopped_at_end
from .registry import PlainRegistry
from .stack import Stack
from .token_service import TokenService

# Suites that run once for each of these environments.
# What a program runs with, each time; git's takes as long as all others, and goes in two halves.
VARIANTS = {"contract_buildkit": [{}, {"CONTRACT_ENGINE": "buildkitd"}],
            "contract_git": [{"GTEST_TOTAL_SHARDS": "2", "GTEST_SHARD_INDEX": half} for half in "01"]}


def registries(folder: Path, stack: Stack) -> tuple[list[object], dict[str, str]]:
    """One of every kind, all with the same image, and how to reach them."""
    user, password = "contract", "p:a+s/s"
    tokens = TokenService(folder, user, password).start()
    basic = PlainRegistry(folder / "basic", user, password).start()
    bearer = PlainRegistry(folder / "bearer", token_realm=f"http://localhost:{tokens.port}/token",
                           token_roots=tokens.authority.certificate).start()
    RegistryClient(stack.registry.host).push_base_image("team/base:1")
    RegistryClient(basic.host, user, password).push_base_image("team/base:1")
    pusher = RegistryClient(bearer.host)
    token = tokens.token([{"type": "repository", "name": "team/base", "actions": ["pull", "push"]}])
    pusher.headers["Authorization"] = f"Bearer {token}"
    pusher.push_base_image("team/base:1")
    ecr = RegistryClient(stack.ecr.host, "AWS", stack.ecr.token())
    stack.ecr.api("CreateRepository", repositoryName="team/base")
    stack.ecr.api("CreateRepository", repositoryName="team/immutable", imageTagMutability="IMMUTABLE")
    for name in ("team/base:1", "team/immutable:1"):
        ecr.push_base_image(name)
    return [tokens, basic, bearer], {
        "OCI_OPEN": stack.registry.host, "OCI_BASIC": basic.host, "OCI_BEARER": bearer.host, "OCI_ECR": stack.ecr.host,
        "OCI_ECR_TOKEN": stack.ecr.token(), "OCI_USER": user, "OCI_PASSWORD": password,
        "OCI_TOKENS": f"http://127.0.0.1:{tokens.port}"}


@contextlib.contextmanager
def contract_environment() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="contract-") as name:
        folder = Path(name)
        stack = Stack(folder)
        try:
            stack.start()
            repository = stack.git.repository({"Dockerfile": "FROM busybox\n", "a.txt": "one\n"}, "team/app")
            buildkitd = stack.use("buildkitd").environment["BUILDKIT_HOST"]
            servers, names = registries(folder, stack)
            with stopped_at_end(*servers):
                yield {**stack.use("docker").environment, **names, "ECR_ENDPOINT": f"http://{stack.ecr.host}",
                       "BUILDKIT_HOST": buildkitd, "GIT_URL": stack.git.url, "GIT_USER": USER, "GIT_PASSWORD": PASSWORD,
                       "GIT_WORK_TREE_OF_APP": str(repository.work)}
        finally:
            stack.stop()
