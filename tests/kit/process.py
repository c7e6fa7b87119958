"""Starting and ending the servers of the tests: each in a process group of its own, ended by pid."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class NotReady(Exception):
    """A server did not come up, or a condition did not come true, in time."""


def wait_for(condition: Callable[[], object], timeout: float = 30.0, what: str = "condition") -> object:
    """Waits until the condition is truthy and returns it. It is asked less often the longer it takes: to ask costs the
    servers time as well."""
    began = time.monotonic()
    until = began + timeout
    while True:
        result = condition()
        if result:
            return result
        now = time.monotonic()
        if now > until:
            raise NotReady(f"{what}: not within {timeout} s")
        time.sleep(min(0.02, 0.005 + (now - began) / 50))


# Below the ports the kernel gives away by itself, or another socket might get it first.
PORTS = range(20_000, 32_000)
PORT_COUNTER = Path(tempfile.gettempdir()) / "builder-tests-next-port"
LIMITS_LOCK = Path(tempfile.gettempdir()) / "builder-tests-limits"


def free_port() -> int:
    """None is given twice, to no other run of the tests on this machine either: who got it may not listen yet."""
    with open(PORT_COUNTER, "a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        drawn = int(counter.read() or 0)
        try:
            while True:
                port = PORTS[drawn % len(PORTS)]
                drawn += 1
                with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port
        finally:
            counter.truncate(0)
            counter.write(str(drawn))


@contextlib.contextmanager
def alone_with_limits() -> Iterator[None]:
    """Of all tests on this machine, other lanes' and runs' included, only the block starts workers that limit steps more
    than by default: two workers of one host both limit a step that could be of either."""
    with open(LIMITS_LOCK, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def port_open(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A server process with its log. `ready` is asked until it answers."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], ready: Callable[[], object], timeout: float = 30,
               env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=env, cwd=cwd, start_new_session=True)

        def alive_and_ready() -> object:
            assert self.process is not None
            if self.process.poll() is not None:
                raise NotReady(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
            return ready()

        wait_for(alive_and_ready, timeout, f"{self.name} ready")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self, size: int = 2000) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    def end(self, how: int = signal.SIGTERM, timeout: float = 20) -> None:
        if self.process is None:
            return
        for number in (how, signal.SIGKILL):
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout)
        self.process = None


def processes_matching(needle: str) -> list[int]:
    """Processes anywhere on this machine whose command line holds the needle.

    The lanes run beside each other: a step that a test looks for has a text that no other file's steps have.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if needle in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_gone(needle: str, timeout: float = 20) -> None:
    wait_for(lambda: not processes_matching(needle), timeout, f"{needle!r} gone")


@contextlib.contextmanager
def stopped_at_end(*servers: object) -> Iterator[None]:
    try:
        yield
    finally:
        for server in reversed(servers):
            server.stop()  # type: ignore[attr-defined]
