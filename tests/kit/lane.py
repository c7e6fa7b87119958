"""A worker of its own behind a proxy for every peer, with a queue of its own: several lanes run side by side."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .checker import Verdict, judge
from .process import NotReady, wait_for
from .proxy import FAULTS, MOMENTS, Plan, Proxy
from .registry import EcrFront
from .stack import Stack
from .worker import Worker

PEERS = ("redis", "api", "registry", "git", "engine")
# What comes again and again, whether something is built or not.
BACKGROUND = ("beat", "blmove", "ping", "llen", "info", "look", "adopt", "reap", "hello", "subscribe", "GET ping", "Info")
END = 60.0


def record_of(stack: Stack, queue: str, pushed: Iterable[str], first_post: int, disturbed: dict[str, int],
              cancelled: Iterable[str] = (), may_fail: Iterable[str] = ()) -> dict[str, object]:
    """What the checker reads, from the platform's record."""
    posts = []
    mine = set(pushed)
    for entry in stack.api.record[first_post:]:
        match = re.fullmatch(r"/api/webhooks/deployments/([^/]+)/(status|logs)", entry.path)
        if match and match[1] in mine:
            body = json.loads(entry.body)
            posts.append([match[1], match[2], body.get("status") or body.get("text", ""), entry.answer])
    return {"queue": queue, "pushed": list(pushed), "cancelled": list(cancelled), "may_fail": list(may_fail),
            "disturbed": dict(disturbed), "posts": posts,
            "failures": {one: stack.api.deployments[one].events[-1] for one in pushed if stack.api.deployments[one].events}}


class Lane:
    def __init__(self, stack: Stack, folder: Path, name: str, **environment: str) -> None:
        self.stack, self.name = stack, name
        folder.mkdir(parents=True, exist_ok=True)
        self.queue = f"queue-{name}"
        self.front = EcrFront(folder, stack.moto, stack.registry)
        targets = {"redis": ("127.0.0.1", stack.redis.port), "api": ("127.0.0.1", stack.api.port),
                   "registry": ("127.0.0.1", self.front.port), "git": ("127.0.0.1", stack.git.port),
                   "engine": stack.docker_host.removeprefix("unix://")}
        self.proxies = {peer: Proxy(peer, target, folder / "engine.sock" if peer == "engine" else None).start()
                        for peer, target in targets.items()}
        address = {peer: f"127.0.0.1:{proxy.port}" for peer, proxy in self.proxies.items()}
        self.front.outer_host = address["registry"]
        self.front.start()
        self.repository = stack.git.repository({"Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN echo now-running\n"})
        self.provider = stack.git.provider(url=f"http://{address['git']}/git")
        self.worker = Worker(folder / "worker", {
            **stack.environment, "REDIS_PORT": str(self.proxies["redis"].port), "REDIS_QUEUE_NAME": self.queue,
            "REDIS_CANCEL_CHANNEL_NAME": f"cancel-{name}", "API_URL": f"http://{address['api']}/api",
            "AWS_ENDPOINT_URL_ECR": f"http://{address['registry']}",
            "DOCKER_HOST": f"unix://{folder / 'engine.sock'}", "LEASE_TIME": "3s", **environment})
        self.numbers = itertools.count()
        self.first_post = len(stack.api.record)
        self.pushed: list[str] = []
        self.may_fail: list[str] = []
        self.disturbed: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.missed: list[str] = []
        self.slow: list[str] = []
        self.kills = 0

    def start(self) -> Lane:
        self.worker.start()
        return self

    def stop(self) -> None:
        self.worker.kill()
        for proxy in self.proxies.values():
            proxy.stop()
        self.front.stop()

    def push(self) -> str:
        number = next(self.numbers)
        self.repository.commit({"a.txt": f"{self.name} {number}\n"})
        identity = self.stack.api.enqueue(self.stack.job(
            self.repository.name, gitProvider=self.provider, serviceId=f"svc-{self.name}-{number}"), self.queue)
        self.pushed.append(identity)
        return identity

    def arm(self, peer: str = "", plan: Plan | None = None) -> None:
        for one, proxy in self.proxies.items():
            proxy.arm(plan if one == peer else None)

    def settled(self) -> bool:
        redis = self.stack.redis.client
        return not any(redis.exists(f"{{{self.queue}}}:{key}") for key in ("own", "out", "svc"))

    def points(self) -> list[tuple[str, str]]:
        """Every (peer, name#n) of one undisturbed deployment."""
        for _ in range(2):  # The first one meets cold caches.
            self.arm()
            identity = self.push()
            assert self.stack.api.wait_end(identity) == "BUILDED", self.stack.api.log_text(identity)
            wait_for(self.settled, 20, "settled")
        found = []
        for peer, proxy in self.proxies.items():
            for point in dict.fromkeys(proxy.seen):
                name, count = point.rsplit("#", 1)
                if name not in BACKGROUND or count == "1":
                    found.append((peer, point))
        return found

    def disturb(self, peer: str, point: str, act: str) -> None:
        """One deployment with one fault or kill."""
        plan = Plan(point, act, self.kill if act in MOMENTS else None)
        self.arm(peer, plan)
        began = time.monotonic()
        identity = self.push()
        try:
            until = began + END
            while not (self.stack.api.final_posts(identity) and self.settled()):
                if act in MOMENTS and plan.happened.is_set() and self.worker.process and self.worker.process.poll() is not None:
                    self.worker.wait()
                    self.kills += 1
                    self.worker.start(ready=False)
                if time.monotonic() > until:
                    raise NotReady(f"{peer}:{point} {act}: {identity} {self.stack.api.statuses(identity)}")
                time.sleep(0.005)
        except NotReady as stuck:
            self.slow.append(str(stuck))
        if act in MOMENTS and plan.happened.is_set() and self.worker.process is not None:
            # It may have died behind its last word.
            with_end = time.monotonic() + 1
            while self.worker.process.poll() is None and time.monotonic() < with_end:
                time.sleep(0.005)
            if self.worker.process.poll() is not None:
                self.worker.wait()
                self.kills += 1
                self.worker.start(ready=False)
        if plan.happened.is_set():
            self.disturbed[identity] += 1
            ends = self.stack.api.final_posts(identity)
            self.happened[f"{act}: {ends[-1] if ends else 'no end'}"] += 1
            if ends[-1:] == ["FAILED"]:
                print(f"{peer}:{point} {act}: {self.stack.api.deployments[identity].events}")
            if act == "garbage":
                self.may_fail.append(identity)
        else:
            self.missed.append(f"{peer}:{point} {act}")

    def kill(self) -> None:
        process = self.worker.process
        if process is not None:
            process.kill()
            process.wait()

    def verdict(self) -> Verdict:
        record = record_of(self.stack, self.queue, self.pushed, self.first_post, self.disturbed, (), self.may_fail)
        return judge(record, self.stack.redis.dump())


def cases(points: list[tuple[str, str]], acts: tuple[str, ...] = FAULTS, each: int = 0) -> list[tuple[str, str, str]]:
    """Every point with every act, or with `each` of them in turn."""
    found = []
    for number, (peer, point) in enumerate(points):
        chosen = acts if not each else [acts[(number * each + k) % len(acts)] for k in range(each)]
        found += [(peer, point, act) for act in dict.fromkeys(chosen)]
    return found
