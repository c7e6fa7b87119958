"""Plays the attack corpus (`attack_cases.py`): everything is queued at one worker and judged by what it was told to be and by
canaries, of which each is shown to sing when it is let."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import shutil
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import redis

from . import invariants
from .attack_cases import CANCELS, CASES, TRIGGERS, Case, Link, Program, Submodule, dockerfile, large_file, submodule_at
from .canary import Canary, GitOnThePath
from .git_server import PASSWORD, USER, Repository
from .hostile import Hostile
from .images import PATH, RegistryClient, busybox_layer
from .platform_api import API_KEY, Deployment
from .process import NotReady, wait_for
from .registry import SECRET
from .stack import REDIS_PASSWORD, Stack
from .worker import Worker

HOST_WORD, VICTIM_WORD = "seen-on-the-host-5Xq2", "seen-of-the-victim-8Lm4"
REGISTRY_LOGIN = "hostile-login-6Rt3"
# But for colours, no terminal obeys what a customer's log holds, and no reader is shown it in another order.
UNCLEAN = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
AT_ONCE = 4
LASTING = ("T4", "T17", "T18")  # Peers that are asked again and again: beside the others.
LONGEST = 300


def import_branches(git_folder: Path, branches: dict[str, tuple[str, dict[str, object]]]) -> None:
    """Each of one commit, by its message and its files; one run of git for all of them."""
    blobs: dict[bytes, int] = {}
    stream: list[bytes] = []

    def mark(content: bytes) -> bytes:
        if content not in blobs:
            blobs[content] = len(blobs) + 1
            stream.append(b"blob\nmark :%d\ndata %d\n%s\n" % (blobs[content], len(content), content))
        return b":%d" % blobs[content]

    for branch, (message, files) in branches.items():
        rows = []
        for path, value in files.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            match value:
                case Submodule(commit=commit):
                    mode, what = b"160000", commit.encode()
                case Link(target=target):
                    mode, what = b"120000", mark(target.encode())
                case Program(text=text):
                    mode, what = b"100755", mark(text.encode())
                case _:
                    mode, what = b"100644", mark(value if isinstance(value, bytes) else str(value).encode())
            rows.append(b"M %s %s %s\n" % (mode, what, quoted.encode()))
        stream.append(b"commit refs/heads/%s\ncommitter Test <test@example.test> 1700000000 +0000\ndata %d\n%s\n"
                      % (branch.encode(), len(message.encode()), message.encode()) + b"".join(rows))
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(git_folder)], check=True, env=Repository.env)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=git_folder, env=Repository.env, input=b"".join(stream), check=True)


@dataclass
class Played:
    case: Case
    identity: str
    fill: Filler

    @property
    def told(self) -> bool:
        """Whether the platform hears of it."""
        return not self.case.queued or bool(self.case.ends)


class Filler:
    """Puts the words of a scene into a case's texts."""

    def __init__(self, words: dict[str, str]) -> None:
        self.words = words

    def text(self, text: str) -> str:
        text = re.sub(r"<hash:([^<>]*(?:<key>)?[^<>]*)>", lambda found: hashlib.sha256(self.text(found[1]).encode()).hexdigest(), text)
        for word, value in self.words.items():
            text = text.replace(word, value)
        return text

    def any(self, value):  # type: ignore[no-untyped-def]
        match value:
            case str() | bytes() if (b"<" if isinstance(value, bytes) else "<") not in value:
                return value  # Megabytes, most of them.
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("latin-1")).encode("latin-1")
            case Link(target=text):
                return Link(self.text(text))
            case Program(text=text):
                return Program(self.text(text))
            case list():
                return [self.any(entry) for entry in value]
            case dict():
                return {self.any(key): self.any(entry) for key, entry in value.items()}
        return value


