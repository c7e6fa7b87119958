"""What a customer's log says of the steps of a build."""

from __future__ import annotations

import re


def step_end(log: str, step: str) -> str:
    """CACHED or DONE, for the step with this text."""
    numbers = {number for number, text in re.findall(r"^#(\d+) (\[.*)$", log, re.MULTILINE) if step in text}
    ends = {end for number, end in re.findall(r"^#(\d+) (CACHED|DONE)", log, re.MULTILINE) if number in numbers}
    assert len(ends) == 1, log
    return ends.pop()
