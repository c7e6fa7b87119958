"""What ./demo shows: examples/hello goes from the queue to a running container, with every peer real or
a faithful stand-in. Ends with 0 only if the pushed image, pulled by digest, answered."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from .engine import base_image_tar
from .process import NotReady, free_port, wait_for
from .stack import Stack
from .worker import ROOT

NAME = "Deployra"
COLOURS = {"dim": "2", "bold": "1", "good": "32", "bad": "31", "INFO": "36", "WARNING": "33", "ERROR": "31"}
# The log's own colours and the terminal's are two things: NO_COLOR takes out both.
SGR = re.compile(r"\x1b\[[0-9;]*m")


def paint(text: str, colour: str) -> str:
    if "NO_COLOR" in os.environ or not sys.stdout.isatty():
        return SGR.sub("", text)
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colour in COLOURS else text


@contextlib.contextmanager
def step(what: str) -> Iterator[list[str]]:
    """One line per step; the block may append words to it. A failure shows the line and goes on up."""
    notes: list[str] = []
    started = time.monotonic()
    if sys.stdout.isatty():
        print(f"… {what}", end="\r", flush=True)
    try:
        yield notes
    except BaseException:
        print(f"{paint('✗', 'bad')} {what}", flush=True)
        raise
    took = paint(f"{time.monotonic() - started:.2f} s", "dim")
    print(f"{paint('✓', 'good')} {' '.join([what, *notes])}  {took}", flush=True)


def run(*command: str, env: dict[str, str] | None = None, data: bytes = b"") -> str:
    done = subprocess.run(command, cwd=ROOT, env=env, input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        raise NotReady(f"{' '.join(command[:3])} ended with {done.returncode}:\n{text[-3000:]}")
    return text


def running_engine() -> str:
    """The engine of this machine if one answers, else nothing and the stack starts its own."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    answers = subprocess.run(["docker", "version"], env={**os.environ, "DOCKER_HOST": host},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    return host if answers else ""


class Docker:
    """The docker client with a configuration of its own, so that no login stays behind."""

    def __init__(self, host: str, folder: Path) -> None:
        self.env = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(folder / "docker-client")}

    def __call__(self, *arguments: str, data: bytes = b"") -> str:
        return run("docker", *arguments, env=self.env, data=data)

    def quietly(self, *arguments: str) -> None:
        subprocess.run(["docker", *arguments], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def has(self, image: str) -> bool:
        return subprocess.run(["docker", "image", "inspect", image], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0


def follow(stack: Stack, identity: str, started: float, timeout: float = 120) -> str:
    """Prints rows and statuses as the API receives them, until the final status."""
    deployment = stack.api.deployments[identity]
    rows = statuses = 0

    def stamp() -> str:
        return paint(f"{time.monotonic() - started:7.2f} s", "dim")

    def more() -> bool:
        nonlocal rows, statuses
        ended = bool(stack.api.final_posts(identity))
        # A status is posted after the lines before it, hence rows first.
        for _, kind, text in deployment.logs[rows:]:
            rows += 1
            for line in text.splitlines():
                print(f"{stamp()}  {paint(line, kind)}", flush=True)
        for _, status in deployment.posts[statuses:]:
            statuses += 1
            print(f"{stamp()}  {paint(status, 'bold')}", flush=True)
        return ended

    wait_for(more, timeout, "a final status")
    return stack.api.final_posts(identity)[-1]


def answer_of(docker: Docker, image: str) -> str:
    """Runs the image on the host's network and gives the first page it serves."""
    port = free_port()
    container = docker("run", "--detach", "--network=host", f"--env=PORT={port}", image)
    try:
        def page() -> str:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    return answer.read().decode()
            return ""

        return str(wait_for(page, 15, "an answer of the container")).strip()
    finally:
        docker.quietly("rm", "--force", "--volumes", container)


def deploy(stack: Stack, docker: Docker) -> None:
    with step("examples/hello is a repository behind a password") as notes:
        repository = stack.git.repository(name="octo/hello")
        shutil.copytree(ROOT / "examples" / "hello", repository.work, dirs_exist_ok=True)
        sha = repository.commit_all("Say hello")
        notes.append(sha[:7])
    worker = stack.worker()
    try:
        with step("the worker is ready"):
            worker.start()
        image = deployed_image(stack, stack.job(
            repository.name, commitSha=sha, environmentVariables=[{"key": "NAME", "value": NAME}],
            ports=[{"servicePort": 80, "containerPort": 3000}]), docker)
        show_answer(stack, image, docker)
        with step("the worker ended cleanly"):
            code = worker.stop()
            if code != 0:
                raise NotReady(f"the worker ended with {code}")
    finally:
        worker.kill()


def deployed_image(stack: Stack, job: dict[str, object], docker: Docker) -> str:
    """Queues the job, shows its build, and gives the image by digest, of which the engine keeps no copy."""
    print("• a deployment goes into the queue", flush=True)
    started = time.monotonic()
    identity = stack.api.enqueue(job)
    status = follow(stack, identity, started)
    if status != "BUILDED":
        raise NotReady(f"the deployment ended as {status}")
    host, name = stack.api.deployments[identity].image_uri.split("@")[0].split("/", 1)
    name = name.split(":")[0]
    digest = stack.ecr.digest_of(name, identity)
    if digest is None:
        raise NotReady(f"the registry has no image tagged {identity}")
    # What is left of the build must not stand in for the registry's copy.
    for tag in ("latest", identity):
        docker.quietly("image", "rm", "--force", f"{host}/{name}:{tag}")
    return f"{host}/{name}@{digest}"


def show_answer(stack: Stack, image: str, docker: Docker) -> None:
    try:
        with step(f"pulled {image.split('@')[1][:19]}…"):
            docker("login", "--username=AWS", "--password-stdin", stack.ecr.host, data=stack.ecr.token().encode())
            docker("pull", "--quiet", image)
        with step("the container answered:") as notes:
            answer = answer_of(docker, image)
            notes.append(paint(answer, "bold"))
        if NAME not in answer:
            raise NotReady(f"the page does not greet {NAME}")
    finally:
        docker.quietly("image", "rm", "--force", image)


def demo(folder: Path) -> None:
    with step("built the worker"):
        run("cmake", "--preset", "release")
        run("cmake", "--build", "--preset", "release", "--target", "deployra-builder")
    engine = running_engine()
    stack = Stack(folder, engine)
    docker = Docker(stack.docker_host, folder)
    made_base = False
    try:
        which = "this machine's engine" if engine else "dockerd"
        with step(f"Redis, {which}, registry, git server and the platform's API run on loopback"):
            stack.start()
            if engine and not docker.has("busybox:latest"):
                docker("import", "-", "busybox:latest", data=base_image_tar())
                made_base = True
        deploy(stack, docker)
    finally:
        with step("cleaned up"):
            if made_base:
                docker.quietly("image", "rm", "busybox:latest")
            stack.stop()


def main() -> int:
    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="deployra-demo-"))
    try:
        demo(folder)
    except (NotReady, RuntimeError, OSError) as error:
        print(f"{paint('✗', 'bad')} {error}")
        log = folder / "worker" / "worker.log"
        if log.exists():
            print(f"\nThe end of the worker's log:\n{log.read_text(errors='replace')[-3000:]}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{paint('✓', 'good')} done in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
