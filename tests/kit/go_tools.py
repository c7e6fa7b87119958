"""The programs built from the pinned Go modules under tests/tools: the real BuildKit, a Docker Engine, the CNB lifecycle, cosign."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def tool(name: str) -> Path:
    """Where a program is; what is missing of its module is built, which takes minutes the first time."""
    script = str(ROOT / "tools" / "go-tools")
    return Path(subprocess.run([script, name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
