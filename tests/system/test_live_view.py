"""What `deployra-builder build` shows on a terminal: a real one of the kernel, read by the test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from kit.process import wait_for
from kit.worker import BINARY

CONTROL = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")
# What a terminal may be sent: rows up, erasing, colours, and three modes that are switched back at once.
KNOWN = re.compile(r"\x1b\[(?:\d+A|[JK]|[0-9;]*m|\?(?:7|25|2026)[hl])")


class Session:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str], columns: int = 80, rows: int = 24):
        self.terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(command, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env=environment)
        os.close(slave)
        self.bytes = b""

    def read(self, seconds: float = 0.05) -> str:
        while select.select([self.terminal], [], [], seconds)[0]:
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:  # Nobody has the other end any more.
                break
            if not piece:
                break
            self.bytes += piece
        return self.text()

    def text(self) -> str:
        return self.bytes.decode()

    def rows(self) -> list[str]:
        """Everything that was ever drawn, without what is not text."""
        return [CONTROL.sub("", row).rstrip() for row in self.text().replace("\r", "").split("\n")]

    def end(self) -> int:
        wait_for(lambda: (self.read(), self.process.poll() is not None)[1], timeout=60, what="the end of the build")
        self.read()
        return self.process.returncode

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.terminal)


@pytest.fixture
def build(stack, tmp_path):
    sessions = []

    def build(dockerfile: str, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> Session:
        folder = tmp_path / f"live-{tmp_path.name.replace('_', '-').lower()[:40]}{os.getpid()}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile)
        sessions.append(Session([str(BINARY), "build", *arguments], folder,
                                {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "DOCKER_HOST": stack.engine.host, **environment},
                                columns, rows))
        return sessions[-1]

    yield build
    for session in sessions:
        session.close()


def at_rest(text: str) -> bool:
    """The modes that were switched are as they were."""
    last = {mode: state for mode, state in re.findall(r"\x1b\[\?(\d+)([hl])", text)}
    styles = re.findall(r"\x1b\[([0-9;]*)m", text)
    return (last.get("7"), last.get("25"), last.get("2026")) == ("h", "h", "l") and (not styles or styles[-1] == "0")


def test_a_build_is_shown_while_it_runs_and_told_at_the_end(build):
    shown = build("FROM busybox\nRUN echo first-line; printf 'half \\033[2J\\033]0;title\\007row'; sleep 3; echo\n", "--no-cache")
    wait_for(lambda: re.search(r"▸.*RUN echo first-line", shown.read()) and "| half row" in shown.text(), timeout=60, what="the running step")
    assert shown.end() == 0
    text = shown.text()
    assert KNOWN.sub("", text).count("\x1b") == 0, "a step reached the terminal"
    assert at_rest(text)
    rows = shown.rows()
    assert sum(row.startswith("✓") and "RUN echo first-line" in row for row in rows) == 1
    end = next(i for i, row in enumerate(rows) if row.startswith("Built in "))
    assert any(re.fullmatch(r"digest   sha256:[0-9a-f]{64}", row) for row in rows[end:])
    assert any(row.startswith("slowest") and "RUN echo first-line" in row for row in rows[end:])
    assert not any(row.startswith(("▸", "  |")) for row in rows[end:])


def test_a_failure_is_told_with_all_its_output_and_the_line(build):
    shown = build("FROM busybox\nRUN for i in $(seq 50); do echo line-$i; done; exit 7\n", "--no-cache", columns=40, rows=6)
    assert shown.end() == 1
    rows = shown.rows()
    begin = next(i for i, row in enumerate(rows) if row.startswith("Output of "))
    end = rows.index("Dockerfile:2")
    assert [row for row in rows[begin:end] if row.startswith("line-")] == [f"line-{i}" for i in range(1, 51)]
    assert any(row.startswith("   2 | >>> RUN for i in") for row in rows[begin:])
    assert any(row.startswith("Failed after") for row in rows[begin:])
    assert at_rest(shown.text())


@pytest.mark.parametrize("key", ["\x03", None])
def test_a_build_that_is_stopped_leaves_no_frame(build, key):
    shown = build("FROM busybox\nRUN echo it-runs; sleep 60\n", "--no-cache")
    wait_for(lambda: "| it-runs" in shown.read(), timeout=60, what="the running step")
    if key:
        os.write(shown.terminal, key.encode())
    else:
        os.kill(shown.process.pid, signal.SIGTERM)
    begun = time.monotonic()
    assert shown.end() == 130
    assert time.monotonic() - begun < 20
    text = shown.text()
    assert at_rest(text)
    last = text[text.rindex("\x1b[J"):]
    assert "Aborted after" in last and "▸" not in last and "^C" not in last


def test_the_size_is_followed_and_colours_are_left_out_on_request(build):
    shown = build("FROM busybox\nRUN echo it-runs; sleep 5\n", "--no-cache", NO_COLOR="1")
    wait_for(lambda: "| it-runs" in shown.read(), timeout=60, what="the running step")
    shown.resize(40, 10)
    before = len(shown.text())

    def widths() -> set[int]:
        """Of whole rows of the running step since then; one of the old size may have been on its way."""
        rows = [row for row in shown.read()[before:].split("▸")[1:] if "\r\n" in row]
        return {len(CONTROL.sub("", "▸" + row.split("\r\n", 1)[0]).rstrip("\r")) for row in rows}

    wait_for(lambda: 40 in widths(), timeout=20, what="a frame of the new size")
    assert shown.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*m", shown.text())


def test_without_a_terminal_it_is_plain_and_tty_is_refused(build, tmp_path):
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "DOCKER_HOST": "unix:///nowhere"}
    done = subprocess.run([str(BINARY), "build", "--progress=tty", str(tmp_path)], capture_output=True, text=True, timeout=20,
                          env=environment)
    assert done.returncode == 2 and "needs a terminal" in done.stderr
    shown = build("FROM busybox\nRUN echo dumb\n", "--no-cache", TERM="dumb")
    assert shown.end() == 0 and "\x1b" not in shown.text() and "dumb" in shown.text()
