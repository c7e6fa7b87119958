"""Measures the built worker beside the plain tools, alternating in one run; prints medians and ratios.

    $(tools/setup --python) bench/run.py [pairs]

Nothing here is a test: machines are noisy, so figures are quoted with their conditions, never asserted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.git_server import PASSWORD, USER  # noqa: E402
from kit.process import processes_matching, wait_for  # noqa: E402
from kit.registry import KEY_ID, SECRET  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402


def quantiles(values: list[float]) -> str:
    values = sorted(values)
    at = lambda q: values[min(len(values) - 1, int(q * len(values)))]  # noqa: E731
    return f"p50 {at(0.5) * 1000:.1f} ms, p95 {at(0.95) * 1000:.1f} ms, p99 {at(0.99) * 1000:.1f} ms, max {values[-1] * 1000:.1f} ms (n={len(values)})"


def log_in(stack: Stack, home: Path) -> None:
    """The docker command gets ECR's token, as `aws ecr get-login-password` would give it."""
    ecr = boto3.client("ecr", endpoint_url=f"http://{stack.ecr.host}", region_name="us-east-1",
                       aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {stack.ecr.host: {"auth": token}}}))


def plain(stack: Stack, url: str, registry: str, folder: Path, environment: dict[str, str]) -> float:
    """What a person would type, with the docker command and the Engine's classic builder."""
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    image = f"{stack.ecr.host}/deployra/{registry}-plain:latest"
    for command in (["git", "clone", "--quiet", "--depth", "1", url, str(folder)],
                    ["docker", "build", "--quiet", "-t", "plain-build", str(folder)],
                    ["docker", "tag", "plain-build", image], ["docker", "push", "--quiet", image]):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def warm_builds(stack: Stack, pairs: int, title: str, files: dict[str, str | bytes | None], change: str) -> None:
    repository = stack.git.repository(files)
    user, password = urllib.parse.quote(USER, safe=""), urllib.parse.quote(PASSWORD, safe="")
    url = f"http://{user}:{password}@127.0.0.1:{stack.git.port}/git/{repository.name}.git"
    environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": stack.docker_host, "DOCKER_BUILDKIT": "0",
                   "HOME": str(stack.folder), "GIT_CONFIG_NOSYSTEM": "1"}
    service = f"bench-{repository.name.replace('/', '-')}"
    stack.ecr.api("CreateRepository", repositoryName=f"deployra/{service}-plain")
    theirs, mine, picked = [], [], []
    for i in range(pairs + 2):
        sha = repository.commit({change: f"{i}\n"})
        times = {}
        for which in (("plain", "ours") if i % 2 else ("ours", "plain")):
            if which == "plain":
                times[which] = plain(stack, url, service, stack.folder / "clone", environment)
            else:
                times[which], pick = stack.timed(stack.job(repository.name, serviceId=service, commitSha=sha))
        if i >= 2:  # The first ones fill the caches of both.
            theirs.append(times["plain"])
            mine.append(times["ours"])
            picked.append(pick)
    ratio = statistics.median(m / t for m, t in zip(mine, theirs))
    print(f"{title}: plain tools {statistics.median(theirs) * 1000:.0f} ms, ours {statistics.median(mine) * 1000:.0f} ms, "
          f"median ratio {ratio:.2f} (n={pairs} alternating pairs)")
    print(f"  job in the queue -> first BUILDING at the API: {quantiles(picked)}")


def cancels(stack: Stack, count: int) -> None:
    repository = stack.git.repository({"Dockerfile": "FROM busybox\nARG N\nCOPY .env /\nRUN echo started && sleep 1009\n"})
    dead, told = [], []
    for i in range(count):
        identity = stack.api.enqueue(stack.job(repository.name, environmentVariables=[{"key": "N", "value": str(i)}]))
        stack.api.wait_log(identity, "started")
        # `wait_log` may see the command itself; the process is what counts.
        pids = wait_for(lambda: processes_matching("sleep 1009"), 10)
        started = time.monotonic()
        stack.api.cancel(identity)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10)
        dead.append(time.monotonic() - started)
        stack.api.wait_end(identity)
        told.append(stack.api.deployments[identity].posts[-1][0] - started)
    print(f"cancel -> process dead: {quantiles(dead)}")
    print(f"cancel -> CANCELLED at the API: {quantiles(told)}")


def storm(stack: Stack, worker) -> None:  # type: ignore[no-untyped-def]
    stack.api.delay = 0.005
    repository = stack.git.repository({"Dockerfile": f"FROM busybox\nRUN seq 1 100000 | sed 's/$/ {'y' * 94}/'\n"})
    started = time.monotonic()
    identity = stack.api.enqueue(stack.job(repository.name))
    stack.api.wait_end(identity, 300)
    took = time.monotonic() - started
    numbers = [int(n) for n in re.findall(r"^(\d+) y{94}$", stack.api.log_text(identity), re.M)]
    stack.api.delay = 0
    print(f"100,000 lines of 100 bytes, API 5 ms: {took:.1f} s, {len(numbers)} lines arrived, in order: "
          f"{numbers == list(range(1, 100_001))}, peak memory of the worker {worker.memory('VmHWM') / 1024:.0f} MB")


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with running_stack() as stack:
        starts = []
        for i in range(5):
            worker = stack.worker(f"start{i}", LOG_LEVEL="info")
            begin = time.monotonic()
            worker.start()
            starts.append(time.monotonic() - begin)
            time.sleep(1)
            idle = worker.memory() / 1024, worker.memory("RssAnon") / 1024
            worker.stop()
        print(f"start -> ready: {quantiles(starts)}; idle memory {idle[0]:.1f} MB, of it private {idle[1]:.1f} MB")
        worker = stack.worker("bench", LOG_LEVEL="info").start()
        log_in(stack, stack.folder)
        warm_builds(stack, pairs, "warm trivial build, 20 files, a new commit each time",
                    {"Dockerfile": "FROM busybox\nCOPY a1.txt /\nCMD [\"sh\"]\n", **{f"a{i}.txt": f"{i}\n" for i in range(19)}}, "a0.txt")
        warm_builds(stack, max(3, pairs // 4), "80 MB in 5,000 files, one changed",
                    {"Dockerfile": "FROM busybox\nCOPY . /app\n", **{f"d{i % 50}/f{i}": os.urandom(16_000) for i in range(5000)}}, "d0/f0")
        cancels(stack, 30)
        storm(stack, worker)
        worker.stop()


if __name__ == "__main__":
    main()
