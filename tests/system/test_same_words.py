"""Whichever engine builds, the customer reads the same line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.images import BUSYBOX, PATH, Layer, RegistryClient, busybox_layer
from kit.worker import Worker

pytestmark = pytest.mark.both_engines

B = "FROM busybox\n"
CASES = [
    {"Dockerfile": B + "RUN echo a && exit 7\n"},
    {"Dockerfile": B + "\nRUN echo a \\\n  && false\n"},
    {"Dockerfile": B + "RUN exit 137\n"},
    {"Dockerfile": "FROM busybox AS one\nCOPY --from=one /nothing /\n"},
    {"Dockerfile": ""},
    {"Dockerfile": "# nothing\n"},
    {"Dockerfile": "RUN true\n"},
    {"Dockerfile": B + "WORKDIR\n"},
    {"Dockerfile": "ARG A\nFROM ${A}\n"},
    {"Dockerfile": B + "ENV\n"},
    {"Dockerfile": B + "EXPOSE abc\n"},
    {"Dockerfile": B + "STOPSIGNAL BOGUS\n"},
    {"Dockerfile": B + "LABEL x\n"},
    {"Dockerfile": B + "ENV W=${V:?must}\n"},
    {"Dockerfile": B + "COPY --from=0 /a /b\n"},
    {"Dockerfile": B + "RUN echo > /x\nCOPY a.txt /x/f\n", "a.txt": "a"},
    {"Dockerfile": B + "RUN --mount=type=bind,source=a.txt,target=/bin/sh/x true\n", "a.txt": "a"},
]

# What a customer can act on, from every engine; None: that engine builds it.
SENTENCES = {
    "brackets": ({"Dockerfile": B + "COPY app/[id]/page.tsx /x/\n", "app/[id]/page.tsx": "page"},
                 'Dockerfile:2: "app/[id]/page.tsx" is there, but [ ] * ? \\ make a pattern here; write '
                 "app/[[]id]/page.tsx"),
    "brackets, strings": ({"Dockerfile": B + 'COPY ["app/[id]/page.tsx", "/y/"]\n', "app/[id]/page.tsx": "page"},
                          'Dockerfile:2: "app/[id]/page.tsx" is there, but [ ] * ? \\ make a pattern here; write '
                          "app/[[]id]/page.tsx"),
    "missing": ({"Dockerfile": B + "COPY missing.txt /\n"}, 'Dockerfile:2: "missing.txt" not found in the repository'),
    "missing of several": ({"Dockerfile": B + "ARG D=no\nCOPY a.txt ${D}/x.txt /x/\n", "a.txt": "a"},
                           'Dockerfile:3: "no/x.txt" not found in the repository'),
    "git": ({"Dockerfile": B + "COPY .git /src/.git\n", ".dockerignore": "nothing\n"},
            'Dockerfile:2: ".git" is never in the build here: a clone\'s .git is not part of the source; commit what '
            "the build needs of it (a version) as a file"),
    "git describe": ({"Dockerfile": B + "RUN echo 'fatal: not a git repository' >&2; exit 128\n"},
                     "Dockerfile:2: \"RUN echo 'fatal: not a git repository' >&2; exit 128\" failed with exit code "
                     "128: a clone's .git is never in the build here; commit the version as a file"),
    "default ignore file": ({"Dockerfile": B + "COPY tests /app/tests\n", "tests/t.txt": "t"},
                            "Dockerfile:2: \"tests\" is left out by the platform's default ignore file; a "
                            ".dockerignore of your own replaces it"),
    "own ignore file": ({"Dockerfile": B + "COPY dist/x /app\n", "dist/x": "x", ".dockerignore": "**\n!src\n"},
                        'Dockerfile:2: "dist/x" is left out by .dockerignore:1 ("**")'),
    "Dockerfile's ignore file": ({"Dockerfile": B + "COPY dist /app\n", "dist/x": "x",
                                  "Dockerfile.dockerignore": "# c\ndist\n"},
                                 'Dockerfile:2: "dist" is left out by Dockerfile.dockerignore:2 ("dist")'),
    "no pattern": ({"Dockerfile": B + "COPY . /app\n", ".dockerignore": "secret[\n"},
                   '.dockerignore:1: "secret[" is not a valid pattern: its [ ] or \\ is not closed; write [[] for a '
                   "plain ["),
    "lonely !": ({"Dockerfile": B + "COPY . /app\n", ".dockerignore": "a\n!\n"},
                 ".dockerignore:2: \"!\" is not a valid pattern: '!' needs a pattern behind it"),
    "case": ({"Dockerfile": B + "COPY Readme.md /x/\n", "README.md": "r"},
             'Dockerfile:2: "Readme.md" not found in the repository; did you mean "README.md"? (case counts)'),
    "outside": ({"Dockerfile": B + "COPY ../x /x/\n"},
                'Dockerfile:2: "../x" lies outside the repository; COPY and ADD take files below its root only'),
    "below a file": ({"Dockerfile": B + "COPY a.txt/x /x/\n", "a.txt": "a"},
                     'Dockerfile:2: "a.txt/x" not found: "a.txt" is a file'),
    "user": ({"Dockerfile": B + "USER app\nRUN echo hello\n"},
             'Dockerfile:3: user "app" of line 2 does not exist in the image; create it in a RUN before, or use its '
             "number"),
    "mount uid": ({"Dockerfile": B + "RUN --mount=type=cache,target=/x,uid=app true\n"},
                  'Dockerfile:2: a mount\'s uid and gid are numbers, not "app"'),
    "ssh": ({"Dockerfile": B + "RUN --mount=type=ssh,required=true ls\n"},
            "Dockerfile:2: builds here have no SSH agent and no SSH keys; take it over https, or commit it to the "
            "repository"),
    "secret": ({"Dockerfile": B + "RUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n"},
               'Dockerfile:2: the build needs the secret "token", and the service has no variable of that name'),
    "host network": ({"Dockerfile": B + "RUN --network=host echo hello\n"},
                     "Dockerfile:2: builds here may not use the host's network; remove --network=host"),
    "privileges": ({"Dockerfile": B + "RUN --security=insecure echo hello\n"},
                   "Dockerfile:2: builds here have no privileges; remove --security=insecure"),
    "UTF-16": ({"Dockerfile": b"\xff\xfe" + (B + "COPY . /app\n").encode("utf-16le")},
               "Dockerfile:1: the file is saved as UTF-16; save it as UTF-8"),
    "UTF-16, no mark": ({"Dockerfile": (B + "COPY . /app\n").encode("utf-16be")},
                        "Dockerfile:1: the file is saved as UTF-16; save it as UTF-8"),
    "long line": ({"Dockerfile": B + "RUN echo " + "x" * 70_000 + "\n"},
                  "Dockerfile:2: this line is longer than 65,535 bytes; put its content into a file and COPY it"),
    "dash": ({"Dockerfile": "FROM busybox AS app\nFROM busybox\nCOPY \u2013from=app /bin/sh /x/\n"},
             'Dockerfile:3: "\u2013from=app" begins with a typographic dash, not with two plain dashes; type '
             "--from=app"),
    "minus": ({"Dockerfile": B + "RUN \u2212\u2212mount=type=cache,target=/x true\n"},
              'Dockerfile:2: "\u2212\u2212mount=type=cache,target=/x" begins with a typographic dash, not with two '
              "plain dashes; type --mount=type=cache,target=/x"),
    "quotes": ({"Dockerfile": B + "COPY \u201ca b\u201d /x/\n"},
               'Dockerfile:2: \u201c is no quote here, and part of the path; type "'),
    "stage index": ({"Dockerfile": B + "COPY --from=9 /a /b\n"},
                    "Dockerfile:2: there is no stage 9 to copy from; the stages before this line are counted from 0"),
    "stage variable": ({"Dockerfile": B + "ARG S=x\nCOPY --from=$S /a /b\n"},
                       "Dockerfile:3: no variable can stand in --from; name a stage there, and let that be FROM the "
                       "variable"),
    "image name": ({"Dockerfile": "FROM Busybox\n"},
                   'Dockerfile:1: "Busybox" is no name of an image or stage: it has to be in lower case'),
    "keyword": ({"Dockerfile": B + "BOGUS x\n"}, "Dockerfile:2: unknown instruction: BOGUS"),
    "misspelt": ({"Dockerfile": B + "RUNN x\n"}, "Dockerfile:2: unknown instruction: RUNN; did you mean RUN?"),
    "not continued": ({"Dockerfile": B + "RUN true\n  && true\n"},
                      "Dockerfile:3: unknown instruction: &&; does the line before lack a \\ at its end?"),
    "flag": ({"Dockerfile": B + "COPY --form=x a /x\n"}, "Dockerfile:2: COPY has no flag --form; did you mean --from?"),
    "mount option": ({"Dockerfile": B + "RUN --mount=type=cache,targett=/x true\n"},
                     "Dockerfile:2: --mount has no option targett=; did you mean target=?"),
    "brace": ({"Dockerfile": B + "ENV W=${V\n"}, 'Dockerfile:2: "${V" lacks its closing brace }'),
    "no program": ({"Dockerfile": B + 'RUN ["/no/such/program"]\n'},
                   'Dockerfile:2: "RUN ["/no/such/program"]" could not start: /no/such/program is not in the image'),
    "no shell": ({"Dockerfile": "FROM $R/t/noshell\nRUN echo hello\n"},
                 'Dockerfile:2: "RUN echo hello" could not start: /bin/sh is not in the image'),
    "ONBUILD": ({"Dockerfile": "FROM $R/t/onbuild\nRUN echo child\n"},
                'Dockerfile:1: "RUN echo trigger && exit 4" (an ONBUILD of the base image) failed with exit code 4: '
                "trigger"),
    "ONBUILD COPY": ({"Dockerfile": "FROM $R/t/onbuildcopy\nRUN echo child\n"},
                     'Dockerfile:1: "package.json" not found in the repository (an ONBUILD of the base image wants '
                     "it)"),
    "frontend": ({"Dockerfile": "# syntax=$R/docker/no-such-frontend:1\n" + B},
                 'Dockerfile:1: the frontend "$R/docker/no-such-frontend:1" named by "# syntax=" does not exist or '
                 "needs a login"),
    "platform flag": ({"Dockerfile": "FROM --platform=linux/arm64 $R/t/arm\nCOPY . /app\n"},
                      "Dockerfile:1: --platform=linux/arm64 makes an image for linux/arm64, and the platform runs "
                      "linux/amd64; remove the flag"),
    "platform of a RUN": ({"Dockerfile": "FROM --platform=linux/arm64 $R/t/arm\nRUN true\n"},
                          "Dockerfile:1: --platform=linux/arm64 makes an image for linux/arm64, and the platform runs "
                          "linux/amd64; remove the flag"),
    "foreign base": ({"Dockerfile": "FROM $R/t/arm\nRUN true\n"},
                     'Dockerfile:2: "RUN true" could not start: /bin/sh of the image is not for linux/amd64; use a '
                     "base image that is"),
    "another reason": ({"Dockerfile": B + 'RUN echo "x = 1<<n" > /calc.py\nCOPY nothing.txt /\n'},
                       'Dockerfile:3: "nothing.txt" not found in the repository'),
}

# What only the oldest engine refuses, and how it is helped.
TOO_OLD = ("; begin the file with \"# syntax=docker/dockerfile:1\" or write it without")
NEWER = {
    "COPY --parents": "COPY --parents --exclude=*.md a /app/\n",
    "COPY --link": "COPY --link a /app/\n",
    "ADD --unpack": "ADD --unpack=true a /app/\n",
    "RUN --network": "RUN --network=none true\n",
    "HEALTHCHECK --start-interval": "HEALTHCHECK --start-interval=5s CMD true\n",
    "heredocs (<<)": "RUN <<EOF\ntrue\nEOF\n",
    "${V#v}": "ENV W=${V#v}\n",
    "the mount option size=": "RUN --mount=type=tmpfs,target=/x,size=1m true\n",
}


@pytest.fixture(scope="module")
def images(servers) -> str:
    """Base images of their own at the registry both engines reach."""
    registry = RegistryClient(servers.registry.host)
    alien = bytearray(BUSYBOX.read_bytes())
    alien[18] = 0xB7  # e_machine of the ELF header: aarch64
    registry.push_image("t/noshell", [Layer().file("/hello.txt", "x")], {"Env": [PATH]})
    registry.push_image("t/onbuild", [busybox_layer()], {"Env": [PATH], "OnBuild": ["RUN echo trigger && exit 4"]})
    registry.push_image("t/onbuildcopy", [busybox_layer()], {"Env": [PATH], "OnBuild": ["COPY package.json /app/"]})
    registry.push_image("t/arm", [Layer().folder("/bin").file("/bin/busybox", bytes(alien), 0o755)
                                  .link("/bin/sh", "busybox")], {"Env": [PATH]}, architecture="arm64")
    return servers.registry.host


@pytest.fixture(scope="module")
def builder(stack, tmp_path_factory) -> Iterator[Worker]:
    """One worker for all of these builds on one engine."""
    # Base images and frontends come from the registry on loopback.
    allowed = {"BUILD_NETWORK_POLICY": "any", "FRONTENDS": "any"}
    worker = Worker(tmp_path_factory.mktemp("same") / "worker", {**stack.environment, **allowed}).start()
    yield worker
    worker.stop()


def said_by(stack, name: str, **job: object) -> tuple[str, str]:
    """The failure's line or the status, and everything else the customer reads."""
    identity = stack.api.enqueue(stack.job(name, **job))
    status = stack.api.wait_end(identity, 120)
    log = stack.api.log_text(identity)
    assert str(stack.folder) not in log, log
    said = stack.api.error_of(identity) if status == "FAILED" else status
    assert len(said) <= 191
    return said, log


