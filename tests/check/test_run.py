"""What ./test makes of its arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tests" / "run.py"
sys.path.insert(0, str(RUN.parent))

from run import chosen  # noqa: E402


@pytest.mark.parametrize(("words", "parts", "behind"), [
    ("unit", [("unit", [])], []),
    ("unit contract", [("unit", []), ("contract", [])], []),
    ("unit work build contract", [("unit", ["work", "build"]), ("contract", [])], []),
    ("check system -k cancel", [("check", []), ("system", [])], ["-k", "cancel"]),
    ("system -k unit", [("system", [])], ["-k", "unit"]),
])
def test_words_choose_parts_and_areas(words: str, parts: list[tuple[str, list[str]]], behind: list[str]) -> None:
    assert chosen(words.split()) == (parts, behind)


@pytest.mark.parametrize("words", ["units", "asan work", "check domain", "-k unit"])
def test_other_words_are_answered_with_what_there_is(words: str) -> None:
    done = subprocess.run([sys.executable, str(RUN), *words.split()], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "run.py unit work" in done.stdout


def test_an_area_that_is_not_there_is_an_error() -> None:
    done = subprocess.run([sys.executable, str(RUN), "unit", "nothing"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 1
    assert "unit_nothing" in done.stdout


def test_an_area_is_built_and_run_whole() -> None:
    done = subprocess.run([sys.executable, str(RUN), "unit", "network"], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\nunit_network: ") == 4, "shares"
    whole = subprocess.run([ROOT / "build/release/unit_network", "--gtest_list_tests"], stdout=subprocess.PIPE, text=True, check=True).stdout
    tests = sum(line.startswith("  ") for line in whole.splitlines())
    assert f"{tests} passed, 0 failed, 0 skipped" in done.stdout
