"""The reader of the service log: docker's blocking log driver, a journald that was stopped, a pipe that nobody reads."""

from __future__ import annotations

import os
import re
import threading

import pytest
from kit.process import wait_for

pytestmark = pytest.mark.one_engine
DROPPED = "deployra_builder_service_log_lines_dropped_total"


def fill(stack, lines: int) -> None:
    """Each of these is a line of the service log."""
    with stack.redis.client.pipeline() as pipe:
        for _ in range(lines):
            pipe.publish("builder:cancel", "no deployment")
        pipe.execute()


def test_a_reader_that_stalls_stops_nothing_and_is_told_what_it_missed(stack, make_worker, repo):
    read, write = os.pipe()
    worker = make_worker(start=False).start(output=write)
    os.close(write)
    assert worker.warnings() == []
    while not worker.metric(DROPPED):
        fill(stack, 2_000)  # 1 MiB waits in memory.
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    status, text = worker.get("/readyz")
    assert status == 200 and re.search(r"^warning: the service log: its reader has stalled, \d+ lines were dropped$", text, re.M), text

    heard: list[bytes] = []

    def listen() -> None:
        while piece := os.read(read, 1 << 16):
            heard.append(piece)

    reader = threading.Thread(target=listen)
    reader.start()
    wait_for(lambda: worker.warnings() == [], 20, "it flows again")
    dropped = worker.metric(DROPPED)
    assert f" {dropped:.0f} lines of this log were dropped: its reader has stalled" in f" {b''.join(heard).decode()}".replace("\n", " ")
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(lambda: re.search(rf"deployment={identity} .* ended: builded", b"".join(heard).decode()), 10, "whole again")
    assert worker.metric(DROPPED) == dropped
    assert worker.stop() == 0
    reader.join()
    os.close(read)


def test_a_reader_that_goes_away_stops_nothing_and_is_said(stack, make_worker, repo):
    read, write = os.pipe()
    worker = make_worker(start=False).start(output=write)
    os.close(write)
    os.close(read)
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
    status, text = worker.get("/readyz")
    assert status == 200 and "warning: the service log: Broken pipe" in text
    assert worker.metric(DROPPED) > 0
    assert worker.stop() == 0
