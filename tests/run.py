"""Builds and runs the tests; started by ./test, which has installed what they need.

    run.py                    everything: check, unit, contract, asan, tsan, system
    run.py unit               one part, or several: run.py unit contract
    run.py unit work          of a part only the program unit_work; or several: run.py unit work build
    run.py fuzz               every fuzz target for a minute (not part of everything)
    run.py system -k cancel   arguments behind `system` go to pytest
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["check", "unit", "contract", "asan", "tsan", "system"]
WITH_AREAS = ["unit", "contract"]
SHARDS = 4
FUZZ_SECONDS = 60
LANES = ["docker", "verbs", "faults", "engines", "buildkit"]  # Of the system tests; tests/system/conftest.py says which is where.


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    took: list[tuple[float, str]] = field(default_factory=list)  # Seconds of each test.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, passed: int, failed: int, skipped: int = 0) -> None:
        with self.lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped

    def fail(self, what: str) -> None:
        with self.lock:
            self.failed += 1
            self.failures.append(what)


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def build(preset: str, targets: list[str] | None = None) -> Path:
    for command in (["cmake", "--preset", preset],
                    ["cmake", "--build", "--preset", preset, *(["--target", *targets] if targets else [])]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout[-8000:])
            sys.exit(f"building {preset} failed")
    return ROOT / "build" / preset


def run_gtest(binary: Path, tally: Tally, env: dict[str, str]) -> None:
    """With GTEST_TOTAL_SHARDS in the environment a share of its tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        started = time.monotonic()
        done = subprocess.run(
            [str(binary), f"--gtest_output=json:{report}", "--gtest_brief=1"],
            cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=900)
        took = time.monotonic() - started
        if not report.exists():
            print(done.stdout[-8000:])
            tally.fail(f"{binary.name} ended with {done.returncode} and no report")
            return
        result = json.loads(report.read_text())
        cases = [case for suite in result["testsuites"] for case in suite["testsuite"]]
        failed = [case for case in cases if case.get("failures")]
        skipped = [case for case in cases if case.get("result") == "SKIPPED"]
        tally.add(len(cases) - len(failed) - len(skipped), len(failed), len(skipped))
        tally.took += [(float(case["time"].removesuffix("s")), f"{binary.parent.name}/{binary.name}: {case['classname']}.{case['name']}")
                       for case in cases]
        if failed:
            tally.failures += [f"{binary.name}: {case['classname']}.{case['name']}" for case in failed]
        elif done.returncode != 0:
            # A sanitizer's report after the last test.
            tally.fail(f"{binary.name} ended with {done.returncode}")
        if failed or done.returncode != 0:
            print(done.stdout[-8000:])
        # In one write: others print beside.
        print(f"{binary.name}: {len(cases)} tests, {len(failed)} failed, {took:.1f} s\n", end="", flush=True)


def gtests(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{kind}_*") if os.access(path, os.X_OK) and path.is_file())


def sanitizer_env() -> dict[str, str]:
    return {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # Debian's libraries (gRPC, abseil, curl) are built without the sanitizer, which therefore sees
        # half of their locks: only code of ours is watched.
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
    }


def run_gtests(tally: Tally, runs: list[tuple[Path, dict[str, str]]], at_once: int = 4) -> None:
    """More than there are processors: most of them wait."""
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda run: run_gtest(run[0], tally, run[1]), runs))


def programs(kind: str, preset: str, areas: list[str]) -> list[Path]:
    """All of a kind; with areas only theirs, and nothing else is built."""
    names = [f"{kind}_{area}" for area in areas]
    folder = build(preset, names)
    return [folder / name for name in names] or gtests(folder, kind)


def run_unit(tally: Tally, areas: list[str], preset: str = "release") -> None:
    if not areas:
        run_gtests(tally, [(binary, sanitizer_env()) for binary in programs("unit", preset, areas)])
        return
    # Somebody waits. The tests of a program share nothing.
    shards = [{"GTEST_TOTAL_SHARDS": str(SHARDS), "GTEST_SHARD_INDEX": str(index)} for index in range(SHARDS)]
    run_gtests(tally, [(binary, {**sanitizer_env(), **shard}) for binary in programs("unit", preset, areas) for shard in shards], SHARDS)


def run_contract(tally: Tally, areas: list[str], preset: str = "release") -> None:
    binaries = programs("contract", preset, areas)
    sys.path.insert(0, str(ROOT / "tests"))
    from kit.contract import VARIANTS, contract_environment

    with contract_environment() as peers:
        run_gtests(tally, [(binary, {**sanitizer_env(), **peers, **variant})
                           for binary in binaries for variant in VARIANTS.get(binary.name, [{}])])


def run_sanitized(tally: Tally, preset: str) -> None:
    run_unit(tally, [], preset)
    run_contract(tally, [], preset)


