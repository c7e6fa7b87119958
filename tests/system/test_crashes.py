"""kill -9 and long sleeps: whatever dies, every deployment ends once. The seeds are printed; CRASH_SEED repeats one,
CRASH_KILLS makes it longer."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import random
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.crashes import Crashes
from kit.lane import Lane, begins, cases, run_all
from kit.process import wait_for, wait_gone
from kit.proxy import MOMENTS, PAUSES, Plan

QUICK = {"Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN echo in-the-crashed-build\n", "a.txt": "one\n"}
KILLS = int(os.environ.get("CRASH_KILLS", "100"))


def seed() -> int:
    return int(os.environ.get("CRASH_SEED", str(random.randrange(1 << 30))))


@pytest.fixture
def crashes(stack, tmp_path):
    made: list[Crashes] = []

    def make(workers: int = 1, **environment: str) -> Crashes:
        made.append(Crashes(stack, tmp_path, seed(), workers, **environment))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def nothing_left(crashes: Crashes) -> None:
    for worker in crashes.workers:
        wait_for(lambda worker=worker: not worker.build_folders(), 20, "build folders removed")
        wait_for(lambda worker=worker: not worker.children(), 20, "children gone")
        assert worker.stop() == 0
        assert list((worker.work_dir / "processes").glob("*/")) == [], "process folders removed"
    assert crashes.stack.redis.client.zcard("{builder-queue}:workers") == 0, "leases given up"


def ended_well(lanes: list[Lane]) -> Counter[str]:
    """The checker finds nothing, and neither does who looks for leftovers."""
    figures: Counter[str] = Counter()
    assert [case for lane in lanes for case in lane.slow] == []
    for lane in lanes:
        verdict = lane.verdict()
        assert verdict.breaches == []
        figures += verdict.figures + lane.happened
        for worker in (lane.worker, lane.helper):
            if worker.process is None:
                continue
            wait_for(lambda worker=worker: not worker.build_folders() and not worker.children(), 20, "folders, children")
            assert worker.stop() == 0
            assert list((worker.work_dir / "processes").glob("*/")) == [], "process folders removed"
        assert lane.stack.redis.client.zcard(f"{{{lane.queue}}}:workers") == 0, "leases given up"
    wait_gone("in-the-crashed-build")
    return figures


def points_of(lane: Lane, chance: random.Random) -> list[tuple[str, str]]:
    """All of them, in a random order; of the engine's streams only the beginnings."""
    points = [(peer, point) for peer, point in lane.points() if peer != "engine" or int(point.rsplit("#", 1)[1]) < 6]
    chance.shuffle(points)
    return points


