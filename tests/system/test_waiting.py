"""What deployments in the queue are told while they wait."""

from __future__ import annotations

import re
import time

from kit.process import wait_for

WORDS = re.compile(r"Waiting: (1st|2nd|3rd) in the queue, (less than a minute|about (a|\d) minutes?)")
POSTS = 'deployra_builder_api_posts_total{kind="waiting",result="ok"}'


def test_each_is_told_its_place_by_one_of_two_workers(stack, make_worker, repo):
    slow = repo({"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep 1032\n"})
    quick = repo()
    workers = [make_worker(MAX_PARALLEL_BUILDS="1", LEASE_TIME="12s") for _ in range(2)]
    took = "{builder-queue}:took"
    stack.redis.client.rpush(took, 90_000, 90_000, 90_000)

    def waiting_lines(identity: str) -> list[str]:
        return [text for _, _, text in list(stack.api.deployments[identity].logs) if text.startswith("Waiting")]

    running = [stack.api.enqueue(stack.job(slow.name)) for _ in range(2)]
    for identity in running:
        stack.api.wait_output(identity, "now-running")
    stack.api.push("no job")
    first, cancelled, last = (stack.api.enqueue(stack.job(quick.name)) for _ in range(3))
    wait_for(lambda: waiting_lines(last), 40, "the last one is told that it waits")
    for identity, place in ((first, "1st"), (cancelled, "2nd"), (last, "3rd")):
        (line,) = waiting_lines(identity)
        assert (told := WORDS.fullmatch(line)) and told[1] == place, line
        assert stack.api.statuses(identity) == [] and stack.api.deployments[identity].status == "PENDING"
    assert not any(waiting_lines(identity) for identity in running)

    stack.api.cancel(cancelled)
    assert stack.api.wait_end(cancelled) == "CANCELLED"
    wait_for(lambda: sorted(worker.metric(POSTS) for worker in workers) == [0, 3], 20, "one of the two speaks")

    for identity in running:
        stack.api.cancel(identity)
    for identity in (first, last):
        assert stack.api.wait_end(identity) == "BUILDED"
        texts = [text for _, _, text in stack.api.deployments[identity].logs]
        assert [text.startswith("Waiting") for text in texts] == sorted(
            (text.startswith("Waiting") for text in texts), reverse=True), "it waits before it is built"
        assert re.search(r"^size     [\d.]+ [kM]?B compressed$", stack.api.log_text(identity), re.M)
    assert len(waiting_lines(cancelled)) == 1 and not any(waiting_lines(identity) for identity in running)
    wait_for(lambda: stack.redis.client.llen(took) == 5, 20, "two builds were measured; what was cancelled is no measure")