# What every engine said so far, by case.
SAID: dict[str, dict[str, str]] = {}


# What every engine said so far, by case.
SAID: dict[str, dict[str, str]] = {}


@pytest.mark.every_engine
@pytest.mark.parametrize("files", CASES, ids=lambda files: files["Dockerfile"].replace("\n", ";")[:60])
def test_every_engine_fails_with_the_same_words(stack, builder, repo, files):
    said = SAID.setdefault(str(files), {})
    said[stack.engine.name] = said_by(stack, repo(files).name)[0]
    assert len(set(said.values())) == 1, said
    assert "BUILDED" not in said.values()


@pytest.mark.parametrize("kind", SENTENCES)
def test_the_line_says_what_to_do(stack, builder, repo, images, kind):
    files, sentence = SENTENCES[kind]
    files = {name: text.replace("$R", images) if isinstance(text, str) else text for name, text in files.items()}
    assert said_by(stack, repo(files).name)[0] == sentence.replace("$R", images)


@pytest.mark.parametrize("what", NEWER)
def test_what_only_newer_engines_read_is_called_that(stack, builder, repo, what):
    name = repo({"Dockerfile": B + "ARG V=v1\n" + NEWER[what], "a/b.txt": "b", "a/c.md": "c"}).name
    said = said_by(stack, name)[0]
    is_old = stack.engine is stack.docker
    assert said == (f"Dockerfile:3: the build engine is too old for {what}{TOO_OLD}" if is_old else "BUILDED")


