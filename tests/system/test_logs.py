"""The log of a build: readable, complete and in order, whatever prints it and however slow the platform is; or it says
what is missing."""

from __future__ import annotations

import re
import time

import pytest
from kit.buildkitd import Buildkitd
from kit.process import wait_for, wait_gone
from kit.proxy import Proxy
from kit.registry import EcrFront

pytestmark = pytest.mark.every_engine


def test_strange_output_arrives_readable_and_whole(stack, worker, repo):
    script = r"""
printf 'plain\n\001\000nul\n'
printf '\377\376bad\n'
printf 'a\033[31mred\033[0m\033[2J\033[H\033]0;title\007z\n'
i=0; while [ $i -lt 50 ]; do printf "progress $i\r"; i=$((i+1)); done; printf 'done-progress\n'
head -c 200000 /dev/zero | tr '\0' 'x'; printf 'END\n'
printf 'no newline at the end'
"""
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nCOPY s.sh /\nRUN sh /s.sh\n", "s.sh": script}).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    log = stack.api.log_text(identity)
    assert "plain" in log and "nul" in log and "\ufffd\ufffdbad" in log and "\0" not in log and "\1" not in log
    assert "a\x1b[31mred\x1b[0mz" in log and "[2J" not in log and "title" not in log
    assert "done-progress" in log and log.count("progress") < 40
    assert sum(map(len, re.findall("x{100,}", log))) == 200_000
    assert "no newline at the end" in log
    assert all(len(row[2].encode()) <= 60_000 for row in stack.api.deployments[identity].logs)


def storm(repo, lines):
    pad = "y" * 90
    # A step that the engine knows already prints nothing.
    return repo({"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && seq 1 {lines} | sed 's/$/ {pad}/' > /lines && cat /lines\n"})


def storm_numbers(log):
    return [int(number) for number in re.findall(r"^(\d+) y{90}$", log, re.M)]


def first_out_of_place(numbers):
    return next((number for place, number in enumerate(numbers, 1) if number != place), None)


def count_rows(stack, identity):
    """Every row up to the one that counts them, and that one."""
    rows = "\n".join(text for _, _, text in stack.api.deployments[identity].logs).split("\n")
    last = next(row for row in rows if re.match("Log (in)?complete: ", row))
    return rows[:rows.index(last)], last


def whole_storm(stack, repo, lines, begin=lambda: None, meanwhile=lambda identity: None):
    """The rows of a storm that the engine passed on whole: one that has little time loses output in a flood, or the end
    of it, and then that is said, which is all that we can do."""
    for _ in range(12):
        begin()
        identity = stack.api.enqueue(stack.job(storm(repo, lines).name))
        meanwhile(identity)
        assert stack.api.wait_end(identity, 240) == "BUILDED"
        rows, last = count_rows(stack, identity)
        if "the build engine dropped some output" not in last:
            return rows, last
        # The row that says so may be among those that are missing.
        assert "missing" in last or any("lost its way" in row or "did not end its log" in row for row in rows), last
        stack.api.deployments[identity].cut_by_the_engine = True
    pytest.fail(f"the engine never passed on all of it: {last}")


def test_a_hundred_thousand_lines_complete_and_in_order(stack, worker, repo):
    stack.api.delay = 0.005
    rows, last = whole_storm(stack, repo, 100_000)
    numbers = storm_numbers("\n".join(rows))
    assert (len(numbers), first_out_of_place(numbers)) == (100_000, None)
    assert last == f"Log complete: {len(rows)} lines"
    assert worker.memory("VmHWM") < 64 * 1024


LINES = 100_000  # What the platform takes in time however busy the machine is.


@pytest.mark.one_engine
@pytest.mark.parametrize("trouble", ["down", "too many", "slow"])
def test_a_storm_at_an_api_in_trouble_loses_nothing(stack, worker, repo, trouble):
    before = worker.memory("VmHWM")

    def begin() -> None:
        stack.api.delay = 0.03 if trouble == "slow" else 0
        stack.api.faults[:] = [None, 429, None, None, 429, 429, None, None, None, 429] if trouble == "too many" else []

    def meanwhile(identity: str) -> None:
        if trouble == "down":
            stack.api.wait_log(identity, "1000 yyy")
            stack.api.stop()
            try:
                wait_for(lambda: re.search(rf"deployment={identity} .* build took", worker.text()), 120, "built")
            finally:
                stack.api.start()

    rows, last = whole_storm(stack, repo, LINES, begin, meanwhile)
    numbers = storm_numbers("\n".join(rows))
    assert (len(set(numbers)), first_out_of_place(dict.fromkeys(numbers))) == (LINES, None), last
    twice = len(numbers) - LINES  # A post that was stored when its answer was lost.
    assert last.startswith(f"Log complete: {len(rows) - twice} lines") and (not twice or last.endswith("may appear twice"))
    assert worker.memory("VmHWM") - before < 32 * 1024


