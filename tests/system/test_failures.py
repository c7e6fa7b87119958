"""Why a build failed is told: in the status, the log, the metrics and the service log, whatever engine built it."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[1] / "unit/domain/failures/cases"


def case(name: str) -> tuple[dict[str, str], str]:
    """The head and the output of a case of the unit tests."""
    head, output = (CASES / f"{name}.txt").read_text().split("---\n", 1)
    return dict(line.split(": ", 1) for line in head.splitlines()), output


@pytest.mark.every_engine
@pytest.mark.parametrize("name", ["npm-lock-out-of-date", "pip-python-version", "apt-unable-to-locate"])
def test_why_a_step_failed_is_told(stack, make_worker, repo, name):
    worker = make_worker(HELP_URL="https://help.test")
    head, output = case(name)
    # Its words stand in a file: the engine must not find them in the command.
    name = repo({"Dockerfile": f"FROM busybox\nCOPY said /\nRUN cat /said >&2; exit {head['exit']}\n", "said": output}).name
    identity = stack.api.enqueue(stack.job(name))
    assert stack.api.wait_end(identity, 120) == "FAILED"
    place = f'Dockerfile:3: "RUN cat /said >&2; exit {head["exit"]}" failed with exit code {head["exit"]}'
    assert stack.api.error_of(identity) == f"{place}: {head['sentence']}"
    log = stack.api.log_text(identity)
    assert f"\nWhy: {head['sentence']}\nWhat to do: " in log
    assert f"\nHelp: https://help.test/build_failed#{head['rule']}\n" in log
    sample = f'deployra_builder_failures_total{{category="customer",reason="{head["rule"]}"}} 1'
    assert sample in worker.get("/metrics")[1]
    assert f"reason={head['rule']}" in worker.text()


@pytest.mark.every_engine
def test_a_failure_that_nobody_knows_keeps_its_last_words(stack, make_worker, repo):
    worker = make_worker()
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN echo it went wrong; exit 3\n"}).name))
    assert stack.api.wait_end(identity, 120) == "FAILED"
    assert stack.api.error_of(identity) == (
        'Dockerfile:2: "RUN echo it went wrong; exit 3" failed with exit code 3: it went wrong')
    assert "\nWhy: " not in stack.api.log_text(identity)
    assert 'failures_total{category="customer",reason="build_failed"} 1' in worker.get("/metrics")[1]


def test_a_branch_that_was_deleted_is_told(stack, make_worker, repo):
    make_worker()
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\n"}).name, branch="gone"))
    assert stack.api.wait_end(identity, 120) == "FAILED"
    assert "\nWhy: The branch gone does not exist any more; choose another branch" in stack.api.log_text(identity)
