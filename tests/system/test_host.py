"""The host survives when its disk is nearly full; and the worker, when somebody empties its folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.process import wait_for
from kit.worker import Worker

SLOW = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1021\n"}
SIZE, FLOOR = 64 << 20, 16 << 20


class SmallDisk:
    """A worker whose WORK_DIR is a file system of 64 MiB."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.filler = worker, worker.work_dir / "filler"
        worker.work_dir.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(worker.work_dir)], check=True)

    def leave(self, size: int) -> None:
        """So many bytes are free afterwards, and at no moment more than before or after: the worker may look at any."""
        with open(self.filler, "ab") as file:
            now = os.fstat(file.fileno()).st_size
            free = os.statvfs(self.worker.work_dir)
            wanted = now + free.f_bavail * free.f_frsize - size
            if wanted > now:
                os.posix_fallocate(file.fileno(), 0, wanted)
            else:
                os.ftruncate(file.fileno(), wanted)

    def end(self) -> None:
        self.worker.kill()
        subprocess.run(["umount", "-l", str(self.worker.work_dir)], check=False)


@pytest.fixture
def small(make_worker) -> Iterator[SmallDisk]:
    disk = SmallDisk(make_worker(start=False, MIN_FREE_DISK=str(FLOOR), MAX_PARALLEL_BUILDS="2"))
    yield disk
    disk.end()


