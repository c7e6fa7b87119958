"""Why something was built again, in the customer's log."""

from __future__ import annotations

import re

import pytest
from kit.stack import Stack

# A step has to take more than five seconds to be worth a line.
NPM = "#!/bin/sh\nsleep 6\necho installed\n"
FILES: dict[str, str | bytes | None] = {
    "Dockerfile": "FROM busybox\nWORKDIR /app\nCOPY --chmod=755 bin/npm /bin/npm\nCOPY . .\nRUN npm ci\n",
    "bin/npm": NPM, "package.json": "{}\n", "package-lock.json": "{}\n", "src/a.js": "one\n", "src/b.js": "one\n"}


def why(stack: Stack, identity: str) -> list[str]:
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    return [re.sub(r"\(\d+ s\)", "(N s)", line) for line in stack.api.log_text(identity).splitlines() if "was not cached" in line]


@pytest.mark.every_buildkit
def test_an_installation_that_ran_again_for_nothing_is_told(stack, make_worker, repo):
    make_worker()
    repository = repo(FILES)

    def deploy() -> list[str]:
        return why(stack, stack.api.enqueue(stack.job(repository.name, serviceId="rebuilds")))

    assert deploy() == [], "nobody knows what was there before"
    repository.commit({"src/a.js": "two\n"})
    assert deploy() == [
        "`COPY . .` (line 4) was not cached: src/a.js changed. It made `RUN npm ci` run again (N s). Copy package.json and "
        "package-lock.json first, run `npm ci`, and copy the rest behind it to keep that step."]
    repository.commit({"src/a.js": "three\n", "package.json": '{"name": "x"}\n'})
    assert deploy() == [], "it had to run"