def test_crash_matrix(lanes):
    """kill -9 before a request reaches its peer, before the answer reaches the worker, and behind it, for every request
    of a deployment; and at random times."""
    begin = seed()
    chance = random.Random(begin)
    running = lanes(4)
    todo = [(peer, point, act) for peer, point, act in cases(points_of(running[0], chance), MOMENTS)
            if act != "before" or begins(peer, point, running[0])]
    chance.shuffle(todo)
    named = itertools.islice(itertools.cycle(todo), KILLS)
    run_all(running, [lambda lane, case=case: lane.disturb(*case) for case in named])
    # Some points are not met every time.
    times = max(KILLS // 10, KILLS - sum(lane.kills for lane in running))
    run_all(running, [lambda lane: lane.kill_after(chance.random() * 0.5) for _ in range(times)])
    figures = ended_well(running)
    kills, missed = sum(lane.kills for lane in running), [case for lane in running for case in lane.missed]
    print(f"seed {begin}: {len(todo)} named points, {kills} kills, {len(missed)} not met: {dict(figures)}")
    assert kills >= KILLS and figures["killed behind the push"] > 0


def test_a_step_that_a_kill_ended_runs_once_more(lanes):
    (lane,) = lanes(1)
    step = f"RUN {lane.notes} cat /a.txt >> /ran/notes && echo in-the-crashed-build && sleep 5"
    lane.repository.commit({"Dockerfile": f"FROM busybox\nCOPY a.txt /\n{step}\n"})
    identity = lane.push()
    lane.stack.api.wait_output(identity, "in-the-crashed-build")
    lane.kill()
    lane.disturbed[identity] += 1
    lane.follow(identity, "killed in its step")
    assert lane.runs()[identity] == 2
    assert ended_well([lane])["repeated runs"] == 1


def test_an_image_that_is_removed_before_its_push_is_built_again(stack, lanes):
    """A prune of the operator's, or the tidying of a worker that had the job before."""
    (lane,) = lanes(1)
    lane.undisturbed()

    def remove() -> None:
        name = next(tag for image in stack.engine.json("GET", "/images/json")
                    for tag in image["RepoTags"] or () if tag.endswith(f":{lane.pushed[-1]}"))
        stack.engine.json("DELETE", f"/images/{name}?force=true")

    lane.arm("engine", Plan("POST images/push#1", "pause before", remove))
    identity = lane.push()
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert "removed from the engine before it was pushed; building it again" in stack.api.log_text(identity)
    assert lane.runs()[identity] == 1, "the step itself is cached"


def test_pause_matrix(lanes):
    """A worker sleeps for 0.3 to 3 leases at such a point, while another one takes over."""
    begin = seed()
    chance = random.Random(begin)
    running = lanes(4)
    todo = cases([one for one in points_of(running[0], chance) if one[0] != "engine"], PAUSES, each=1)
    todo = todo[:int(os.environ.get("CRASH_PAUSES", "24"))]

    def pause(lane: Lane, case: tuple[str, str, str]) -> None:
        lane.disturb(*case, pause=3 * chance.uniform(0.3, 3))
        assert lane.helper.stop() in (0, -signal.SIGTERM)  # Perhaps it has hardly begun.

    run_all(running, [lambda lane, case=case: pause(lane, case) for case in todo])
    figures = ended_well(running)
    print(f"seed {begin}: {len(todo)} pauses, {sum(len(lane.missed) for lane in running)} not met: {dict(figures)}")


def test_several_workers_with_random_kills(crashes, repo):
    """200 jobs of 20 services for three workers, one of which dies every now and then."""
    # A busy machine may hold up a worker that lives for longer than the usual lease.
    run = crashes(workers=3, LEASE_TIME="15s")
    repository = repo(QUICK)
    services = [f"svc-many-{number}-{run.seed}" for number in range(20)]
    for number in range(200):
        run.push(repository.name, serviceId=services[number % 20])
        if number % 25 == 24:
            time.sleep(run.random.random())
            run.kill(run.random.choice(run.workers))
    run.drain(180)
    verdict = run.verdict()
    assert verdict.breaches == []
    assert two_at_once(run) == []
    # The newest of every service is built, whatever was superseded before it.
    for service in services:
        last = [identity for identity in run.pushed if run.stack.api.deployments[identity].service == service][-1]
        assert run.stack.api.final_posts(last)[-1] in ("BUILDED", "FAILED")
    nothing_left(run)


def worked_until(crashes: Crashes) -> dict[str, float]:
    """When the last step of each deployment ended, by the workers' logs and the clock of the platform's posts."""
    offset = time.time() - time.monotonic()
    return {found[2]: datetime.datetime.fromisoformat(found[1]).timestamp() - offset
            for worker in crashes.workers
            for found in re.finditer(r"^(\S+Z) debug +deployment=(\S+) .*(?:took \d+ ms|solve: )", worker.text(), re.M)}


def two_at_once(crashes: Crashes) -> list[str]:
    """Deployments that began while an older one of their service was still worked on. The platform may hear of its end a
    moment later: it is delivered behind its log when the service is free already. One whose worker died is out of the
    way before the platform is told so."""
    api, found, worked = crashes.stack.api, [], worked_until(crashes)
    assert worked
    posts = sorted((at, status, identity) for identity in crashes.pushed for at, status in api.deployments[identity].posts)
    under_way: dict[str, set[str]] = {}
    for at, status, identity in posts:
        mine = under_way.setdefault(api.deployments[identity].service, set())
        if status == "BUILDING":
            found += [f"{identity} beside {other}" for other in mine - {identity}
                      if not crashes.disturbed[other] and worked.get(other, math.inf) > at]
            mine.add(identity)
        else:
            mine.discard(identity)
    return found


def test_a_burst_of_one_service_holds_up_no_other(crashes, repo):
    run = crashes(MAX_PARALLEL_BUILDS="1")
    repository, api = repo(QUICK), run.stack.api
    with api.together():
        burst = [run.push(repository.name, serviceId=f"svc-burst-{run.seed}") for _ in range(100)]
        small = run.push(repository.name, serviceId=f"svc-small-{run.seed}")
    assert api.wait_end(small) == "BUILDED"
    begun = [identity for identity in burst if "BUILDING" in api.statuses(identity)]
    assert len(begun) <= 3, begun
    run.drain()
    assert api.final_posts(burst[-1]) == ["BUILDED"]
    assert run.verdict().breaches == [] and two_at_once(run) == []
    nothing_left(run)


def test_a_service_that_is_pushed_again_and_again_holds_up_no_other(crashes, repo):
    """A newer job for every one that begins: the service always has one to build, and others have their turn."""
    run = crashes(MAX_PARALLEL_BUILDS="1")
    step = f"RUN : {time.monotonic_ns()} && echo in-the-crashed-build && sleep 3"
    repository, api = repo({"Dockerfile": f"FROM busybox\n{step}\n"}), run.stack.api
    busy, others = [run.push(repository.name, serviceId=f"svc-busy-{run.seed}")], []
    while len(others) < 3 or not all(api.final_posts(other) for other in others):
        wait_for(lambda newest=busy[-1]: api.statuses(newest), 60, "the busy service is built again")
        with api.together():
            if len(others) < 3:
                others.append(run.push(repository.name, serviceId=f"svc-other-{len(others)}-{run.seed}"))
            busy.append(run.push(repository.name, serviceId=f"svc-busy-{run.seed}"))
        assert len(busy) < 12, f"{len(busy)} builds of one service before {others}"
    run.drain()
    assert [api.final_posts(other) for other in others] == [["BUILDED"]] * 3
    assert api.final_posts(busy[-1]) == ["BUILDED"]
    assert run.verdict().breaches == [] and two_at_once(run) == []
    nothing_left(run)


def race(lane: Lane, share: float) -> None:
    """One cancel, behind this share of what a deployment of the lane takes; notes how long it took to end."""
    lane.arm()
    identity = lane.push()
    began = time.monotonic()
    time.sleep(share * lane.undisturbed_took)
    asked = time.monotonic()
    lane.cancel(identity)
    lane.follow(identity, f"cancelled after {asked - began:.3f} s")
    at, status = lane.stack.api.deployments[identity].posts[-1]
    lane.took.append(max(0.0, at - asked))
    lane.happened[f"cancel: {status}"] += 1
    if status == "BUILDED":
        lane.undisturbed_took = at - began  # How busy the machine is changes.


def test_cancel_race(lanes):
    """Cancels at 200 times across a deployment: the end is CANCELLED, or BUILDED when it came too late."""
    begin, running, count = seed(), lanes(4), int(os.environ.get("CANCEL_RACES", "200"))
    for _ in range(2):  # The first one meets cold caches.
        with ThreadPoolExecutor() as pool:
            list(pool.map(Lane.undisturbed, running))
    shares = [n / count * 1.1 for n in range(count)]
    random.Random(begin).shuffle(shares)
    run_all(running, [lambda lane, share=share: race(lane, share) for share in shares])
    for share in (0.3, 1.5, 3, 6):
        if len(sum((lane.happened for lane in running), Counter())) < 2:
            run_all(running, [lambda lane, share=share: race(lane, share)] * len(running))
    figures = ended_well(running)
    took = sorted(time for lane in running for time in lane.took)
    length = max(lane.undisturbed_took for lane in running)
    print(f"seed {begin}: {len(took)} cancels, {length:.3f} s undisturbed: {dict(figures)}; ended after "
          f"p50 {took[len(took) // 2]:.3f} s, p99 {took[len(took) * 99 // 100]:.3f} s, at most {took[-1]:.3f} s")
    assert figures["cancel: CANCELLED"] > count / 4 and figures["cancel: BUILDED"] > 0
    assert took[len(took) * 99 // 100] < max(5, 3 * length)


def test_cancels_that_only_another_worker_heard(lanes):
    """Whoever hears it records it; the owner is told by its next beat."""
    (lane,) = lanes(1)
    lane.repository.commit({"Dockerfile": "FROM busybox\nRUN echo in-the-crashed-build && sleep 1023\n"})
    lane.helper.environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"  # It takes no job.
    lane.helper.environment["REDIS_PORT"] = str(lane.stack.redis.port)
    lane.proxies["redis"].refused.add("subscribe")
    lane.worker.kill()
    lane.worker.start(ready=False)
    lane.helper.start(ready=False)
    wait_for(lambda: lane.stack.redis.client.pubsub_numsub(lane.channel)[0][1] == 1, 20, "one subscriber")
    for _ in range(3):
        identity = lane.push()
        lane.stack.api.wait_output(identity, "in-the-crashed-build")
        asked = time.monotonic()
        lane.cancel(identity)
        assert lane.stack.api.wait_end(identity, 20) == "CANCELLED"
        print(f"ended after {time.monotonic() - asked:.3f} s")
        wait_for(lane.settled, 20, "settled")
    assert lane.stack.redis.client.pubsub_numsub(lane.channel)[0][1] == 1
    ended_well([lane])
