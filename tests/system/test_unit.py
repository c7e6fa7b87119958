"""packaging/deployra-builder.service, run by systemd: what it forbids, and that nothing which it forbids is needed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from kit.large_files import ATTRIBUTES
from kit.process import free_port, wait_for
from kit.unit import STEP_LIMITS, UNIT, UnitProcess, as_installed
from kit.worker import BINARY, Worker

MOST_EXPOSED = 2.0
# Whatever the filter refuses ends the program that asked for it.
KILL = "[Service]\nSystemCallErrorNumber=kill\n"

# A line says what was tried and how it ended. The worker's own folder is the working directory.
ATTEMPTS = r"""
import ctypes, mmap, os, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def attempt(name, what):
    try:
        what()
        print(name, "allowed", flush=True)
    except OSError as error:
        print(name, os.strerror(error.errno), flush=True)
def program():
    with open("program", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod("program", 0o700)
    subprocess.run(["./program"])
attempt("state", lambda: open("a.txt", "w").close())
attempt("engine", lambda: socket.socket(socket.AF_UNIX).connect("/run/docker.sock"))
attempt("pressure", lambda: open("/proc/pressure/memory").read() if os.path.exists("/proc/pressure") else None)
attempt("others", lambda: open("/proc/1/cmdline").read())
attempt("program", program)
attempt("system", lambda: open("/usr/bin/x", "w"))
attempt("settings", lambda: open("/etc/x", "w"))
attempt("groups", lambda: os.mkdir("/sys/fs/cgroup/memory/x"))
attempt("tunable", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("disk", lambda: os.mknod("disk", 0o60600, 0x800))
attempt("root", lambda: os.setuid(0))
attempt("chroot", lambda: os.chroot("/"))
attempt("namespace", lambda: call(272, 0x10000000))
attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None))
attempt("trace", lambda: call(101, 16, 1, 0, 0))
attempt("log", lambda: call(103, 3, None, 0))
attempt("clock", lambda: call(227, 0, (ctypes.c_long * 2)()))
attempt("host", lambda: call(170, b"x", 1))
attempt("bpf", lambda: call(321, 0, None, 0))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("memory", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
attempt("home", lambda: os.listdir("/root"))
"""
ALLOWED = {"state", "engine", "pressure", "others"}


@pytest.mark.parametrize("drop_in", ["", STEP_LIMITS.read_text()], ids=["alone", "step-limits"])
def test_the_unit_exposes_little(tmp_path, drop_in):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("[Install]", drop_in + "[Install]"))
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True)
    assert done.stderr == ""
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+) ", done.stdout)
    assert exposure and float(exposure[1]) <= MOST_EXPOSED, done.stdout


class UnderUnit(Worker):
    """A worker that is installed as README says; its folder is the unit's."""

    def __init__(self, folder: Path, environment: dict[str, str], socket: Path, *drop_ins: str) -> None:
        super().__init__(folder, environment)
        self.work_dir = folder / "var-lib" / "deployra-builder"
        del self.environment["WORK_DIR"], self.environment["DOCKER_HOST"]
        self.socket, self.drop_ins = socket, drop_ins

    def start(self, ready: bool = True) -> UnderUnit:
        self.process = as_installed(BINARY, self.environment, self.folder, self.log, self.socket, *self.drop_ins)
        wait_for(self.is_ready, 60, "worker ready")
        return self

    def status(self) -> dict[str, str]:
        return dict(line.split(":\t", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())

    def knows_users(self) -> set[str]:
        """Those that the user namespace has; none has another number in it."""
        rows = [line.split() for line in Path(f"/proc/{self.process.pid}/uid_map").read_text().splitlines()]
        assert all(inside == outside and count == "1" for inside, outside, count in rows), rows
        return {inside for inside, _, _ in rows}


@pytest.fixture
def installed(stack, tmp_path):
    made = []

    def make(*drop_ins: str, **environment: str) -> UnderUnit:
        made.append(UnderUnit(tmp_path / f"installed{len(made)}", {**stack.environment, **environment}, stack.docker.socket, *drop_ins))
        return made[-1].start()

    yield make
    for worker in made:
        worker.kill()


def with_everything(stack, repo):
    """A repository of which the worker uses all it can: submodules, Git LFS, an ignore file, steps that run."""
    inner = repo({"inner.txt": "from the submodule\n"})
    outer = repo({"Dockerfile": "FROM busybox\nCOPY . /app\nRUN cat /app/lib/inner.txt /app/big.bin >/seen\n", ".dockerignore": "no\n",
                  ".gitattributes": ATTRIBUTES, "big.bin": stack.git.large_files.add(b"from the store\n")})
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner.bare), "lib")
    outer.git("config", "-f", ".gitmodules", "submodule.lib.url", f"../{inner.name.split('/')[1]}.git")
    outer.commit_all()
    return outer


