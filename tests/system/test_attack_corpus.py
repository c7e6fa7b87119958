"""The attack corpus on every engine: what a stranger commits or queues, one test per case, all of them at one worker."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.attack_cases import CASES, Case
from kit.attacks import HOST_WORD, Campaign, cases_of
from kit.git_server import Repository
from kit.stack import Stack
from kit.worker import ROOT

ENGINES = ["docker", "docker29", "docker29-graph", "buildkitd", "buildkitd-tcp"]
EVERYWHERE = pytest.mark.parametrize("stack", ENGINES, indirect=True, scope="session")


@pytest.fixture(scope="module")
def campaign(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    stack.mend()
    name = stack.engine.name  # type: ignore[union-attr]
    made = Campaign(stack, tmp_path_factory.mktemp(f"attacks-{name}"), cases_of(name, ENGINES[0]))
    try:
        yield made.play()
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What the campaign left is what is looked at."""


@pytest.mark.parametrize(("stack", "case"), [(engine, case) for engine in ENGINES for case in cases_of(engine, ENGINES[0])],
                         indirect=["stack"], scope="session", ids=str)
def test_attack(campaign: Campaign, case: Case) -> None:
    played = next(each for each in campaign.played if each.case is case)
    assert campaign.breaches(played) == []


@EVERYWHERE
def test_no_canary_was_reached(campaign: Campaign) -> None:
    assert (campaign.canary.connections, campaign.canary.asked, list(campaign.ran.iterdir())) == (0, [], [])
    assert campaign.strangers_saw() == []
    assert campaign.host.read_text() == f"{HOST_WORD}\n"


@EVERYWHERE
def test_the_worker_lived_through_it(campaign: Campaign) -> None:
    worker = campaign.worker
    assert worker is not None and worker.process is not None and worker.process.poll() is None and worker.is_ready()
    assert "attempt 2" not in worker.text()
    assert worker.memory("VmHWM") - campaign.memory < 120 * 1024, "KiB"


@EVERYWHERE
def test_every_canary_can_sing(campaign: Campaign) -> None:
    assert campaign.silent() == []


@pytest.mark.parametrize("stack", ENGINES[:1], indirect=True, scope="session")
def test_what_repositories_name_runs_where_it_is_obeyed(campaign: Campaign, tmp_path: Path) -> None:
    """The plain git, told to do as the first repository says; and the notes of arguments are of all runs."""
    attack = campaign.played[0]
    bare = campaign.stack.git.root / f"{campaign.repository}.git"
    script = ("git clone -q --no-checkout -b $2 $1 . && git show HEAD:.gitconfig | sed '/include/,$d' >.git/evil && git config include.path evil; "
              "git checkout -q || true")
    subprocess.run(["sh", "-ec", script, "-", str(bare), attack.identity], cwd=tmp_path, env=Repository.env, check=True)
    assert [breach for breach in campaign.sung(attack.identity) if breach.startswith("ran: ")]
    assert attack.identity in campaign.git.seen()


def test_rows_and_names_are_said_once() -> None:
    names = [str(case) for case in CASES]
    assert len(names) == len(set(names)) and len(names) >= 60


def test_the_threat_table_names_tests_that_there_are() -> None:
    rows = re.findall(r"^\| (T\d+) \|.*\| ([^|]*) \|$", (ROOT / "docs" / "security.md").read_text(), re.M)
    assert {row for row, _ in rows} == {f"T{number}" for number in range(1, 20)}
    for row, named in rows:
        tests = re.findall(r"`([^`:]+)(?:::(\w+))?`", named)
        assert tests, row
        for file, name in tests:
            assert name in (ROOT / "tests" / file).read_text(), f"{row}: {file} {name}"
    assert {case.row for case in CASES} == {row for row, named in rows if "test_attack_corpus.py" in named}
