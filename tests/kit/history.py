"""The history of builds as it lies in its file (src/adapters/history), read without the worker's code."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

TYPES = ("STDOUT", "STDERR", "INFO", "WARNING", "ERROR")


def rows_of(chunk: bytes) -> list[tuple[int, str, str]]:
    """Number, type and text of each row."""
    raw, at, rows = zlib.decompress(chunk), 0, []
    while at < len(raw):
        _, number, kind, length = struct.unpack_from("<QQBI", raw, at)
        at += 21
        rows.append((number, TYPES[kind], raw[at:at + length].decode()))
        at += length
    return rows


def is_writing(folder: Path, writer: int) -> bool:
    """Whether somebody holds the writer's byte of the lock."""
    with open(folder / "history.lock", "rb") as file:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, writer, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK


def read(folder: Path, deployment: str | None = None) -> list[dict[str, Any]]:
    """The runs, the newest first; none while there is no file."""
    if not (folder / "history.db").exists():
        return []
    with closing(sqlite3.connect(f"file:{folder}/history.db?mode=ro", uri=True, timeout=20)) as database:
        database.row_factory = sqlite3.Row

        def table(query: str, *values: object) -> list[dict[str, Any]]:
            return [dict(row) for row in database.execute(query, values)]

        if not table("PRAGMA user_version")[0]["user_version"]:
            return []  # It is being made.
        runs = table("SELECT * FROM runs WHERE ?1 IS NULL OR deployment = ?1 ORDER BY id DESC", deployment)
        for run in runs:
            for part in ("phases", "steps", "bases"):
                run[part] = table(f"SELECT * FROM {part} WHERE run = ? ORDER BY number", run["id"])
            chunks = table("SELECT rows FROM chunks WHERE run = ? ORDER BY first", run["id"])
            run["log"] = [row for chunk in chunks for row in rows_of(chunk["rows"])]
            run["variables"] = json.loads(run["variables"])
            run["outcome"] = run["outcome"] or ("running" if is_writing(folder, run["writer"]) else "interrupted")
        return runs


def text_of(folder: Path) -> bytes:
    """All that is in it, and its files as they are."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("history*")))
    return json.dumps(read(folder), ensure_ascii=False).encode() + files
