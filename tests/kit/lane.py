"""A worker of its own behind a proxy for every peer, with a queue of its own: several lanes run side by side."""

from __future__ import annotations

import itertools
import json
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .checker import Verdict, judge
from .process import NotReady, wait_for
from .proxy import FAULTS, MOMENTS, PAUSES, Plan, Proxy
from .registry import EcrFront
from .stack import Stack
from .worker import Worker

PEERS = ("redis", "api", "registry", "git", "engine")
# What comes again and again, whether something is built or not.
BACKGROUND = ("beat", "blmove", "ping", "llen", "info", "look", "adopt", "reap", "hello", "subscribe", "GET ping", "Info",
              "probe", "waiting")
# A kill here leaves open whether the platform was told: the end is told again.
UNTOLD = {("BUILDED", "done"), ("BUILDED", "after"), ("settle", "before")}
END = 60.0
# A length that turned to garbage may promise more than the peer ever sends: that is silence, and the worker lets a push
# be silent for two minutes.
SILENCE = 120.0


def record_of(stack: Stack, queue: str, pushed: Iterable[str], first_post: int, disturbed: dict[str, int],
              cancelled: Iterable[str] = (), **more: object) -> dict[str, object]:
    """What the checker reads, from the platform's record."""
    posts = []
    mine = set(pushed)
    for entry in stack.api.record[first_post:]:
        match = re.fullmatch(r"/api/webhooks/deployments/([^/]+)/(status|logs)", entry.path)
        if match and match[1] in mine:
            body = json.loads(entry.body)
            posts.append([match[1], match[2], body.get("status") or body.get("text", ""), entry.answer])
    return {"queue": queue, "pushed": list(pushed), "cancelled": list(cancelled), "disturbed": dict(disturbed),
            "posts": posts, **more,
            "failures": {one: stack.api.deployments[one].events[-1] for one in pushed if stack.api.deployments[one].events}}