def run_system(tally: Tally, arguments: list[str]) -> None:
    """Without arguments in lanes, each with servers of its own: most tests wait."""
    build("release")
    if arguments:
        run_pytest(tally, arguments)
        return
    with ThreadPoolExecutor(len(LANES)) as pool:
        list(pool.map(lambda lane: run_lane(tally, lane), LANES))


def run_lane(tally: Tally, lane: str) -> None:
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        run_pytest(tally, [f"--lane={lane}"], output)
        output.seek(0)
        print(f"lane {lane}, {time.monotonic() - started:.0f} s:\n{output.read()}", flush=True)


def run_pytest(tally: Tally, arguments: list[str], output: TextIO | None = None, part: str = "system") -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", str(ROOT / "tests" / part), "-q", f"--junitxml={report}", *arguments], cwd=ROOT, stdout=output)
        if not report.exists():
            tally.fail(f"pytest {' '.join(arguments)} ended with {done.returncode}")
            return
        suite = ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        tally.add(total - failed - skipped, failed, skipped)
        for case in suite.iter("testcase"):
            tally.took.append((float(case.get("time", 0)), f"{part}: {case.get('classname')}.{case.get('name')}"))
            if case.find("failure") is not None or case.find("error") is not None:
                tally.failures.append(f"{part}: {case.get('classname')}.{case.get('name')}")


def run_fuzz(tally: Tally) -> None:
    """What reaches new code is kept outside the repository; an input that breaks a target is printed."""
    kept = Path(os.environ.get("DEPLOYRA_BUILDER_CACHE", Path.home() / ".cache" / "deployra-builder")) / "fuzz"
    folder = build("fuzz")
    for binary in gtests(folder, "fuzz"):
        name = binary.name.removeprefix("fuzz_")
        corpus = ROOT / "tests" / "fuzz" / "corpus" / name
        with tempfile.TemporaryDirectory() as scratch:
            found = kept / name
            found.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                [str(binary), f"-max_total_time={FUZZ_SECONDS}", "-max_len=4096", "-timeout=20", "-print_final_stats=1",
                 f"-artifact_prefix={scratch}/", str(found), str(corpus)],
                cwd=scratch, env=sanitizer_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace")
            runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
            print(f"{name}: {runs[1] if runs else '?'} runs, ended with {done.returncode}", flush=True)
            if done.returncode != 0:
                print(done.stdout[-8000:])
                for artifact in Path(scratch).glob("*-*"):
                    print(f"{artifact.name}: {artifact.read_bytes()!r}")
                tally.fail(f"fuzz: {name}")
                continue
            tally.add(1, 0)


def run_check(tally: Tally) -> None:
    """With clang-tidy for what changed; and that it finds what it is for."""
    done = subprocess.run([str(ROOT / "tools" / "check"), "--tidy"], cwd=ROOT)
    if done.returncode == 0:
        tally.add(1, 0)
    else:
        tally.fail("tools/check")
    run_pytest(tally, [], part="check")


def chosen(arguments: list[str]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The parts with their areas, and what goes to pytest."""
    parts: list[tuple[str, list[str]]] = []
    for at, word in enumerate(arguments):
        if word == "system":
            return [*parts, (word, [])], arguments[at + 1:]
        if not parts or word in [*PARTS, "fuzz"]:
            parts.append((word, []))
        else:
            parts[-1][1].append(word)
    return parts, []


def main(arguments: list[str]) -> int:
    parts, pytest_arguments = chosen(arguments or PARTS)
    unknown = [part for part, areas in parts if part not in [*PARTS, "fuzz"] or (areas and part not in WITH_AREAS)]
    if unknown:
        print(__doc__)
        return 2
    tally = Tally()
    started = time.monotonic()
    for part, areas in parts:
        say(" ".join([part, *areas]))
        part_started = time.monotonic()
        if part == "check":
            run_check(tally)
        elif part == "unit":
            run_unit(tally, areas)
        elif part == "contract":
            run_contract(tally, areas)
        elif part == "fuzz":
            run_fuzz(tally)
        elif part in ("asan", "tsan"):
            run_sanitized(tally, part)
        else:
            run_system(tally, pytest_arguments)
        print(f"{part} took {time.monotonic() - part_started:.0f} s", flush=True)
    print("\nThe slowest:")
    for seconds, name in sorted(tally.took, reverse=True)[:10]:
        print(f"{seconds:8.1f} s  {name}")
    for failure in tally.failures:
        print(f"FAILED {failure}")
    if os.environ.get("CI") == "true" and tally.skipped:
        print(f"{tally.skipped} tests were skipped, which CI does not accept")
        tally.failed += 1
    print(f"\n{time.monotonic() - started:.0f} s in all")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
