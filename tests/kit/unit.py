"""The worker as its unit has it: under a systemd of its own, the first process of a PID namespace, that starts nothing
else. Its mounts, its control group and its end are its own; the network is this machine's."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

from .process import wait_for

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
UNIT = PACKAGING / "deployra-builder.service"
STEP_LIMITS = PACKAGING / "step-limits.conf"
COUNT = itertools.count()

# The outcome is the process's; what is waited for and killed, the tests decide.
UNDER_TEST = """
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Restart=no
TimeoutStartSec=infinity
EnvironmentFile=
EnvironmentFile={systemd}/env
StandardOutput=append:{log}
StandardError=append:{log}
ExecStart=
ExecStart={command}
"""

# What every test can run under: the servers' files, sockets and the worker's folder are root's and below /tmp or root's
# home. All the rest of the unit holds.
AMONG_TESTS = """
[Service]
User=root
SupplementaryGroups=
WatchdogSec=0
ProtectHome=no
PrivateTmp=no
StateDirectory=
WorkingDirectory={folder}
ReadWritePaths={folder}
ReadWritePaths=-{work}
NoExecPaths=
NoExecPaths={folder}
"""


class UnitProcess:
    """As much of subprocess.Popen as the tests use; the pid is the worker's own."""

    def __init__(self, binary: Path, environment: dict[str, str], folder: Path, log: Path, *drop_ins: str, command: str = "",
                 mounts: dict[str, Path] | None = None) -> None:
        """`mounts`: what is to be found elsewhere by this systemd and what it starts."""
        self.binary = binary
        self.group = f"deployra-test-{os.getpid()}-{next(COUNT)}"
        self.systemd = folder / "systemd"
        shutil.rmtree(self.systemd, ignore_errors=True)
        units = self.systemd / "units"
        overrides = units / f"{UNIT.name}.d"
        overrides.mkdir(parents=True)
        shutil.copy(UNIT, units)
        for target in ("sysinit", "basic", "shutdown"):
            (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        for number, text in enumerate((UNDER_TEST, *drop_ins)):
            # Another worker's WORK_DIR lies in another folder.
            work = Path(environment.get("WORK_DIR", folder)).parent
            for name, value in {"folder": folder, "systemd": self.systemd, "log": log, "work": work,
                                "command": command or f"{binary} serve"}.items():
                text = text.replace("{" + name + "}", str(value))
            (overrides / f"{number}.conf").write_text(text)
        (self.systemd / "env").write_text("".join(f"{name}={quoted(value)}\n" for name, value in environment.items()))
        script = ["set -e", "mount -t tmpfs tmpfs /run"]
        for place, what in (mounts or {}).items():
            script += [f"[ -e {place} ] || touch {place}", f"mount --bind {shlex.quote(str(what))} {place}"]
        for tree in hierarchies():
            (tree / self.group).mkdir()
            script.append(f"echo $$ >{tree}/{self.group}/cgroup.procs")
        script.append(f"exec env -i container=tests SYSTEMD_UNIT_PATH={shlex.quote(str(units))} /lib/systemd/systemd --system "
                      f"--unit={UNIT.name} --log-target=console --log-level=notice --show-status=no")
        with open(self.systemd / "systemd.log", "ab") as output:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave",
                 "sh", "-c", "\n".join(script)], stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    @functools.cached_property
    def pid(self) -> int:
        found = wait_for(lambda: self.process.poll() is not None or self._find(), 20, "the worker under systemd")
        assert found is not True, (self.systemd / "systemd.log").read_text(errors="replace")[-3000:]
        return int(found)  # type: ignore[call-overload]

    def _find(self) -> int:
        """systemd's child that has become the worker, once it has."""
        for systemd in children(self.process.pid):
            for child in children(systemd):
                with contextlib.suppress(OSError):
                    if os.path.samefile(f"/proc/{child}/exe", self.binary):
                        return child
        return 0

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        return self.process.poll()

    def wait(self, timeout: float | None = None) -> int:
        code = self.process.wait(timeout)
        for tree in hierarchies():
            for folder, _, _ in os.walk(tree / self.group, topdown=False):
                with contextlib.suppress(OSError):  # Of what is just ending.
                    os.rmdir(folder)
        return code


def as_installed(binary: Path, environment: dict[str, str], folder: Path, log: Path, socket: Path, *drop_ins: str,
                 command: str = "/run/deployra-builder serve") -> UnitProcess:
    """As its own user in its own folders, by README's steps. The engine's socket is where Debian has it, its group's."""
    etc, rules, state = folder / "etc", folder / "usr/lib/sysusers.d", folder / "var-lib"
    for made in (etc, rules, state):
        made.mkdir(parents=True, exist_ok=True)
    shutil.copytree("/var/lib/dpkg", state / "dpkg", ignore=lambda _, names: set(names) - {"status"}, dirs_exist_ok=True)
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
    shutil.copy(PACKAGING / "sysusers.conf", rules / "deployra-builder.conf")
    subprocess.run(["systemd-sysusers", f"--root={folder}"], check=True, capture_output=True)
    shutil.chown(socket, group="docker")
    socket.chmod(0o660)
    return UnitProcess(binary, {"DOCKER_HOST": "unix:///run/docker.sock", **environment}, folder, log, *drop_ins, command=command,
                       mounts={"/etc/passwd": etc / "passwd", "/etc/group": etc / "group", "/var/lib": state,
                               "/run/docker.sock": socket, "/run/deployra-builder": binary})


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def hierarchies() -> list[Path]:
    """The control groups that systemd keeps its services in."""
    trees = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]
    return [tree for tree in trees if tree.exists()] or [Path("/sys/fs/cgroup")]


def quoted(value: str) -> str:
    """As in a file that EnvironmentFile= names."""
    for special in '\\"`$':
        value = value.replace(special, "\\" + special)
    return f'"{value}"'