class Lane:
    def __init__(self, stack: Stack, folder: Path, name: str, **environment: str) -> None:
        self.stack, self.name = stack, name
        folder.mkdir(parents=True, exist_ok=True)
        self.queue, self.channel = f"queue-{name}", f"cancel-{name}"
        self.front = EcrFront(folder, stack.moto, stack.registry)
        targets = {"redis": ("127.0.0.1", stack.redis.port), "api": ("127.0.0.1", stack.api.port),
                   "registry": ("127.0.0.1", self.front.port), "git": ("127.0.0.1", stack.git.port),
                   "engine": stack.docker_host.removeprefix("unix://")}
        self.proxies = {peer: Proxy(peer, target, folder / "engine.sock" if peer == "engine" else None).start()
                        for peer, target in targets.items()}
        address = {peer: f"127.0.0.1:{proxy.port}" for peer, proxy in self.proxies.items()}
        self.front.outer_host = address["registry"]
        self.front.start()
        # What the engine really ran is written down there, by the step itself.
        self.notes = f"--mount=type=cache,id=ran-{name},target=/ran"
        self.repository = stack.git.repository({
            "Dockerfile": f"FROM busybox\nCOPY a.txt /\nRUN {self.notes} cat /a.txt >> /ran/notes && echo now-running\n"})
        self.provider = stack.git.provider(url=f"http://{address['git']}/git")
        settings = {
            **stack.environment, "REDIS_PORT": str(self.proxies["redis"].port), "REDIS_QUEUE_NAME": self.queue,
            "REDIS_CANCEL_CHANNEL_NAME": self.channel, "API_URL": f"http://{address['api']}/api",
            "AWS_ENDPOINT_URL_ECR": f"http://{address['registry']}",
            "DOCKER_HOST": f"unix://{folder / 'engine.sock'}", "LEASE_TIME": "3s",
            # Every deployment is one of another service; one of them reads what all have written down.
            "CACHE_SHARING": "all", **environment}
        self.worker, self.helper = Worker(folder / "worker", settings), Worker(folder / "helper", settings)
        self.numbers = itertools.count()
        self.first_post = len(stack.api.record)
        self.pushed: list[str] = []
        self.cancelled: list[str] = []
        self.once: list[str] = []  # killed where it was certain whether the platform had been told
        self.behind_push: dict[str, int] = {}  # killed when the push was recorded: solves until then
        self.built_again: list[str] = []  # of these
        self.disturbed: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.missed: list[str] = []
        self.slow: list[str] = []
        self.took: list[float] = []
        self.undisturbed_took = 0.0
        self.asks: dict[str, Counter[str]] = {}
        self.kills = 0

    def start(self) -> Lane:
        self.worker.start()
        return self

    def stop(self) -> None:
        self.worker.kill()
        self.helper.kill()
        for proxy in self.proxies.values():
            proxy.stop()
        self.front.stop()

    def push(self) -> str:
        job = self.stack.job(self.repository.name, gitProvider=self.provider,
                             serviceId=f"svc-{self.name}-{next(self.numbers)}")
        self.repository.commit({"a.txt": f"{job['deploymentId']}\n"})
        identity = self.stack.api.enqueue(job, self.queue)
        self.pushed.append(identity)
        return identity

    def cancel(self, identity: str) -> None:
        self.cancelled.append(identity)
        self.stack.redis.client.publish(self.channel, json.dumps({"deploymentId": identity}))
        self.stack.api.cancel(identity, publish=False)

    def arm(self, peer: str = "", plan: Plan | None = None) -> None:
        for one, proxy in self.proxies.items():
            proxy.arm(plan if one == peer else None)

    def settled(self) -> bool:
        redis = self.stack.redis.client
        return not any(redis.exists(f"{{{self.queue}}}:{key}") for key in ("own", "out", "svc"))

    def undisturbed(self) -> None:
        self.arm()
        identity = self.push()
        began = time.monotonic()
        assert self.stack.api.wait_end(identity) == "BUILDED", self.stack.api.log_text(identity)
        self.undisturbed_took = self.stack.api.deployments[identity].posts[-1][0] - began
        wait_for(self.settled, 20, "settled")

    def points(self) -> list[tuple[str, str]]:
        """Every (peer, name#n) of one undisturbed deployment."""
        for _ in range(2):  # The first one meets cold caches.
            self.undisturbed()
        found = []
        self.asks = {peer: proxy.asks.copy() for peer, proxy in self.proxies.items()}
        for peer, proxy in self.proxies.items():
            for point in dict.fromkeys(proxy.seen):
                name, count = point.rsplit("#", 1)
                if name not in BACKGROUND or count == "1":
                    found.append((peer, point))
        return found

    def disturb(self, peer: str, point: str, act: str, pause: float = 0) -> None:
        """One deployment with one fault, kill or pause."""
        plan = Plan(point, act, self.kill if act in MOMENTS else (lambda: self.pause(pause)) if act in PAUSES else None)
        self.arm(peer, plan)
        kills, identity = self.kills, self.push()
        self.follow(identity, f"{peer}:{point} {act}" + (f" at {plan.where:.3f}" if act == "truncate" else ""),
                    END + (SILENCE if act == "garbage" else 0))
        if not plan.happened.is_set():
            self.missed.append(f"{peer}:{point} {act}")
            return
        if act in MOMENTS:
            # It may have been killed behind its last word.
            wait_for(lambda: self.restarted() or self.kills > kills, 60, "killed and started again")
        self.disturbed[identity] += 1
        self.look_for_solves(identity)
        ends = self.stack.api.final_posts(identity)
        self.happened[f"{act}: {ends[-1] if ends else 'no end'}"] += 1
        name = point.rsplit("#", 1)[0]
        if act in MOMENTS and name not in BACKGROUND and (name, act) not in UNTOLD:
            self.once.append(identity)
        if ends[-1:] == ["FAILED"]:
            print(f"{peer}:{point} {act}: {self.stack.api.deployments[identity].events}")

    def kill_after(self, seconds: float) -> None:
        """One deployment, killed at a time."""
        self.arm()
        kills, identity = self.kills, self.push()
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        self.follow(identity, f"killed after {seconds:.3f} s")
        timer.join()
        wait_for(lambda: self.restarted() or self.kills > kills, 60, "killed and started again")
        self.disturbed[identity] += 1
        self.look_for_solves(identity)
        self.happened["random: " + (self.stack.api.final_posts(identity) or ["no end"])[-1]] += 1

    def follow(self, identity: str, what: str, patience: float = END) -> None:
        """To the end of the deployment; a worker that dies is started again."""
        try:
            wait_for(lambda: (self.restarted() or True) and self.stack.api.final_posts(identity) and self.settled(),
                     patience, f"{what}: the end of {identity}")
        except NotReady as stuck:
            self.slow.append(f"{stuck}; {self.stack.api.statuses(identity)}")

    def restarted(self) -> bool:
        if self.worker.process is None or self.worker.process.poll() is None:
            return False
        self.worker.wait()
        self.kills += 1
        self.worker.start(ready=False)
        return True

    def kill(self) -> None:
        process = self.worker.process
        if process is not None:
            process.kill()
            process.wait()
            for identity, stages in self.stack.redis.client.hgetall(f"{{{self.queue}}}:stage").items():  # type: ignore[union-attr]
                if "pushed" in json.loads(stages):
                    self.behind_push[identity] = self.solves()

    def solves(self) -> int:
        """Calls to the engine that begin or follow a solve, since the deployment was armed. One of the two may hide
        behind the other on the wire."""
        asks = self.proxies["engine"].asks
        return asks["Solve"] + asks["Status"]

    def look_for_solves(self, identity: str) -> None:
        if identity in self.behind_push:
            self.happened["killed behind the push"] += 1
            if self.solves() > self.behind_push[identity]:
                self.built_again.append(identity)

    def runs(self) -> dict[str, int]:
        """How often the engine ran the step of each deployment so far."""
        self.arm()
        self.repository.commit({"Dockerfile": f"FROM busybox\nCOPY a.txt /\nRUN {self.notes} touch /ran/notes && sed 's/^/ran /' /ran/notes\n"})
        identity = self.push()
        assert self.stack.api.wait_end(identity) == "BUILDED", self.stack.api.log_text(identity)
        wait_for(self.settled, 20, "settled")
        self.pushed.remove(identity)
        return Counter(re.findall(r"^ran (\S+)$", self.stack.api.log_text(identity), re.M))

    def wait_for_closed(self, before: Counter[str]) -> None:
        self.worker.wait_for_closed(before, *(self.proxies[peer].port for peer in ("redis", "api", "registry")))

    def pause(self, seconds: float) -> None:
        """A second worker is there meanwhile."""
        process = self.worker.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        if self.helper.process is None:
            self.helper.start(ready=False)
        timer = threading.Timer(seconds, process.send_signal, (signal.SIGCONT,))
        timer.daemon = True
        timer.start()

    def verdict(self) -> Verdict:
        record = record_of(self.stack, self.queue, self.pushed, self.first_post, self.disturbed, self.cancelled,
                           once=self.once, runs=self.runs(), built_again=self.built_again,
                           behind_push=list(self.behind_push))
        return judge(record, self.stack.redis.dump())


def begins(peer: str, point: str, lane: Lane) -> bool:
    """Whether there are as many requests; the others are further pieces of an answer."""
    name, count = point.rsplit("#", 1)
    return int(count) <= lane.asks[peer][name]


def cases(points: list[tuple[str, str]], acts: tuple[str, ...] = FAULTS, each: int = 0) -> list[tuple[str, str, str]]:
    """Every point with every act, or with `each` of them in turn."""
    found = []
    for number, (peer, point) in enumerate(points):
        chosen = acts if not each else [acts[(number * each + k) % len(acts)] for k in range(each)]
        found += [(peer, point, act) for act in dict.fromkeys(chosen)]
    return found


def run_all(lanes: list[Lane], todo: Iterable[Callable[[Lane], None]]) -> None:
    """The lanes share the work."""
    left = iter(list(todo))

    def work(lane: Lane) -> None:
        for task in left:
            task(lane)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, lanes))
