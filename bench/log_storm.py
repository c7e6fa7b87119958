"""Logs of 1,000,000 lines and of 1 GiB against a platform that is well, slow, away for a while, or answers 429; says what
arrived, in what order, and what it cost.   bench/log_storm.py [NAME…]"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from kit.platform_api import API_KEY, Deployment, PlatformApi  # noqa: E402

MILLION = {"LINES": "1000000"}
GIBIBYTE = {"LINES": str((1 << 30) // 128), "LINE_BYTES": "128"}
BIG_SPOOL = {"LOG_SPOOL_SIZE": str(2 << 30), "LOG_LIMIT": "0"}
# Name: the log, the settings, and how the platform is.
CASES: dict[str, tuple[dict[str, str], str]] = {
    "1,000,000 lines, well": (MILLION | BIG_SPOOL, "well"),
    "1,000,000 lines, defaults": (MILLION, "well"),
    "1,000,000 lines, 50 ms a post": (MILLION | BIG_SPOOL, "slow"),
    "1,000,000 lines, away for 10 s": (MILLION | BIG_SPOOL, "away"),
    "1,000,000 lines, 429 for 10 s": (MILLION | BIG_SPOOL, "429"),
    "1 GiB, well, no limit": (GIBIBYTE | BIG_SPOOL, "well"),
    "1 GiB, defaults": (GIBIBYTE, "well"),
    "1 GiB, 50 ms a post, defaults": (GIBIBYTE, "slow"),
    "1 GiB, away for 10 s, defaults": (GIBIBYTE, "away"),
    "1 GiB, 429 for 10 s, defaults": (GIBIBYTE, "429"),
}


class Checker(PlatformApi):
    """Keeps no row: checks it against the one before."""

    def __init__(self) -> None:
        super().__init__(redis=None)  # type: ignore[arg-type]
        self.record = deque(maxlen=0)  # type: ignore[assignment]
        self.deployments["storm"] = Deployment("storm", "s")
        self.expected, self.dropped, self.arrived, self.twice, self.errors, self.last = 1, 0, 0, 0, 0, ""

    def take_log(self, deployment, data, error):  # type: ignore[no-untyped-def]
        for row in str(data["text"]).split("\n"):
            if row[:10].isdigit():
                number = int(row[:10])
                if number < self.expected:  # Sent again after an answer that was lost: the last line tells.
                    self.twice += 1
                    continue
                self.errors += number != self.expected
                self.expected = number + 1
                self.arrived += 1
            elif gap := re.match(r"\[(\d+) lines? ", row):
                self.expected += int(gap[1])
                self.dropped += int(gap[1])
            else:
                self.last = row
        return 200, {}


def trouble(api: Checker, kind: str) -> None:
    if kind == "slow":
        api.delay = 0.05
    elif kind == "429":
        api.faults = [429] * 10  # Each asks for a second.
    elif kind == "away":
        time.sleep(0.3)
        api.stop()
        time.sleep(10)
        api.start()


def main() -> None:
    for name in sys.argv[1:] or CASES:
        settings, kind = CASES[name]
        api = Checker()
        api.start()
        meanwhile = threading.Thread(target=trouble, args=(api, kind))
        meanwhile.start()
        try:
            told = subprocess.run([ROOT / "build/release/bench_log_storm"], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, **settings, "API_URL": api.url, "API_KEY": API_KEY}).stdout.strip()
        finally:
            meanwhile.join()
            api.stop()
        missing = int(settings["LINES"]) - api.arrived
        counted = re.match(r"Log incomplete: (\d+) of ", api.last)
        silent = missing - (int(counted[1]) if counted else 0)
        print(f"{name}: {told}; {api.arrived} lines arrived, {api.twice} of them twice, {missing} are missing: {api.dropped} "
              f"announced at their gap, {silent} by nothing; {api.errors} out of order; {api.last!r}", flush=True)


if __name__ == "__main__":
    main()
