"""docker0 and the packet filter rules beside it: dockerd makes them and never takes them away. Several
engines share them, so the last one of ours that ends removes them, and only if ours made them."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import subprocess
import tempfile
from pathlib import Path

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def remove_rules(table: str) -> None:
    listed = subprocess.run(["iptables-save", "-t", table], capture_output=True, text=True, check=False).stdout
    lines = listed.splitlines()
    chains = [line.split()[0][1:] for line in lines if line.startswith(":DOCKER")]
    commands = [["-D", *shlex.split(line)[1:]] for line in lines
                if line.startswith("-A") and ("docker0" in line or "DOCKER" in line)]
    commands += [["-X", chain] for chain in chains]
    for command in commands:
        subprocess.run(["iptables", "-t", table, *command], check=False, stderr=subprocess.DEVNULL)


class BridgeUse:
    """One engine's share. Users hold the lock shared; who gets it exclusively at the end was the last."""

    def __init__(self) -> None:
        # The file says how the host was before the first of us: empty when docker0 was not ours.
        self.path = Path(tempfile.gettempdir()) / "deployra-builder-docker0"
        self.file: int | None = None

    def begin(self) -> None:
        if self.file is not None:
            return
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.file, fcntl.LOCK_SH)
        if "docker0" not in {name for _, name in socket.if_nameindex()}:
            os.pwrite(self.file, FORWARDING.read_bytes(), 0)

    def end(self) -> None:
        if self.file is None:
            return
        file, self.file = self.file, None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = os.pread(file, 16, 0)
            if before:
                self._remove(before)
                os.ftruncate(file, 0)
        except BlockingIOError:
            pass  # Another engine is still there and will do it.
        finally:
            os.close(file)

    @staticmethod
    def _remove(forwarding: bytes) -> None:
        remove_rules("nat")
        remove_rules("filter")
        subprocess.run(["ip", "link", "delete", "docker0"], check=False, stderr=subprocess.DEVNULL)
        if forwarding.strip() == b"0":
            # dockerd closes FORWARD exactly when it opened forwarding itself.
            subprocess.run(["iptables", "-P", "FORWARD", "ACCEPT"], check=False)
            FORWARDING.write_bytes(forwarding)
