"""A bridge of one engine's own, without packet filter rules: RUN steps and containers have a network that leads nowhere."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from pathlib import Path

NUMBERS = itertools.count()
PREFIX = "kit-"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Bridge:
    def __init__(self) -> None:
        number = next(NUMBERS)
        self.name = f"{PREFIX}{os.getpid()}-{number}"
        # Whoever has the same one beside us does not mind: nothing is routed.
        self.address = f"10.{200 + os.getpid() % 50}.{(os.getpid() // 50 + number) % 256}.1/24"

    def begin(self) -> None:
        for _, name in socket.if_nameindex():
            owner = name.removeprefix(PREFIX).split("-")[0]
            if name == self.name or (name.startswith(PREFIX) and not Path(f"/proc/{owner}").exists()):
                subprocess.run(["ip", "link", "delete", name], check=False, stderr=subprocess.DEVNULL)
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "add", self.address, "dev", self.name)
        ip("link", "set", self.name, "up")

    def end(self) -> None:
        subprocess.run(["ip", "link", "delete", self.name], check=False, stderr=subprocess.DEVNULL)
