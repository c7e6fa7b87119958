"""Whichever engine builds, the customer reads the same line."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("files", CASES, ids=lambda files: files["Dockerfile"].replace("\n", ";")[:60])
def test_both_engines_fail_with_the_same_words(servers, make_worker, repo, files):
    said = {}
    try:
        for engine in ("docker", "buildkitd"):
            servers.use(engine)
            worker = make_worker()
            identity = servers.api.enqueue(servers.job(repo(files).name))
            assert servers.api.wait_end(identity) == "FAILED", servers.api.log_text(identity)
            said[engine] = servers.api.error_of(identity)
            worker.stop()
    finally:
        servers.use("docker")
    assert said["docker"] == said["buildkitd"]
