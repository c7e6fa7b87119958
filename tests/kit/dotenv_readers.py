"""What the common dotenv readers of five languages read from a file; tools/setup installs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from dotenv import dotenv_values

from .go_tools import tool

FOLDER = Path(__file__).parent / "dotenv"
CACHE = Path(os.environ.get("DEPLOYRA_BUILDER_CACHE", Path.home() / ".cache" / "deployra-builder"))


def read_all(file: Path) -> dict[str, dict[str, str | None]]:
    """By reader; a reader that refuses the file fails with its complaint."""
    found: dict[str, dict[str, str | None]] = {"python-dotenv": dict(dotenv_values(file, encoding="utf-8"))}
    # The names are those the worker's warnings use.
    for name, command in {
            "Node": ["node", str(FOLDER / "node.js")], "Go": [str(tool("dotenv"))], "Ruby": ["ruby", str(FOLDER / "ruby.rb")],
            "Symfony": ["php", str(FOLDER / "symfony.php")], "phpdotenv": ["php", str(FOLDER / "phpdotenv.php")]}.items():
        # Nothing of this process's environment: readers prefer it to the file.
        done = subprocess.run([*command, str(file)], capture_output=True,
                              env={"PATH": os.environ["PATH"], "NODE_PATH": str(next(CACHE.glob("node-dotenv-*/node_modules")))})
        assert done.returncode == 0, f"{name}: {(done.stderr or done.stdout).decode(errors='replace')[-500:]}"
        found[name] = json.loads(done.stdout)
    return found
