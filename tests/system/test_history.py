"""What a worker remembers of its builds, whatever happens to it, to its folder and to the build."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest
from kit import history
from kit.buildkitd import Buildkitd
from kit.process import wait_for


def remembered(worker, identity, outcome=None):
    """The deployment's only run here, once it is over (or as `outcome` says)."""
    def look():
        runs = history.read(worker.work_dir / "history", identity)
        return runs if runs and (runs[0]["outcome"] == outcome if outcome else runs[0]["ended"]) else None

    runs = wait_for(look, 30, f"{identity} in the history")
    assert len(runs) == 1
    return runs[0]


def never_cached(*commands: str) -> dict[str, str]:
    return {"Dockerfile": "\n".join(["FROM busybox AS web", f"RUN : {time.monotonic_ns()}", *commands]) + "\n"}


@pytest.mark.every_engine
def test_a_build_is_remembered_as_it_was(stack, worker, repo):
    made = repo(never_cached("RUN echo a-line-of-output; echo another >&2"))
    job = stack.job(made.name, environmentVariables=[{"key": "GREETING", "value": "pl4ntedGreeting9Kw3"}])
    identity = stack.api.enqueue(job)
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    run = remembered(worker, identity)
    assert (run["outcome"], run["attempt"], run["category"], run["line"]) == ("builded", 1, "", "")
    assert (run["service"], run["branch"], run["variables"]) == (job["serviceId"], "main", ["GREETING"])
    assert run["repository"].endswith(f"/{made.name}.git") and "@" not in run["repository"]
    assert re.fullmatch("[0-9a-f]{40}", run["sha"]) and re.fullmatch("sha256:[0-9a-f]{64}", run["digest"])
    assert run["image"] and run["context_bytes"] > 0 and run["started"] <= run["ended"]
    assert [phase["name"] for phase in run["phases"]] == ["fetch", "build", "promote", "report"]
    assert all(phase["milliseconds"] > 0 for phase in run["phases"])
    steps = {step["name"]: step for step in run["steps"]}
    assert any("RUN echo a-line-of-output" in name and not step["failed"] and not step["cached"] for name, step in steps.items())
    # The rows that the customer has read, but for the one that counts them and the platform's own.
    posted = [line for line in stack.api.log_text(identity).splitlines() if not line.startswith(("Log complete", "Awaiting"))]
    assert [text for _, _, text in run["log"]] == posted
    assert [number for number, _, _ in run["log"]] == list(range(run["rows"])) and run["rows_kept"] == run["rows"]
    assert ("STDOUT", "a-line-of-output") in [row[1:] for row in run["log"]]
    assert b"pl4ntedGreeting9Kw3" not in history.text_of(worker.work_dir / "history")
    folder = worker.work_dir / "history"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600} and folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.every_engine
