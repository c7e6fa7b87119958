"""A standalone buildkitd of our own, built from its Go module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from .go_tools import tool
from .process import Server

NO_LIMIT = "-1"
# A CNI plugin that leaves a step's network as empty as it is made; BuildKit also asks one for the loopback.
EMPTY_NETWORK = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
cat <<END
{"cniVersion": "0.4.0", "interfaces": [{"name": "$CNI_IFNAME", "sandbox": "$CNI_NETNS"}],
 "ips": [{"version": "4", "address": "10.99.0.2/24", "interface": 0}]}
END
"""


class Buildkitd:
    """On a unix socket of its own. RUN steps use the host's network, or with `isolated` none: there are no CNI plugins here."""

    def __init__(self, folder: Path, mirrors: dict[str, str] | None = None,
                 http: tuple[str, ...] = (), address: str = "", options: tuple[str, ...] = (),
                 name: str = "buildkitd", isolated: bool = False, history: bool = True) -> None:
        """`mirrors`: registry → the `host:port` asked in its place; `http`: registries that have no TLS;
        `address` and `options` (tls) for one that listens elsewhere; `history`: it remembers its builds."""
        self.server = Server("buildkitd", folder / name)
        self.name = name
        self.socket = self.server.folder / "buildkitd.sock"
        self.address = address or f"unix://{self.socket}"
        self.mirrors, self.http, self.options, self.isolated = mirrors or {}, http, options, isolated
        self.history = history
        self.step_log_limit = NO_LIMIT  # bytes; of the next start

    @property
    def host(self) -> str:
        return self.address

    def start(self) -> Buildkitd:
        folder = self.server.folder
        config = folder / "buildkitd.toml"
        lines = ['insecure-entitlements = ["network.host"]',
                 # On a disk that is nearly full it would throw away what a test built a moment ago.
                 "[worker.oci]", "gc = false", *self._network()]
        if not self.history:
            lines += ["[history]", "maxEntries = 0"]
        for name, mirror in self.mirrors.items():
            lines += [f"[registry.{json.dumps(name)}]", f"mirrors = [{json.dumps(mirror)}]"]
        for name in sorted({*self.http, *self.mirrors.values()}):
            lines += [f"[registry.{json.dumps(name)}]", "http = true"]
        config.write_text("\n".join(lines) + "\n")
        # The log of a step is clipped otherwise.
        env = {**os.environ, "BUILDKIT_STEP_LOG_MAX_SIZE": self.step_log_limit,
               "BUILDKIT_STEP_LOG_MAX_SPEED": NO_LIMIT,
               # Its lock and temporary files; several daemons may live on one machine.
               "TMPDIR": str(folder)}
        # The containers of its steps go below a cgroup of this daemon's own.
        command = [str(tool("buildkitd")), f"--config={config}", f"--root={folder / 'root'}",
                   f"--addr={self.address}", "--containerd-worker=false", "--oci-worker-binary=runc",
                   *self.options]
        self.server.launch(command, self._ready, 60, env)
        return self

    def _network(self) -> list[str]:
        """Lines of the configuration: 0.34 does not read its option for the path."""
        if not self.isolated:
            return ['networkMode = "host"']
        folder = self.server.folder / "cni"
        folder.mkdir(exist_ok=True)
        for plugin in ("empty", "loopback"):
            (folder / plugin).write_text(EMPTY_NETWORK)
            (folder / plugin).chmod(0o755)
        (folder / "cni.json").write_text('{"cniVersion": "0.4.0", "name": "empty", "type": "empty"}')
        return ['networkMode = "cni"', f"cniConfigPath = {json.dumps(str(folder / 'cni.json'))}",
                f"cniBinaryPath = {json.dumps(str(folder))}"]

    def mend(self) -> None:
        """Up and without a limit, whatever a test left."""
        if self.step_log_limit != NO_LIMIT or not (self.server.running and self._ready()):
            self.stop(signal.SIGKILL)
            self.step_log_limit = NO_LIMIT
            self.start()

    def _ready(self) -> bool:
        if not self.address.startswith("unix://") or "--tlscert" in " ".join(self.options):
            return f"running server on {self.address.removeprefix('tcp://')}" in self.server.tail(20000)
        return self.buildctl("debug", "workers").returncode == 0

    def buildctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(tool("buildctl")), "--addr", self.address, *arguments],
                              capture_output=True, text=True, check=False)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.server.end(how, 40)
        # A killed daemon leaves its mounts, and steps that still run: their containers hold the folder.
        for line in Path("/proc/self/mounts").read_text().splitlines()[::-1]:
            mount = line.split()[1]
            if mount.startswith(str(self.server.folder)):
                subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)