def test_whole_deployments_run_under_the_unit_and_ask_for_nothing_it_refuses(stack, installed, repo):
    worker = installed(KILL)
    status = worker.status()
    assert status["Uid"].split()[0] != "0" and int(status["CapBnd"], 16) == 0 and int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert worker.knows_users() == {"0", status["Uid"].split()[0]}
    repository = with_everything(stack, repo)
    for _ in range(2):  # The second one with the mirror that is there.
        identity = stack.api.enqueue(stack.job(repository.name))
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity) + worker.text()
        assert stack.output_of(identity, ["cat", "/seen"]) == "from the submodule\nfrom the store\n"
        repository.commit({"a.txt": "more\n"})
    cancelled = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN echo begun && sleep 1030\n"}).name))
    stack.api.wait_log(cancelled, "begun")
    stack.api.cancel(cancelled)
    assert stack.api.wait_end(cancelled) == "CANCELLED"
    # Limits of steps are what the drop-in is for; without it one line says that there are none.
    text = re.sub(".* a step of a build may use all of its engine's machine.*", "", worker.text(), count=1)
    assert not re.search("EPERM|not permitted|Permission denied|not implemented|pressure|Read-only", text), text
    assert " git 2." not in text, "what Debian mended is seen from inside"
    assert "w" not in {line.split()[1][1] for line in Path(f"/proc/{worker.process.pid}/maps").read_text().splitlines()
                       if "x" in line.split()[1]}
    assert worker.stop() == 0 and "drained" in worker.text()
    assert os.stat(worker.work_dir).st_uid == int(status["Uid"].split()[0])


def test_steps_are_held_with_the_drop_in_for_it(stack, installed, repo, own_limits):
    if not os.access("/sys/fs/cgroup/memory", os.W_OK) and not os.access("/sys/fs/cgroup/cgroup.procs", os.W_OK):
        pytest.skip("no control groups can be made here")
    worker = installed(STEP_LIMITS.read_text(), KILL, BUILD_MEMORY="64MiB")
    assert worker.knows_users() == {"0", worker.status()["Uid"].split()[0]}
    greedy = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN a=xxxxxxxx; while :; do a=$a$a; done\n"}).name))
    assert stack.api.wait_end(greedy) == "FAILED"
    assert stack.api.error_of(greedy).endswith("(out of memory, a step may use 64 MiB)")


def test_without_the_drop_in_the_log_says_what_is_missing(stack, installed):
    worker = installed(BUILD_MEMORY="64MiB")
    assert re.search("BUILD_MEMORY.* cannot be written .*: write /sys/fs/cgroup/.*: Permission denied", worker.text())


def test_what_the_unit_is_for_is_forbidden(stack, tmp_path):
    script, log = tmp_path / "attempts.py", tmp_path / "attempts.log"
    script.write_text(ATTEMPTS)
    process = as_installed(Path("/usr/bin/python3"), {}, tmp_path, log, stack.docker.socket, "[Service]\nType=exec\n"
                           f"BindReadOnlyPaths={script}:/run/attempts.py\n", command="/usr/bin/python3 /run/attempts.py")
    assert process.wait(60) == 0, log.read_text() if log.exists() else ""
    answers = dict(line.split(" ", 1) for line in log.read_text().splitlines())
    assert len(answers) == ATTEMPTS.count("\nattempt(")
    assert {name for name, answer in answers.items() if answer == "allowed"} == ALLOWED, answers
