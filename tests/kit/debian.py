"""What of this machine's Debian a list of packages stands for."""

from __future__ import annotations

import functools
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path


@functools.cache
def installed() -> dict[str, set[str]]:
    """Packages and what they depend on, alternatives and virtual names resolved to what is installed."""
    form = "${Package}\t${Essential} ${Priority}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    rows = [line.split("\t") for line in
            subprocess.run(["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True).stdout.splitlines()]

    def names(text: str) -> list[str]:
        return [re.split(r"[ (:]", name.strip())[0] for name in re.split(r"[,|]", text) if name.strip()]

    provided: dict[str, set[str]] = {}
    for package, _, provides, _ in rows:
        for name in [package, *names(provides)]:
            provided.setdefault(name, set()).add(package)
    essential = {package for package, rank, _, _ in rows if "yes" in rank or "required" in rank}
    found = {package: {one for name in names(depends) for one in provided.get(name, ())} for package, _, _, depends in rows}
    return {**found, "": essential}


def closure(packages: Iterable[str]) -> set[str]:
    """These, those that every Debian has, and all they depend on."""
    waiting, found = {"", *packages}, set()
    while waiting:
        package = waiting.pop()
        found.add(package)
        waiting |= installed()[package] - found
    return found - {""}


def files_of(packages: Iterable[str]) -> list[str]:
    return [line for package in packages for path in sorted(Path("/var/lib/dpkg/info").glob(f"{package}.list"))
            + sorted(Path("/var/lib/dpkg/info").glob(f"{package}:*.list")) for line in path.read_text().splitlines()]


def alternatives(files: set[str]) -> dict[str, str]:
    """Links like /usr/bin/c++ that belong to no package, and what they lead to, for these files."""
    links = {}
    for entry in sorted(Path("/var/lib/dpkg/alternatives").iterdir()):
        link, name = entry.read_text().splitlines()[1], f"/etc/alternatives/{entry.name}"
        if os.path.islink(name) and os.path.realpath(name) in files:
            links |= {link: name, name: os.readlink(name)}
    return links


def database(packages: set[str]) -> dict[str, bytes]:
    """What dpkg knows of these packages: to apt they are installed, and no others are."""
    status = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    mine = [entry for entry in status if entry.strip() and entry.split()[1] in packages]
    found = {"/var/lib/dpkg/status": ("\n\n".join(mine) + "\n").encode()}
    for package in packages:
        for path in sorted(Path("/var/lib/dpkg/info").glob(f"{package}*.list")):
            if path.name.removesuffix(".list").split(":")[0] == package:
                found[str(path)] = path.read_bytes()
    return found


def root_of(packages: Iterable[str]) -> bytes:
    """A root file system with these packages and nothing else, as a tar; what only documents is left out."""
    buffer = io.BytesIO()
    seen = {"/", "/tmp", "/etc", "/etc/passwd", "/etc/group"}
    left_out = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale")
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode, text in (("tmp", 0o1777, None), ("etc", 0o755, None), ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n"),
                                 ("etc/group", 0o644, "root:x:0:\n")):
            info = tarfile.TarInfo(name)
            info.mode, info.type, info.size = mode, tarfile.DIRTYPE if text is None else tarfile.REGTYPE, len(text or "")
            tar.addfile(info, io.BytesIO((text or "").encode()))
        for name in ["/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", *files_of(closure(packages))]:
            path = Path(name)
            # Below a link of the merged /usr a file has its real place.
            if len(path.parts) > 2 and path.parts[1] in ("bin", "sbin", "lib", "lib64"):
                path = Path(f"/usr{name}")
            if str(path) not in seen and not str(path).startswith(left_out) and (path.is_symlink() or path.exists()):
                tar.add(path, recursive=False)
            seen.add(str(path))
        for name, to in alternatives({os.path.realpath(one) for one in seen}).items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.type, info.linkname = tarfile.SYMTYPE, to
            tar.addfile(info)
        for name, content in database(closure(packages)).items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.mode, info.size = 0o644, len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
