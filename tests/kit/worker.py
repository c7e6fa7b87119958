"""The built binary as a process, with a look at what it leaves behind and what its children show."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

from .process import NotReady, free_port, wait_for
from .unit import AMONG_TESTS, STEP_LIMITS, UnitProcess

ROOT = Path(__file__).resolve().parents[2]
HTTP_SESSIONS = 8  # as many as a worker keeps idle (adapters/http/client.cpp)
BINARY = Path(os.environ.get("BUILDER_BINARY", ROOT / "build" / "release" / "deployra-builder"))


class Worker:
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.work_dir = folder / "work"
        self.log = folder / "worker.log"
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"], "WORK_DIR": str(self.work_dir), "LOG_LEVEL": "debug",
            "GIT_NETWORK_POLICY": "any", "HTTP_LISTEN": f"127.0.0.1:{self.port}", "DRAIN_TIMEOUT": "30",
            "MAX_PARALLEL_BUILDS": "2",
            # How full and busy this machine is, no test may depend on.
            "MIN_FREE_DISK": "0", "MAX_MEMORY_PRESSURE": "0", **environment}
        self.process: subprocess.Popen[bytes] | UnitProcess | None = None

    def start(self, ready: bool = True, output: int | None = None) -> Worker:
        """With `output` the service log goes to that descriptor."""
        if os.environ.get("WORKER_UNIT") and output is None:
            # The unit's own folder for it is not the tests'.
            environment = {"HISTORY_DIR": f"{self.environment['WORK_DIR']}/history", **self.environment}
            self.process = UnitProcess(BINARY, environment, self.folder, self.log, AMONG_TESTS, STEP_LIMITS.read_text())
        else:
            with open(self.log, "ab") as log:
                target = log.fileno() if output is None else output
                self.process = subprocess.Popen([str(BINARY), "serve"], cwd=self.folder, env=self.environment,
                                                stdin=subprocess.DEVNULL, stdout=target, stderr=target)
        if ready:
            wait_for(self.is_ready, 60, f"worker ready: {self.text()[-1500:]}")
        return self

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def not_ready(self) -> str:
        """The reasons, one a line; empty when it is ready or not there."""
        status, text = self.get("/readyz")
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("warning: ")) if status == 503 else ""

    def warnings(self) -> list[str]:
        """Of a worker that is ready; not those of the engine, which are the test machine's affair."""
        status, text = self.get("/readyz")
        ready, *lines = text.splitlines()
        assert (status, ready) == (200, "ready") and all(line.startswith("warning: ") for line in lines), text
        told = [line.removeprefix("warning: ") for line in lines]
        return [line for line in told if not line.startswith(("Docker Engine ", "BuildKit ", "runc ", "git ", "RUN steps "))]

    def is_ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.text()[-3000:]
        return self.get("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = 60) -> int:
        assert self.process is not None
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.wait()

    def stop(self) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(45)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def memory(self, field: str = "VmRSS") -> int:
        """KiB of the process."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def open_files(self) -> Counter[str]:
        """Descriptors by what they are: `tcp:PORT` of the peer, `unix`, `socket` (of another kind, or just closed),
        `other`."""
        assert self.process is not None
        proc = Path(f"/proc/{self.process.pid}")
        kinds = {}
        for line in (proc / "net" / "tcp").read_text().splitlines()[1:]:
            words = line.split()
            kinds[f"socket:[{words[9]}]"] = f"tcp:{int(words[2].split(':')[1], 16)}"
        for line in (proc / "net" / "unix").read_text().splitlines()[1:]:
            kinds[f"socket:[{line.split()[6]}]"] = "unix"
        found: Counter[str] = Counter()
        for entry in (proc / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
                target = os.readlink(entry)
                found[kinds.get(target, "socket" if target.startswith("socket:") else "other")] += 1
        return found

    def wait_for_closed(self, before: Counter[str], redis: int, *http_ports: int) -> None:
        try:
            wait_for(lambda: not self.leaks(before, redis, *http_ports), 20)
        except NotReady:
            raise NotReady(f"left open: {self.leaks(before, redis, *http_ports)} of {self.open_files()}, {before} before") from None

    def leaks(self, before: Counter[str], redis: int, *http_ports: int) -> dict[str, int]:
        """Open files that were not before, but for those of HTTP sessions to the engine and these ports: a worker keeps
        as many as ever were in use at once, each with two sockets that wake it and one connection to every peer. How
        soon they come about is a matter of chance."""
        most = before | Counter({f"tcp:{port}": HTTP_SESSIONS for port in http_ports})
        most[f"tcp:{redis}"] += 1  # Who looks at what waits connects when it first may post, which may be later.
        most["unix"] += 3 * HTTP_SESSIONS
        most["other"] += 4  # Libraries' pollers come about when they are first busy at once.
        return {kind: count for kind, count in self.open_files().items() if count > most[kind]}

    def threads(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def children(self) -> list[int]:
        assert self.process is not None
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # The thread may end at any time.
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def build_folders(self) -> list[str]:
        return sorted(str(path) for path in self.work_dir.glob("processes/*/builds/*"))


class ArgvSampler:
    """Collects the command line of every process that this one started, or that such a one did, while it runs. Those of
    the other lanes are not its affair: some plain tools there show a password that they have to be given."""

    def __enter__(self) -> ArgvSampler:
        self.seen: set[str] = set()
        self.ours = {os.getpid()}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self) -> None:
        while not self.ending.is_set():
            there = sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # Parents mostly come first.
            self.ours &= set(there)  # An identity may be used again.
            for process in there:
                with contextlib.suppress(OSError):
                    if self.belongs(process):
                        self.seen.add(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            time.sleep(0.001)

    def belongs(self, process: int) -> bool:
        """Whose parent has ended keeps belonging to us."""
        if process not in self.ours:
            parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            if parent not in self.ours:
                return False
            self.ours.add(process)
        return process != os.getpid()

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()
