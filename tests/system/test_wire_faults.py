"""Every answer that a worker gets during a deployment is broken once: it ends all the same, and the worker lives.
WIRE_FAULTS=all breaks each of them in every way."""

from __future__ import annotations

import os
from collections import Counter

from kit.lane import cases, run_all
from kit.process import wait_for

LANES = 4
EACH = 0 if os.environ.get("WIRE_FAULTS") == "all" else int(os.environ.get("WIRE_FAULTS", "1"))


def test_every_answer_broken_once(lanes):
    running = lanes(LANES)
    # How many there are differs from run to run: what each of them met can be met again.
    met = [lane.points() for lane in running]
    points = [point for point in met[0] if all(point in others for others in met)]
    assert {peer for peer, _ in points} == {"redis", "api", "registry", "git", "engine"}
    assert {("redis", "take#1"), ("api", "BUILDED#1")} <= set(points)
    before = [(lane.worker.process.pid, lane.worker.open_files()) for lane in running]
    todo = cases(points, each=EACH)
    run_all(running, [lambda lane, case=case: lane.disturb(*case) for case in todo])
    missed = [case for lane in running for case in lane.missed]
    print(f"{len(points)} answers, {len(todo)} faults, {len(missed)} not met ({missed}): "
          f"{dict(sum((lane.happened for lane in running), Counter()))}")
    assert [case for lane in running for case in lane.slow] == []
    breaches: list[str] = []
    for lane, (pid, files) in zip(running, before):
        assert lane.worker.process.pid == pid and lane.worker.process.poll() is None
        assert lane.worker.get("/healthz")[0] == 200
        lane.arm()
        assert lane.stack.api.wait_end(lane.push()) == "BUILDED"
        wait_for(lane.settled, 20, "settled")
        breaches += lane.verdict().breaches
        lane.wait_for_closed(files)
        assert lane.worker.stop() == 0
    assert breaches == []
    # How an engine's streams fall into pieces differs from build to build; the others' answers are few and the same.
    assert len(missed) < len(todo) / 3, missed
    assert len([case for case in missed if not case.startswith("engine:")]) < len(todo) / 20, missed


def test_an_end_is_repeated_when_its_answer_is_nonsense(lanes):
    """Whoever answered, it may not have been the platform."""
    (lane,) = lanes(1)
    lane.disturb("api", "BUILDED#1", "garbage")
    assert lane.stack.api.final_posts(lane.pushed[-1]) == ["BUILDED", "BUILDED"]
    assert lane.verdict().breaches == []
