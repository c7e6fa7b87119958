"""Workers that are killed and paused while they work; the checker then decides from what is left. Used by the
system tests and, for as many kills as wanted, by bench/crash."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path

from .checker import Verdict, judge
from .lane import record_of
from .process import NotReady, wait_for
from .stack import Stack
from .worker import Worker

# A kill comes when the worker reaches one of these, or at a random time. What is named is seen from outside:
# the platform's record, a key in Redis, or a request at the registry.
POINTS = ("taken", "BUILDING", "first log", "built", "pushed", "ended in Redis", "reported", "random")
LEASE = "3s"


class Crashes:
    def __init__(self, stack: Stack, folder: Path, seed: int, workers: int = 1, **environment: str) -> None:
        self.stack, self.random, self.seed = stack, random.Random(seed), seed
        self.folder = folder
        self.kills = self.pauses = 0
        self.disturbed: Counter[str] = Counter()
        self.pushed: list[str] = []
        self.cancelled: list[str] = []
        self.first_post = len(stack.api.record)
        self.workers = [Worker(folder / f"w{i}", {**stack.environment, "LEASE_TIME": LEASE, **environment})
                        for i in range(workers)]
        for worker in self.workers:
            worker.start()

    # What happens.

    def push(self, repository: str, **changes: object) -> str:
        identity = self.stack.api.enqueue(self.stack.job(repository, **changes))
        self.pushed.append(identity)
        return identity

    def cancel(self, identity: str) -> None:
        self.cancelled.append(identity)
        self.stack.api.cancel(identity)

    def count_disturbed(self, worker: Worker) -> None:
        """What a worker that was just killed or put to sleep had under way; Redis still knows."""
        redis, mine = self.stack.redis.client, worker.text()
        for key in ("own", "out"):
            for identity, holder in redis.hgetall("{builder-queue}:" + key).items():  # type: ignore[union-attr]
                if f"joined the queue as {holder.split()[0]}" in mine:
                    self.disturbed[identity] += 1

    def kill(self, worker: Worker) -> None:
        worker.kill()
        self.kills += 1
        self.count_disturbed(worker)
        worker.start(ready=False)

    def pause(self, worker: Worker, seconds: float) -> None:
        worker.signal(signal.SIGSTOP)
        self.pauses += 1
        self.count_disturbed(worker)
        time.sleep(seconds)
        worker.signal(signal.SIGCONT)

    def reached(self, point: str, identity: str, service: str) -> bool:
        redis, api = self.stack.redis.client, self.stack.api
        if point == "taken":
            return bool(redis.hexists("{builder-queue}:own", identity))
        if point == "BUILDING":
            return "BUILDING" in api.statuses(identity)
        if point == "first log":
            return bool(api.deployments[identity].logs)
        if point == "built":
            return "now-running" in api.log_text(identity)
        if point == "pushed":
            return self.stack.ecr.digest_of(f"deployra/{service}", identity) is not None
        if point == "ended in Redis":
            return bool(redis.hexists("{builder-queue}:fin", identity))
        return bool(api.final_posts(identity))

    def kill_at(self, point: str, identity: str, service: str, worker: Worker) -> None:
        if point == "random":
            time.sleep(self.random.random() * 0.4)
        else:
            until = time.monotonic() + 30
            while not (self.reached(point, identity, service) or self.stack.api.final_posts(identity)
                       or time.monotonic() > until):
                time.sleep(0.001)  # As close behind the point as can be.
        self.kill(worker)

    # How it ends.

    def drain(self, timeout: float = 120) -> None:
        api, redis = self.stack.api, self.stack.redis
        try:
            wait_for(lambda: all(api.final_posts(identity) for identity in self.pushed)
                     and redis.client.llen("builder-queue") == 0 and redis.unfinished() == [], timeout, "drained")
        except NotReady:
            pass  # The checker says what is missing.

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()

    def files(self) -> tuple[dict[str, object], dict[str, object]]:
        record = record_of(self.stack, "builder-queue", self.pushed, self.first_post, self.disturbed, self.cancelled)
        return {**record, "seed": self.seed, "kills": self.kills, "pauses": self.pauses}, self.stack.redis.dump()

    def verdict(self) -> Verdict:
        record, dump = self.files()
        (self.folder / "record.json").write_text(json.dumps(record))
        (self.folder / "dump.json").write_text(json.dumps(dump))
        verdict = judge(record, dump)
        print(f"seed {self.seed}: {len(self.pushed)} jobs, {self.kills} kills, {self.pauses} pauses, "
              f"{len(self.cancelled)} cancels: {dict(verdict.figures)}")
        return verdict