def test_a_dockerfile_below_the_root_is_told_where_paths_count_from(stack, builder, repo):
    name = repo({"apps/web/Dockerfile": B + "WORKDIR /app\nCOPY package.json ./\n", "apps/web/package.json": "{}"}).name
    said, log = said_by(stack, name, runtimeFilePath="/apps/web/Dockerfile")
    assert said == ('apps/web/Dockerfile:3: "package.json" not found: paths count from the repository\'s root, and it '
                    "is at apps/web/package.json")
    assert "is read as apps/web/Dockerfile" in log


def test_a_script_with_windows_line_ends_is_named(stack, builder, repo):
    repository = repo({"Dockerfile": B + "COPY . /app\nRUN /app/build.sh\n", "build.sh": "#!/bin/sh\r\necho\r\n"})
    (repository.work / "build.sh").chmod(0o755)
    repository.commit_all()
    assert said_by(stack, repository.name)[0] == (
        'Dockerfile:3: "RUN /app/build.sh" failed with exit code 127: build.sh has Windows line ends (CRLF); save it '
        "with LF")


def test_an_image_for_other_machines_is_a_failure(stack, builder, repo, images):
    name = repo({"Dockerfile": f"FROM {images}/t/arm\nCOPY . /app\n"}).name
    assert said_by(stack, name)[0] == (
        "Dockerfile:1: the base image is for linux/arm64, and the platform runs linux/amd64; use one that is built for "
        "linux/amd64")