@pytest.mark.one_engine
def test_a_storm_beyond_every_bound_says_what_is_missing(stack, make_worker, repo):
    worker = make_worker(LOG_SPOOL_SIZE="1MiB", LOG_LIMIT="5MiB")
    dropped = [0.0]

    def begin() -> None:
        stack.api.delay = 0.05
        dropped[0] = worker.metric("deployra_builder_log_lines_dropped_total")

    rows, last = whole_storm(stack, repo, 200_000, begin)
    gaps = [int(gap[1]) for row in rows if (gap := re.match(r"\[(\d+) lines? \(\d+ bytes?\) dropped: ", row))]
    notices = sum(1 for row in rows if row.startswith("["))
    numbers = storm_numbers("\n".join(rows))
    assert numbers[0] == 1 and numbers[-1] == 200_000 and numbers == sorted(set(numbers)), "the order is exact"
    assert sum(1 for a, b in zip(numbers, numbers[1:]) if b != a + 1) == len(gaps), "a gap that is not announced"
    missing = sum(gaps)
    # Some rows of ours may be among those that are missing.
    assert 0 <= missing - (200_000 - len(numbers)) < 10
    assert last == f"Log incomplete: {missing} of {len(rows) - notices + missing} lines are missing"
    assert worker.metric("deployra_builder_log_lines_dropped_total") - dropped[0] == missing


@pytest.mark.one_engine
def test_rows_that_an_api_cannot_take_hold_up_no_other(stack, worker, repo):
    """A database without four-byte characters behind a proxy without room for large bodies."""
    def in_front(path, body):
        if path.endswith("/logs") and len(body) > 16_384:
            return 413, {"Content-Type": "text/html"}, b"<h1>413 Request Entity Too Large</h1>"
        if "\U0001F680".encode() in body:
            return 500, {"Content-Type": "application/json"}, b'{"status":"error","message":"Error 1366"}'
        return None

    stack.api.in_front = in_front
    steps = (f"RUN : {time.monotonic_ns()}; seq 1 3000 | sed 's/$/ {'y' * 90}/'\n"
             "RUN printf 'go \\360\\237\\232\\200\\n'; for i in $(seq 300); do echo behind $i; done\n")
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": f"FROM busybox\n{steps}"}).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    rows, last = count_rows(stack, identity)
    assert storm_numbers("\n".join(rows)) == list(range(1, 3001))
    assert "go \\u{1F680}" in rows
    assert [row for row in rows if row.startswith("behind ")] == [f"behind {i}" for i in range(1, 301)]
    assert last == f"Log complete: {len(rows)} lines"


@pytest.mark.one_engine
def test_a_cancel_does_not_wait_for_the_log(stack, worker, repo):
    repository = repo({"Dockerfile": f"FROM busybox\nRUN seq 1 100000 | sed 's/$/ {'y' * 90}/' && echo now-running && sleep 1022\n"})
    stack.api.delay = 0.2
    identity = stack.api.enqueue(stack.job(repository.name))
    # By now the worker has far more than the API takes in a second.
    stack.api.wait_log(identity, "\n10000 yyy")
    asked = time.monotonic()
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    assert time.monotonic() - asked < 15  # All of it would take half a minute.
    assert count_rows(stack, identity)[1].startswith("Log incomplete: ")
    wait_gone("sleep 1022", 10)


@pytest.fixture
def clipping(stack):
    """The engine drops what a step prints beyond 10 kB."""
    def restart(limit: str) -> None:
        stack.engine.stop()
        stack.engine.step_log_limit = limit
        stack.engine.start()

    before = stack.engine.step_log_limit
    try:
        restart("10000")
        yield
    finally:
        restart(before)


def test_a_log_that_the_engine_clipped_is_not_called_complete(stack, clipping, worker, repo):
    identity = stack.api.enqueue(stack.job(storm(repo, 1_000).name))
    assert stack.api.wait_end(identity) == "BUILDED"
    rows, last = count_rows(stack, identity)
    assert 0 < len(storm_numbers("\n".join(rows))) < 1_000
    assert last == f"Log incomplete: {len(rows)} lines, and the build engine dropped some output"
    assert any("BUILDKIT_STEP_LOG_MAX_SIZE" in row for row in rows)


def test_a_push_that_lasts_tells_how_far_it_is(stack, make_worker, repo, tmp_path):
    """A line every ten seconds: of an Engine that pushes itself with bytes, of a BuildKit, which does not say them, with
    the time. A push that takes less has none."""
    front = EcrFront(tmp_path, stack.moto, stack.registry)
    proxy = Proxy("registry", ("127.0.0.1", front.port)).start()
    front.outer_host = f"127.0.0.1:{proxy.port}"
    front.start()
    try:
        make_worker(AWS_ENDPOINT_URL_ECR=f"http://{front.outer_host}")
        quick = stack.api.enqueue(stack.job(repo().name))
        assert stack.api.wait_end(quick) == "BUILDED"
        proxy.rate = 1_000_000
        slow = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN head -c 15000000 /dev/urandom > /big\n"}).name))
        assert stack.api.wait_end(slow, 120) == "BUILDED", stack.api.log_text(slow)
    finally:
        proxy.stop()
        front.stop()
    assert "Pushing:" not in stack.api.log_text(quick)
    lines = [row[2] for row in stack.api.deployments[slow].logs if "Pushing: " in row[2]]
    pushes_itself = not isinstance(stack.engine, Buildkitd) and stack.engine.name != "docker29"
    form = r"Pushing: \d+ of 15 MB \(\d+ %\), [\d.]+ MB/s" if pushes_itself else r"Pushing: 1\d s so far"
    assert 1 <= len(lines) <= 3 and re.fullmatch(form, lines[0]), lines