def test_a_base_image_is_remembered_with_its_digest(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN true")).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    bases = remembered(worker, identity)["bases"]
    assert [base["reference"].removesuffix(":latest") for base in bases] == ["docker.io/library/busybox"], bases
    # The Engine of Debian takes an image that it has, and does not say which one it is.
    assert re.fullmatch("(sha256:[0-9a-f]{64})?", bases[0]["digest"])
    assert bases[0]["digest"] or not isinstance(stack.engine, Buildkitd)


def test_a_failure_is_remembered_with_its_reason(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN cat no-such-file")).name))
    assert stack.api.wait_end(identity) == "FAILED"
    run = remembered(worker, identity)
    assert (run["outcome"], run["category"], run["line"]) == ("failed", "customer", stack.api.error_of(identity))
    assert worker.metric(f'deployra_builder_failures_total{{category="customer",reason="{run["reason"]}"}}') == 1
    assert [step["failed"] for step in run["steps"]][-1] == 1 and run["digest"] == ""


def test_a_cancel_is_remembered(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN echo now-running; sleep 300")).name))
    stack.api.wait_output(identity, "now-running")
    # A reader sees a running build, and its rows, while it runs.
    wait_for(lambda: "now-running" in [text for _, _, text in remembered(worker, identity, "running")["log"]], 30, "the row")
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    run = remembered(worker, identity)
    assert (run["outcome"], run["category"], run["line"]) == ("cancelled", "", "Deployment cancelled by user")


def test_a_job_that_cannot_be_read_is_remembered(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN true")).name, branch=7))
    assert stack.api.wait_end(identity) == "FAILED"
    run = remembered(worker, identity)
    assert (run["outcome"], run["reason"], run["line"]) == ("failed", "invalid_input", stack.api.error_of(identity))


def test_a_build_whose_worker_is_killed_is_interrupted_and_the_next_one_is_another(stack, make_worker, repo):
    first = make_worker()
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN echo now-running; sleep 15")).name))
    stack.api.wait_output(identity, "now-running")
    remembered(first, identity, "running")
    first.kill()
    assert remembered(first, identity, "interrupted")["ended"] is None
    second = make_worker(WORK_DIR=str(first.work_dir))
    assert stack.api.wait_end(identity, 120) == "BUILDED"
    folder = first.work_dir / "history"
    runs = wait_for(lambda: [run for run in history.read(folder, identity) if run["ended"]]
                    and history.read(folder, identity), 30, "the second run")
    assert [(run["outcome"], run["attempt"]) for run in runs] == [("builded", 2), ("interrupted", 1)]
    # The next worker says so in the file, too.
    def written():
        with closing(sqlite3.connect(f"file:{folder}/history.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT outcome FROM runs WHERE id = ?", (runs[1]["id"],)).fetchone()[0]
    wait_for(lambda: written() == "interrupted", 60, "it is marked")
    assert second.stop() == 0


def test_two_workers_of_a_host_write_one_history(stack, make_worker, repo):
    first = make_worker(MAX_PARALLEL_BUILDS="1")
    second = make_worker(MAX_PARALLEL_BUILDS="1", WORK_DIR=str(first.work_dir))
    made = [repo(never_cached(f"RUN echo of-{number}; sleep 1")) for number in range(4)]
    identities = [stack.api.enqueue(stack.job(one.name)) for one in made]
    for number, identity in enumerate(identities):
        assert stack.api.wait_end(identity, 120) == "BUILDED"
        assert ("STDOUT", f"of-{number}") in [row[1:] for row in remembered(first, identity)["log"]]
    assert len({run["writer"] for run in history.read(first.work_dir / "history")}) == 2
    assert "HISTORY_DIR" not in first.text() + second.text()


def removed(folder) -> bool:
    """Its writer may make it again meanwhile."""
    with suppress(OSError):
        shutil.rmtree(folder)
        return True
    return False


def replaced(folder) -> bool:
    with suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("a file where the folder was")
        return True
    return False


def test_the_history_survives_its_folder(stack, worker, repo):
    """Removed under a running build, and put out of reach."""
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN echo now-running; sleep 15; echo the-end")).name))
    stack.api.wait_output(identity, "now-running")
    folder = worker.work_dir / "history"
    remembered(worker, identity, "running")
    wait_for(lambda: removed(folder), 30, "the folder is removed")
    assert stack.api.wait_end(identity) == "BUILDED"
    run = remembered(worker, identity)
    assert run["outcome"] == "builded" and "the-end" in [text for _, _, text in run["log"]]
    assert worker.text().count("it begins again") == 1

    wait_for(lambda: replaced(folder), 30, "a file is where the folder was")
    other = stack.api.enqueue(stack.job(repo(never_cached("RUN echo in-vain")).name))
    assert stack.api.wait_end(other) == "BUILDED"
    wait_for(lambda: "the history of builds is not written" in worker.text(), 30, "the log says so")
    folder.unlink()
    assert remembered(worker, other)["outcome"] == "builded"
    assert "the history of builds is written again" in worker.text()


def test_a_full_disk_stops_the_history_and_no_build(stack, make_worker, repo):
    worker = make_worker(start=False)
    disk = worker.folder / "disk"
    disk.mkdir()
    worker.environment["HISTORY_DIR"] = str(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        worker.start()
        identity = stack.api.enqueue(stack.job(repo(never_cached("RUN head -c 3000000 /dev/urandom | base64")).name))
        assert stack.api.wait_end(identity) == "BUILDED"
        wait_for(lambda: "the history of builds is not written" in worker.text(), 30, "the log says so")
        assert worker.stop() == 0
        assert worker.text().count("the history of builds is not written") == 1
    finally:
        worker.kill()
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_without_a_size_nothing_is_kept(stack, make_worker, repo):
    worker = make_worker(HISTORY_KEEP="0")
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo(never_cached("RUN true")).name))) == "BUILDED"
    assert worker.stop() == 0
    assert not (worker.work_dir / "history").exists()


def test_a_history_of_a_newer_version_is_left_alone(stack, make_worker, repo):
    first = make_worker()
    identity = stack.api.enqueue(stack.job(repo(never_cached("RUN true")).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    remembered(first, identity)
    assert first.stop() == 0
    file = first.work_dir / "history" / "history.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")
    before = file.read_bytes()
    second = make_worker(WORK_DIR=str(first.work_dir))
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo(never_cached("RUN true")).name))) == "BUILDED"
    assert "no history of builds is kept: the history is of version 99" in second.text()
    assert second.stop() == 0
    assert file.read_bytes() == before
