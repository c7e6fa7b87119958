"""What one deployment makes the worker hold is bounded, whatever its repository holds: the sum in docs/adr/0023."""

from __future__ import annotations

import subprocess

BUDGET = 384 * 1024  # KiB
BUILDABLE = {"Dockerfile": "FROM busybox\nCOPY Dockerfile /\n", ".dockerignore": "nothing\n"}


def listed(repository, entries: list[str]) -> str:
    return subprocess.run(["git", "mktree"], cwd=repository.bare, env=repository.env, check=True, text=True,
                          input="".join(entries), capture_output=True).stdout.strip()


def wide(repo, folders: int, files: int, name: str, **top: str):
    """A commit of `folders` that are one object, which has `files` names of one file."""
    repository = repo({**BUILDABLE, **top})
    blob = repository.git("rev-parse", "HEAD:Dockerfile")
    leaf = listed(repository, [f"100644 blob {blob}\t{name}-{number:05}\n" for number in range(files)])
    kept = [line + "\n" for line in repository.git("ls-tree", "HEAD").splitlines()]
    root = listed(repository, [*kept, *(f"040000 tree {leaf}\tfolder-{number:05}\n" for number in range(folders))])
    commit = subprocess.run(["git", "commit-tree", "-m", "wide", root], cwd=repository.bare, env=repository.env,
                            check=True, text=True, capture_output=True).stdout.strip()
    subprocess.run(["git", "update-ref", "refs/heads/main", commit], cwd=repository.bare, env=repository.env, check=True)
    return repository


def outcome(stack, repository) -> tuple[str, str]:
    identity = stack.api.enqueue(stack.job(repository.name))
    ended = stack.api.wait_end(identity, 180)
    return ended, "" if ended == "BUILDED" else stack.api.error_of(identity)


def test_no_repository_makes_the_worker_hold_more_than_the_budget(stack, make_worker, repo):
    worker = make_worker()
    assert outcome(stack, repo(BUILDABLE)) == ("BUILDED", "")
    before = worker.memory("VmHWM")
    # As many files as are taken, with paths of 80 bytes.
    most = wide(repo, 1_000, 498, "a-name-of-usual-length-as-honest-people-write-it-down-in-c")
    assert outcome(stack, most) == ("BUILDED", "")
    assert worker.memory("VmHWM") - before < BUDGET, worker.memory("VmHWM")
    # More of each fails for its reason, and takes no more.
    ended, why = outcome(stack, wide(repo, 1_000, 501, "x"))
    assert (ended, "more than 500,000 files" in why) == ("FAILED", True), why
    ended, why = outcome(stack, wide(repo, 1_000, 400, "y" * 200))
    assert (ended, "more than 40 MiB" in why) == ("FAILED", True), why
    # Patterns in plenty, all of them at work on a long name.
    patterns = "".join("**/" + "".join("*a" if number >> bit & 1 else "*b" for bit in range(13)) + "*q\n"
                       for number in range(8_192))
    everything = {"Dockerfile": "FROM busybox\nCOPY . /app\n", ".dockerignore": patterns}
    ended, why = outcome(stack, wide(repo, 50, 400, "ab" * 100, **everything))
    assert (ended, "take too long on that many files" in why) == ("FAILED", True), why
    assert worker.memory("VmHWM") - before < BUDGET, worker.memory("VmHWM")
    assert outcome(stack, repo(BUILDABLE)) == ("BUILDED", "")