def test_the_lower_case_file_is_built(stack, builder, repo):
    name = repo({"dockerfile": B + "COPY . /app\n", "a.txt": "one\n"}).name
    said, log = said_by(stack, name)
    assert said == "BUILDED" and "Building image from dockerfile" in log
    assert "using the platform's default one" in log


def test_variables_that_the_ignore_file_hides_are_warned_about(stack, builder, repo):
    name = repo({"Dockerfile": B + "COPY . /app\n", ".dockerignore": ".env\n"}).name
    said, log = said_by(stack, name, environmentVariables=[{"key": "A", "value": "b"}])
    assert said == "BUILDED" and ".dockerignore:1: \".env\" keeps .env out of the build" in log


def test_what_the_original_leaves_out_by_default_is_left_out(stack, builder, repo):
    left_out = {".env.production": "x", ".env.local": "x", "test/t": "t", "__tests__/t": "t", "a.tmp": "t"}
    name = repo({"Dockerfile": B + "COPY . /app\n", "a.txt": "a", **left_out}).name
    identity = stack.api.enqueue(stack.job(name, environmentVariables=[{"key": "A", "value": "b"}]))
    assert stack.api.wait_end(identity) == "BUILDED"
    assert stack.output_of(identity, ["sh", "-c", "ls -A /app"]).split() == [".env", "a.txt"]


def test_only_a_newer_engine_checks_what_the_file_asks_to_be_checked(stack, builder, repo):
    name = repo({"Dockerfile": "# check=error=true\nFROM busybox as app\nRUN echo x\n"}).name
    said = said_by(stack, name)[0]
    if stack.engine is stack.docker:
        assert said == "BUILDED"
    else:
        assert said == ('Dockerfile:2: "# check=error=true" makes this an error: FromAsCasing: \'as\' and \'FROM\' '
                        "keywords' casing do not match")


def test_too_many_layers_for_an_old_engine_are_called_that(stack, builder, repo):
    lines = "".join(f"COPY a.txt /{number}\n" for number in range(130))
    name = repo({"Dockerfile": B + lines, "a.txt": "a"}).name
    said, log = said_by(stack, name)
    if stack.engine is stack.docker:
        assert said.endswith(": the image has more than 125 layers here, which this engine cannot build; join RUN lines "
                             "with &&")
        assert "failed to prepare: max depth" in log
    else:
        assert said == "BUILDED"
