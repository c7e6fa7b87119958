"""The programs built from the pinned Go modules under tests/tools: the real BuildKit and CNB lifecycle."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def folder() -> Path:
    """Where they are; builds what is missing, which takes minutes the first time."""
    script = str(ROOT / "tools" / "go-tools")
    subprocess.run([script], check=True)
    return Path(subprocess.run([script, "--bin"], check=True, capture_output=True, text=True).stdout.strip())


def tool(name: str) -> Path:
    return folder() / name