def test_no_job_is_taken_while_the_disk_is_short(stack, small, repo) -> None:
    small.leave(FLOOR * 3 // 4)
    worker = small.worker.start(ready=False)
    # 12 MiB less the few pages that the worker itself has written by the time it looks.
    wait_for(lambda: re.fullmatch(
        r"host: 1(2|1\.\d) MiB of 64 MiB are free on the disk of WORK_DIR, MIN_FREE_DISK asks for 16 MiB\n",
        worker.not_ready()), 20, "the disk is short")
    assert worker.metric('deployra_builder_host_short{what="disk"}') == 1
    wait_for(lambda: "are free on the disk" in worker.text(), 20, "the log says so")
    identity = stack.api.enqueue(stack.job(repo().name))
    small.leave(FLOOR + FLOOR // 20)  # Above what was asked for, but not clearly.
    wait_for(lambda: worker.metric('deployra_builder_disk_free_bytes{disk="work_dir"}') > FLOOR, 20, "a new look")
    assert worker.not_ready()
    wait_for(lambda: worker.metric("deployra_builder_queue_length") == 1, 20, "it stays in the queue")
    small.leave(FLOOR * 2)
    assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(worker.is_ready, 20, "ready")
    assert worker.text().count("are free on the disk") == 1, "told once"


def test_a_build_that_fills_the_disk_is_requeued_once_and_then_fails(stack, small, repo) -> None:
    small.leave(FLOOR * 2)
    worker = small.worker.start()
    identity = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(identity, "now-running")
    small.leave(FLOOR // 4)
    stack.api.wait_log(identity, "The build machine is short of disk space: this build was stopped")
    wait_for(lambda: worker.metric("deployra_builder_queue_length") == 1, 20, "given back")
    assert not stack.api.final_posts(identity)
    assert worker.metric("deployra_builder_builds_running") == 0
    before = stack.api.outputs(identity, "now-running")
    small.leave(FLOOR * 2)
    wait_for(lambda: stack.api.outputs(identity, "now-running") > before, 30, "built again")
    assert "attempt 2" not in stack.api.log_text(identity)
    small.leave(FLOOR // 4)
    assert stack.api.wait_end(identity) == "FAILED"
    assert "ran out of disk space" in stack.api.error_of(identity)


def mirrors_of(worker: Worker) -> set[str]:
    return {path.name for path in (worker.work_dir / "mirrors").iterdir() if path.is_dir()}


def test_old_mirrors_go_when_the_disk_is_short(stack, small, repo) -> None:
    small.leave(FLOOR * 2)
    worker = small.worker.start()
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\n", "big": os.urandom(6 << 20)}).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    assert len(mirrors_of(worker)) == 1
    small.leave(FLOOR - (1 << 20))
    wait_for(lambda: not mirrors_of(worker), 20, "the mirror is gone")
    wait_for(worker.is_ready, 20, "and so jobs are taken again")
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"


def test_mirrors_beyond_the_budget_go_but_not_from_under_another_process(stack, make_worker, repo) -> None:
    first = make_worker()
    for _ in range(2):
        assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    old = mirrors_of(first)
    running = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(running, "now-running")
    used = mirrors_of(first) - old
    second = make_worker(start=False, MIRROR_CACHE_SIZE="1KiB", WORK_DIR=str(first.work_dir)).start()
    wait_for(lambda: mirrors_of(first) == used, 20, "the unused ones are gone")
    wait_for(lambda: "2 git mirrors" in second.text(), 10, "said")
    stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"


def empty(folder: Path, itself: bool = False) -> None:
    for path in [folder] if itself else list(folder.iterdir()):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("itself", [False, True], ids=["what-is-in-it", "the-folder"])
def test_the_work_dir_may_be_emptied_at_any_time(stack, make_worker, repo, itself) -> None:
    worker = make_worker(MAX_PARALLEL_BUILDS="4")
    # A plain one, and one that needs a checkout.
    repositories = [repo(), repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", ".gitattributes": "*.bat text eol=crlf\n",
                                  "a.bat": "one\ntwo\n"} | {f"d{n}/f{n}": str(n) for n in range(50)})]
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repositories[0].name))) == "BUILDED"
    empty(worker.work_dir, itself)  # Idle.
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repositories[0].name))) == "BUILDED"

    running = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(running, "now-running")
    jobs = []
    for repository in repositories * 3:  # Each attempt of a deployment may meet one of these.
        jobs.append(stack.api.enqueue(stack.job(repository.name, serviceId=f"emptied-{time.monotonic_ns()}")))
        time.sleep(0.05)
        empty(worker.work_dir, itself)
    assert [stack.api.wait_end(job) for job in jobs] == ["BUILDED"] * 6, worker.text()[-3000:]
    assert stack.output_of(jobs[-1], ["sh", "-c", "ls -d /app/d*/f* | wc -l; cat /app/a.bat"]).split() == ["50", "one", "two"]
    stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"
    assert "is made again" in worker.text()

    # What is alive is not taken for dead, and what dies is.
    stuck = stack.api.enqueue(stack.job(repo(SLOW).name))
    stack.api.wait_output(stuck, "now-running")
    empty(worker.work_dir, itself)
    wait_for(lambda: list(worker.work_dir.glob("processes/*/leases")), 20, "made again")
    second = make_worker(WORK_DIR=str(worker.work_dir))
    assert stack.redis.client.hlen("{builder-queue}:own") == 1 and stack.api.outputs(stuck, "now-running") == 1
    second.stop()
    worker.kill()
    worker.start()
    wait_for(lambda: stack.api.outputs(stuck, "now-running") == 2, 20, "at once, not when its lease has ended")
    stack.api.cancel(stuck)
    assert stack.api.wait_end(stuck) == "CANCELLED"


def test_systemd_tmpfiles_passes_over_the_work_dir_of_a_live_worker(stack, worker, repo) -> None:
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    rules = worker.folder / "rules.conf"
    rules.write_text(f"e {worker.folder} - - - 0\n")
    before = sorted(worker.work_dir.rglob("*"))
    beside = worker.folder / "beside"
    beside.mkdir()
    subprocess.run(["systemd-tmpfiles", "--clean", str(rules)], check=True, capture_output=True)
    assert not beside.exists(), "it does clean"
    assert sorted(worker.work_dir.rglob("*")) == before


GROUPS = Path("/sys/fs/cgroup")
ENDLESS = "RUN echo now-running && a=xxxxxxxx; while :; do a=$a$a; done\n"
MANY = "RUN echo now-running; for i in $(seq 200); do sleep 1021 & done; echo all-started\n"


