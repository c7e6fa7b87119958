"""Whichever engine builds, the customer reads the same line."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.every_engine

CASES = [
    {"Dockerfile": "FROM busybox\nRUN echo a && exit 7\n"},
    {"Dockerfile": "FROM busybox\n\nRUN echo a \\\n  && false\n"},
    {"Dockerfile": "FROM busybox\nRUN [\"/no/such/program\"]\n"},
    {"Dockerfile": "FROM busybox\nRUN exit 137\n"},
    {"Dockerfile": "FROM busybox\nBOGUS x\n"},
    {"Dockerfile": "FROM busybox\nCOPY missing.txt /\n"},
    {"Dockerfile": "FROM busybox AS one\nCOPY --from=one /nothing /\n"},
    {"Dockerfile": "FROM busybox\nCOPY a.txt /\n", "a.txt": "a", ".dockerignore": "a.txt\n"},
    {"Dockerfile": ""},
    {"Dockerfile": "# nothing\n"},
    {"Dockerfile": "RUN true\n"},
    {"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n"},
    {"Dockerfile": "FROM busybox\nWORKDIR\n"},
    {"Dockerfile": "ARG A\nFROM ${A}\n"},
    {"Dockerfile": "FROM busybox\nENV\n"},
    {"Dockerfile": "FROM busybox\nADD http://127.0.0.1:1/x /\n"},
]


# What every engine said so far, by case.
SAID: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("files", CASES, ids=lambda files: files["Dockerfile"].replace("\n", ";")[:60])
def test_every_engine_fails_with_the_same_words(stack, worker, repo, files):
    identity = stack.api.enqueue(stack.job(repo(files).name))
    assert stack.api.wait_end(identity) == "FAILED", stack.api.log_text(identity)
    said = SAID.setdefault(str(files), {})
    said[stack.engine.name] = stack.api.error_of(identity)
    assert len(set(said.values())) == 1, said
