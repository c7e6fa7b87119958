"""The peers of the C++ contract tests, and the environment that tells them where they are."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .git_server import PASSWORD, USER
from .stack import Stack


@contextlib.contextmanager
def contract_environment() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        stack = Stack(Path(folder))
        try:
            stack.start()
            repository = stack.git.repository({"Dockerfile": "FROM busybox\n", "a.txt": "one\n"}, "team/app")
            yield {**stack.environment, "ECR_ENDPOINT": f"http://{stack.ecr.host}", "GIT_URL": stack.git.url,
                   "GIT_USER": USER, "GIT_PASSWORD": PASSWORD, "GIT_WORK_TREE_OF_APP": str(repository.work)}
        finally:
            stack.stop()