class Campaign:
    """The whole corpus on one engine."""

    def __init__(self, stack: Stack, folder: Path, cases: list[Case]) -> None:
        self.stack, self.folder = stack, folder
        self.nonce = secrets.token_hex(3)
        self.ran, self.host = folder / "ran", folder / "hostfolder" / "host"
        self.ran.mkdir(parents=True)
        self.host.parent.mkdir()
        self.host.write_text(f"{HOST_WORD}\n")
        self.canary, self.stranger = Canary(), Canary()
        self.hostile = Hostile(self.canary, self.stranger)
        self.git = GitOnThePath(folder / "git", str(shutil.which("git")))
        auths = folder / "auths.json"
        login = base64.b64encode(f"u:{REGISTRY_LOGIN}".encode()).decode()
        auths.write_text(json.dumps({"auths": {host: {"auth": login} for host in (
            f"127.0.0.1:{self.hostile.port}", stack.registry.host)}}))
        self.settings = {
            "GIT_NETWORK_POLICY": "public", "GIT_ALLOWED_HOSTS": "localhost", "MAX_PARALLEL_BUILDS": str(AT_ONCE),
            "REGISTRY_AUTHS_FILE": str(auths), "MAX_SOURCE_SIZE": "1GiB", "PATH": f"{self.git.folder}:{stack.worker('unused').environment['PATH']}"}
        self.worker: Worker | None = None
        self.repository, self.victim = f"corpus/{self.nonce}", f"victim{self.nonce}"
        self.played = [Played(case, f"{case.row.lower()}x{number}n{self.nonce}", Filler({})) for number, case in enumerate(cases)]
        self.dead = self.memory = 0

    def words(self, identity: str) -> dict[str, str]:
        host = f"{self.stack.ecr.host}/deployra/{self.victim}"
        image = f"{host}:{self.victim}"
        name, port = host.split("/")[0].split(":")
        return {"<key>": identity, "<canary>": f"127.0.0.1:{self.canary.port}", "<port>": str(self.canary.port),
                "<stranger>": f"localhost:{self.stranger.port}", "<hostile>": f"localhost:{self.hostile.port}",
                "<registry>": f"127.0.0.1:{self.hostile.port}", "<ran>": str(self.ran), "<hostfolder>": str(self.host.parent),
                "<host>": str(self.host), "<shared>": f"shared{self.nonce}", "<victim>": image,
                "<victim:broken>": image.replace("/deployra", "/deploy\\\nra"), "<victim:upper>": image.replace(name, "LOCALHOST"),
                "<victim:digest>": f"{host}@{self.victims_digest}",
                **{f"<trigger:{number}>": f"{self.stack.registry.host}/triggers/{self.nonce}:{number}" for number in range(len(TRIGGERS))},
                "<victim:dot>": image.replace(name, f"{name}."), "<victim:repository>": self.victims_repository.name,
                "<victim:commit>": self.victims_commit, "<victim:service>": self.victim,
                "<pointer>": Hostile.large_file(identity)[1], "<git>": self.forge}

    @property
    def forge(self) -> str:
        return self.stack.git.url.replace("127.0.0.1", "localhost")

    # Playing.

    def play(self) -> Campaign:
        stack = self.stack
        self.worker = stack.worker(f"attacked-{self.nonce}", **self.settings).start()
        self.make_victim()
        self.push_triggers()
        for each in self.played:
            each.fill = Filler(self.words(each.identity))
        import_branches(stack.git.root / f"{self.repository}.git", {
            each.identity: (each.case.message, each.fill.any(each.case.files)) for each in self.played if each.case.files})
        before, self.memory = self.dead_letters(), self.worker.memory("VmHWM")
        for each in sorted(self.played, key=lambda each: each.case.row not in LASTING):
            if each.case.queued:
                if each.told:
                    stack.api.deployments[each.identity] = Deployment(each.identity, each.identity)
                else:
                    self.dead += 1
                stack.redis.client.rpush("builder-queue", each.fill.text(each.case.queued).encode(errors="surrogateescape"))
                continue
            provider = stack.git.provider(url=each.fill.text(each.case.git) or self.forge)
            job = {"deploymentId": each.identity, "serviceId": each.identity, "branch": each.identity, "gitProvider": provider,
                   **each.fill.any(each.case.job)}
            stack.api.enqueue(stack.job(self.repository, **job))
        self.cancel_strangers()
        until = time.monotonic() + LONGEST
        for each in self.played:
            with contextlib.suppress(NotReady):  # It is judged like the others.
                if each.told:
                    stack.api.wait_end(each.identity, max(0.0, until - time.monotonic()))
        wait_for(lambda: self.dead_letters() - before >= self.dead, 20, "what nobody could read is put away")
        return self

    def dead_letters(self) -> int:
        return int(self.stack.redis.client.llen("{builder-queue}:dead"))  # type: ignore[arg-type]

    def make_victim(self) -> None:
        """A service with an image, caches and a private repository of its own."""
        shared = f"shared{self.nonce}"
        rows = (f"FROM busybox\nCOPY . /app\nRUN --mount=type=cache,id={shared},target=/v --mount=type=cache,target=/{shared} "
                f"echo found=$(cat /v/secret); echo {VICTIM_WORD} | tee /v/secret /{shared}/secret\nRUN echo {VICTIM_WORD} >/secret\n")
        self.victims_repository = self.stack.git.repository({"Dockerfile": rows}, name=f"victims/{self.nonce}")
        self.victims_commit = self.victims_repository.git("rev-parse", "HEAD")
        self.as_victim(self.victim)
        self.victims_digest = self.stack.ecr.digest_of(f"deployra/{self.victim}", self.victim)

    def push_triggers(self) -> None:
        """Base images that let those who build on them fetch what they may not."""
        fill = Filler(self.words("trigger"))
        for number, trigger in enumerate(TRIGGERS):
            RegistryClient(self.stack.registry.host).push_image(
                f"triggers/{self.nonce}:{number}", [busybox_layer()], {"Env": [PATH], "OnBuild": [fill.text(trigger)]})

    def as_victim(self, identity: str) -> str:
        job = self.stack.job(self.victims_repository.name, deploymentId=identity, serviceId=self.victim, branch="main",
                             gitProvider=self.stack.git.provider(url=self.forge))
        self.stack.api.enqueue(job)
        assert self.stack.api.wait_end(identity, 120) == "BUILDED", self.stack.api.log_text(identity)
        return self.stack.api.log_text(identity)

    def cancel_strangers(self) -> None:
        for each in self.played:
            if each.case.row == "T17":
                self.stack.api.wait_output(each.identity, f"running {each.identity}", 120)
                for text in CANCELS:
                    self.stack.redis.client.publish("builder:cancel", each.fill.text(text))

    # Judging.

    def breaches(self, each: Played) -> list[str]:
        found = self.sung(each.identity)
        if not each.told:
            return found + [f"posted to {entry.path}" for entry in self.stack.api.record if each.identity in entry.path]
        api = self.stack.api
        log, events = api.log_text(each.identity), api.deployments[each.identity].events
        told = "\n".join([log, *events])
        ends, says = each.case.outcome(self.stack.engine.name)  # type: ignore[union-attr]
        if not api.final_posts(each.identity):
            return [*found, f"did not end: {log[-3000:]}"]
        status = api.final_posts(each.identity)[-1]
        if ends and status != ends:
            found.append(f"is {status}, not {ends}")
        if says and not any(each.fill.text(says) in event for event in events):
            found.append(f"does not say {says!r}")
        found += [f"does not print {line!r}" for line in each.case.prints if status == "BUILDED" and not api.outputs(each.identity, each.fill.text(line))]
        found += [f"shows {text!r}" for text in each.case.hides if each.fill.text(text) in re.sub(r"echo [^\n]*", "", told)]
        found += self.leaked(told)
        if each.case.meets_hostile and not any(each.identity in request for request in self.hostile.seen):
            found.append("never came to the hostile server")
        if unclean := UNCLEAN.search(told):
            found.append(f"holds {unclean[0]!r} in {told[max(0, unclean.start() - 40):][:80]!r}")
        found += invariants.breaches(api, api.deployments[each.identity])
        return [f"{breach}; error: {events}; log: {log[-3000:]}" for breach in found]

    def sung(self, identity: str) -> list[str]:
        """What of this case a canary has seen."""
        found = [f"asked the canary for {path}" for path in self.canary.asked if identity in path]
        found += [f"ran: {path.name}" for path in self.ran.iterdir() if identity in path.name]
        return found + [f"git was run with {line}" for line in self.git.seen().splitlines() if f"mark-{identity}" in line]

    @staticmethod
    def leaked(text: str) -> list[str]:
        hashes = {hashlib.sha256(secret.encode()).hexdigest(): f"the hash of {secret!r}"
                  for secret in (API_KEY, SECRET, REDIS_PASSWORD, PASSWORD)}
        return [f"shows {name}" for word, name in {HOST_WORD: "the host's file", VICTIM_WORD: "the victim's word", **hashes}.items()
                if word in text]

    def strangers_saw(self) -> list[str]:
        """Credentials that went to another origin than their own."""
        token = self.stack.ecr.token()
        logins = {"git": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "git, percent": urllib.parse.quote(PASSWORD, safe=""),
                  "ECR": base64.b64encode(f"AWS:{token}".encode()).decode(), "token": token, "API": API_KEY, "AWS": SECRET, "Redis": REDIS_PASSWORD}
        return [f"{name} in {request!r}" for request in [*self.stranger.seen, *self.canary.seen] for name, login in logins.items()
                if login in request]

    # That the canaries can sing.

    def silent(self) -> list[str]:
        """The canaries that do not sing where another worker is allowed what the attacked one is not."""
        assert self.worker is not None
        self.worker.stop()
        words = f"FROM busybox\nRUN echo {HOST_WORD} {hashlib.sha256(API_KEY.encode()).hexdigest()}\n"
        files = {"add": dockerfile("ADD http://<canary>/<key> /x\n"), "from": {"Dockerfile": "FROM <canary>/<key>:1\n"},
                 "frontend": {"Dockerfile": "# syntax=<canary>/<key>:1\nFROM busybox\n"}, "large": large_file("http://<canary>/<key>"),
                 "submodule": submodule_at("http://<canary>/<key>.git"), "words": {"Dockerfile": words}}
        forges = {"git": "http://<canary>/<key>", "login": "http://<stranger>/login/<key>"}
        names = {kind: f"{kind}{self.nonce}" for kind in [*files, *forges]}
        fill = {kind: Filler(self.words(name)) for kind, name in names.items()}
        repository = f"controls/{self.nonce}"
        import_branches(self.stack.git.root / f"{repository}.git",
                        {names[kind]: ("first", fill[kind].any(content)) for kind, content in files.items()})
        worker = self.stack.worker(f"open-{self.nonce}", **{**self.settings, "GIT_NETWORK_POLICY": "any", "BUILD_NETWORK_POLICY": "any",
                                                            "FRONTENDS": "any"}).start()
        try:
            for kind, name in names.items():
                provider = self.stack.git.provider(url=fill[kind].text(forges.get(kind, self.forge)))
                self.stack.api.enqueue(self.stack.job(repository, deploymentId=name, serviceId=name, branch=name, gitProvider=provider))
            ends = {kind: self.stack.api.wait_end(name, 60) for kind, name in names.items()}
            self.victims_repository.commit({"again": ""})
            victim = self.as_victim(f"{self.victim}b")
        finally:
            worker.kill()
            shutil.rmtree(worker.work_dir, ignore_errors=True)
        asked = [kind for kind in names if kind not in ("login", "words") and not self.sung(names[kind])]
        told = self.stack.api.log_text(names["words"])
        return asked + [name for name, sings in {
            "words": ends["words"] == "BUILDED" and len(self.leaked(told)) == 2, "login": any("git in" in seen for seen in self.strangers_saw()),
            "cache": f"found={VICTIM_WORD}" in victim,
            "image": self.stack.output_of(self.victim, ["cat", "/secret"]) == f"{VICTIM_WORD}\n"}.items() if not sings]

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            shutil.rmtree(self.worker.work_dir, ignore_errors=True)
        for server in (self.canary, self.stranger, self.hostile):
            server.stop()
        with contextlib.suppress(redis.RedisError):
            self.stack.redis.client.delete("{builder-queue}:dead")


def cases_of(engine: str, first: str) -> list[Case]:
    """What does not depend on the engine runs on the first one alone."""
    return [case for case in CASES if (engine == first or not case.one) and not (case.by_policy and engine == "docker")]
