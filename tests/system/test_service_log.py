"""The reader of the service log: docker's blocking log driver, a journald that was stopped, a pipe that nobody reads."""

from __future__ import annotations

import json
import os
import re
import threading

import pytest
from kit.platform_api import API_KEY
from kit.process import wait_for
from kit.registry import SECRET
from kit.stack import REDIS_PASSWORD

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


def test_as_json_every_line_is_an_object_with_its_fields(stack, make_worker, repo):
    worker = make_worker(LOG_FORMAT="json")
    hostile = 'main\n{"level": "error", "deployment": "forged"}'
    stack.api.enqueue(stack.job(repo().name, branch=hostile, deploymentId="hostile1"))
    job = stack.job(repo().name)
    identity = stack.api.enqueue(job)
    assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(lambda: stack.api.final_posts("hostile1"), 30, "the hostile one has ended")
    assert worker.stop() == 0
    text = worker.text()
    events = [json.loads(line) for line in text.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in events)
    assert {event["level"] for event in events} <= {"debug", "info", "warning", "error"}
    assert "forged" not in {event.get("deployment") for event in events}
    own = [event for event in events if event.get("deployment") == identity]
    assert {event["service"] for event in own if "service" in event} == {job["serviceId"]}
    assert {event["attempt"] for event in own if "attempt" in event} == {"1"}
    assert {event.get("phase") for event in own} >= {"fetch", "build", "push", "promote"}
    assert [event for event in own if event["message"].startswith("ended: builded") and "deployment=" not in event["message"]]
    assert not [secret for secret in (API_KEY, SECRET, REDIS_PASSWORD) if secret in text]


def test_without_a_journal_every_line_has_its_priority(stack, make_worker):
    worker = make_worker(LOG_FORMAT="journald")
    assert worker.stop() == 0
    lines = worker.text().splitlines()
    if os.path.exists("/run/systemd/journal/socket"):
        assert lines == []
    else:
        assert "<6>ready" in lines and all(re.match(r"<[3467]>\S", line) for line in lines)
