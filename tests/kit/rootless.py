"""Engines that run as a user without rights, in a user namespace that rootlesskit makes."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from .go_tools import tool
from .process import Server

USER = "nobody"
FIRST_ID = 3_000_000_000  # Beyond what anybody has on this machine.


@contextlib.contextmanager
def subordinate_ids() -> Iterator[None]:
    """The ranges of ids such a user needs; what was in the files comes back."""
    files = {path: path.read_text() if path.exists() else "" for path in (Path("/etc/subuid"), Path("/etc/subgid"))}
    for path, text in files.items():
        path.write_text(f"{text}{USER}:{FIRST_ID}:65536\n")
    try:
        yield
    finally:
        for path, text in files.items():
            path.write_text(text)


@contextlib.contextmanager
def rootless(engine: str, folder: Path, mirror: str) -> Iterator[dict[str, str]]:
    """A `buildkitd` or a `docker29` of the user, and what a worker has to be told. `mirror` stands for docker.io."""
    user = pwd.getpwnam(USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    os.chmod(folder, 0o755)
    program = folder / ("buildkitd" if engine == "buildkitd" else "dockerd")
    shutil.copy(tool(program.name), program)
    socket = folder / "engine.sock"
    # On the host's network, where the registry is; an Engine has no bridge there.
    kit = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--",
           "rootlesskit", "--net=host", f"--state-dir={folder / 'kit'}"]
    if engine == "buildkitd":
        config = folder / "buildkitd.toml"
        config.write_text(f'[registry."docker.io"]\nmirrors = ["{mirror}"]\n[registry."{mirror}"]\nhttp = true\n')
        command = [*kit, str(program), f"--config={config}", f"--root={folder / 'root'}", f"--addr=unix://{socket}",
                   "--containerd-worker=false", "--oci-worker-binary=runc", "--oci-worker-no-process-sandbox"]
        told = {"BUILDKIT_HOST": f"unix://{socket}", "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    else:
        start = (f"rm -rf /run/docker /run/containerd; exec {program} --rootless --data-root={folder / 'data'} "
                 f"--exec-root={folder / 'exec'} --host=unix://{socket} --pidfile={folder / 'docker.pid'} "
                 f"--bridge=none --iptables=false --ip6tables=false --registry-mirror=http://{mirror}")
        command = [*kit, "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", "sh", "-c", start]
        told = {"DOCKER_HOST": f"unix://{socket}"}
    server = Server(engine, folder)
    env = {"PATH": os.environ["PATH"], "USER": USER, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with subordinate_ids():
        try:
            server.launch(command, socket.exists, 60, env)
            yield told
        finally:
            server.end(signal.SIGTERM, 20)