@pytest.fixture
def groups(own_limits) -> None:
    """Where the worker may make control groups."""
    if not os.access(GROUPS / "memory", os.W_OK) and not os.access(GROUPS / "cgroup.procs", os.W_OK):
        warnings.warn(f"NO LIMITS ARE TESTED: this kernel lets nobody write to {GROUPS}", stacklevel=1)
        pytest.skip("no control groups can be made here")


def step_groups(command: str) -> list[Path]:
    """The control groups in which an engine runs this command, in the tree of a controller that limits."""
    def runs(group: Path) -> bool:
        with contextlib.suppress(OSError):  # It may end meanwhile.
            return any(command.encode() in Path(f"/proc/{process}/cmdline").read_bytes()
                       for process in (group / "cgroup.procs").read_text().split())
        return False

    trees = [GROUPS / "pids"] if (GROUPS / "pids").is_dir() else [GROUPS]
    return [Path(folder) for tree in trees for folder, _, _ in os.walk(tree)
            if re.fullmatch(r".*/buildkit/[0-9a-z]{25}", folder) and runs(Path(folder))]


@pytest.mark.hosts_pids
@pytest.mark.both_engines
def test_a_step_that_eats_memory_is_stopped_and_the_others_go_on(stack, make_worker, repo, groups) -> None:
    worker = make_worker(BUILD_MEMORY="64MiB", BUILD_CPUS="0.5", BUILD_PIDS="100")
    command = f": {time.monotonic_ns()} && echo beside && sleep 5 && true"
    other = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\nRUN {command}\n"}).name))
    stack.api.wait_output(other, "beside")
    [group] = step_groups(command)
    assert (group / "pids.max").read_text() == "100\n"
    if (quota := Path(str(group).replace("/pids/", "/cpu/")) / "cpu.cfs_quota_us").exists():
        assert quota.read_text() == "50000\n"
    greedy = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\n" + ENDLESS}).name))
    assert stack.api.wait_end(greedy) == "FAILED"
    assert stack.api.error_of(greedy).endswith("failed with exit code 137 (out of memory, a step may use 64 MiB)")
    assert "A process of this build was killed: out of memory" in stack.api.log_text(greedy)
    assert stack.api.wait_end(other) == "BUILDED"
    assert "out of memory" not in stack.api.log_text(other)
    assert worker.is_ready()


@pytest.mark.both_engines
def test_a_step_that_forks_without_end_is_stopped(stack, make_worker, repo, groups) -> None:
    make_worker(BUILD_PIDS="50")
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\n" + MANY}).name))
    assert stack.api.wait_end(identity) == "FAILED"
    assert "can't fork" in stack.api.log_text(identity)


@pytest.mark.both_engines
def test_a_step_may_use_what_the_host_can_bear_unless_said_otherwise(stack, make_worker, repo, groups) -> None:
    worker = make_worker()
    command = f": {time.monotonic_ns()} && echo now-running && sleep 1021 && true"
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\nRUN {command}\n"}).name))
    stack.api.wait_output(identity, "now-running")
    [group] = step_groups(command)
    assert (group / "pids.max").read_text() == "16384\n"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (memory := Path(str(group).replace("/pids/", "/memory/")) / "memory.limit_in_bytes").exists():
        assert total * 0.85 < int(memory.read_text()) < total - (500 << 20)
    assert "BUILD_MEMORY" not in worker.text(), "no warning for what nobody asked for"
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"


@pytest.mark.both_engines
def test_a_step_that_nobody_limits_is_left_as_it_is(stack, make_worker, repo, groups) -> None:
    make_worker(BUILD_MEMORY="0", BUILD_PIDS="0")
    command = f": {time.monotonic_ns()} && echo now-running && sleep 1021 && true"
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\nRUN {command}\n"}).name))
    stack.api.wait_output(identity, "now-running")
    # A worker of other tests may bound it by its default, as it could be its own step.
    assert [(group / "pids.max").read_text() for group in step_groups(command)] in (["max\n"], ["16384\n"])
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    wait_for(lambda: not step_groups(command), 10, "the step is gone")
