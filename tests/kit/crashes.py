"""Workers that are killed and paused while they work; the checker then decides from what is left. Used by the
system tests and, for as many kills as wanted, by bench/crash."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

from .checker import Verdict, judge
from .lane import record_of
from .process import NotReady, wait_for
from .stack import Stack
from .worker import Worker

LEASE = "3s"


class Crashes:
    def __init__(self, stack: Stack, folder: Path, seed: int, workers: int = 1, **environment: str) -> None:
        self.stack, self.random, self.seed = stack, random.Random(seed), seed
        self.folder = folder
        self.kills = 0
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
        return {**record, "seed": self.seed, "kills": self.kills}, self.stack.redis.dump()

    def verdict(self) -> Verdict:
        record, dump = self.files()
        (self.folder / "record.json").write_text(json.dumps(record))
        (self.folder / "dump.json").write_text(json.dumps(dump))
        verdict = judge(record, dump)
        print(f"seed {self.seed}: {len(self.pushed)} jobs, {self.kills} kills, "
              f"{len(self.cancelled)} cancels: {dict(verdict.figures)}")
        return verdict
