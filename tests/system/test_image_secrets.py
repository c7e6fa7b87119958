"""Secrets in finished images: found whatever way they came in, told with their place, and refused where the operator wants it."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse

import pytest
from kit import cnb
from kit.cnb import STATIC_APP
from kit.images import RegistryClient

KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ7fQx3v9Kz2\nTq8sLw1XmB5nR0cYd6hGpAeUoVfI4jZk\n-----END PRIVATE KEY-----"
# Twelve; of values with a form of their own the part that is the secret.
SECRETS = {"DATABASE_PASSWORD": "pl4nted/Db+9xKw&Zq", "QUOTED_SECRET": "a\"b\\c'd$e`f<g>h&i;j%k l8", "STRIPE_KEY": "sk_live_Kq7Zr2Wn5Tb8Yc4",
           "JWT_TOKEN": "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.Q7vR2mXk9TzLw", "NPM_TOKEN": "npm_7Hq2LzP9xWv4Tn8RkYb3", "SIGNING_KEY": KEY,
           "HEX_TOKEN": "9f86d081884c7d659a2feaa0c55ad015", "DATABASE_URL": "postgres://app:pl4ntedUrlPart77@db.internal/app",
           "SESSION_SECRET": "Zq7Xw2Vn5Tb8Yc4Mv1Kr6Pd", "SMTP_PASSWORD": "wdG-7kPz_Qm4.xT9", "API_KEY": "AIzaSyD9xKw7ZqT4mVn2Rb5",
           "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZ"}
PLANTED = {**SECRETS, "DATABASE_URL": "pl4ntedUrlPart77"}
VARIABLES = [{"key": key, "value": value} for key, value in SECRETS.items()]


def forms(secret: str) -> dict[str, str]:
    """As tools write them."""
    raw = secret.encode()
    phases = [base64.b64encode(b"xyz"[:before] + raw + b"z").decode() for before in range(3)]
    marked = re.compile(r"[<>&']")
    return {"plain": secret, "json": json.dumps({"k": secret}), "php-json": json.dumps(secret).replace("/", "\\/"),
            "go-json": marked.sub(lambda mark: f"\\u{ord(mark[0]):04x}", json.dumps(secret)), "percent": urllib.parse.quote(secret, safe=""),
            "lower-percent": re.sub("%..", lambda code: code[0].lower(), urllib.parse.quote(secret, safe="")),
            "component": urllib.parse.quote(secret, safe="!*'()"), "plus": urllib.parse.quote_plus(secret), "html": html.escape(secret),
            "html-numbers": html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"), "shell": shlex.quote(secret),
            "shell-backslashes": re.sub(r"([^\w\n.~-])", r"\\\1", secret), "shell-double": '"' + re.sub(r'(["$`\\])', r"\\\1", secret) + '"',
            "base64": phases[2], "base64-one": phases[1], "base64-none": phases[0], "url64": phases[2].replace("+", "-").replace("/", "_"),
            "wrapped": base64.encodebytes(b"x" * 47 + raw).decode(), "hex": raw.hex(), "HEX": raw.hex().upper(), "colons": raw.hex(":"),
            "blanks": raw.hex(" ").upper(), "dashes": raw.hex("-"), "escapes": "\\x" + raw.hex(":").replace(":", "\\x"),
            "numbers": "0x" + raw.hex(":").replace(":", ", 0x")}


def found(log: str) -> dict[str, str]:
    """By the variable."""
    return dict(re.findall(r"Secret in the image: variable (\w+) (.+)", log))


@pytest.fixture
def deploy(stack):
    def run(repository, end="BUILDED", **changes):
        identity = stack.api.enqueue(stack.job(repository.name, **{"environmentVariables": VARIABLES, **changes}))
        assert stack.api.wait_end(identity, 120) == end, stack.api.log_text(identity)
        return stack.api.log_text(identity)
    return run


def test_every_planted_secret_is_found_in_every_form_and_told_with_its_place(stack, make_worker, repo, deploy):
    worker = make_worker(LOG_LEVEL="debug")
    files = {f"all/{form}/{name}": text for name, secret in PLANTED.items() for form, text in forms(secret).items()}
    dockerfile = ("FROM busybox\nCOPY app.txt /app/\n# What is copied, made by a step, and what it deletes again.\n"
                  "COPY all/FORM /srv/copied\nRUN --mount=type=bind,target=/context cp -r /context/all/FORM /made\nRUN rm -r /srv/copied\n")
    repository = repo({"Dockerfile": dockerfile.replace("FORM", "plain"), "app.txt": "one\n", ".dockerignore": ".env\n", **files})
    for form in ("plain", "url64", "colons"):
        repository.commit({"Dockerfile": dockerfile.replace("FORM", form)})
        log = deploy(repository, serviceId="planted")
        told = found(log)
        assert set(told) == set(PLANTED), (form, log)
        assert told["STRIPE_KEY"].startswith(
            "in /srv/copied/STRIPE_KEY, layer 3 of 5 (line 4 of the Dockerfile: COPY"), told["STRIPE_KEY"]
        assert "and in 1 more place" in told["STRIPE_KEY"], told["STRIPE_KEY"]
        assert not any(secret in log for secret in PLANTED.values())
    searched = [int(count) for count in re.findall(r"searched \d+ of 5 layers .*?(\d+) bytes", worker.text())]
    assert len(searched) == 3 and max(searched[1:]) < searched[0], "the base is searched once"
    log = deploy(repository, serviceId="planted")
    assert set(found(log)) == set(PLANTED), "also in what was searched before"
    assert re.findall(r"searched 5 of 5 layers .*?(\d+) bytes", worker.text())[-1] == "0"
    assert worker.metric('deployra_builder_image_searches_total{result="secret"}') == 4


def test_no_form_of_a_planted_secret_gets_by_in_a_layer_in_what_the_image_says_or_in_the_log(make_worker, repo, deploy):
    # With `warn` a busy machine may not get through all layers in time.
    make_worker(SECRET_IN_IMAGE="refuse", SECRET_SEARCH_TIME="2m")
    written = {name: forms(secret) for name, secret in PLANTED.items()}
    of_files = {name: {**each, "utf16": PLANTED[name].encode("utf-16-le")} for name, each in written.items()}
    of_logs = {name: {**each, "coloured": "\x1b[1;31m".join(re.findall("..?", PLANTED[name]))} for name, each in written.items()}

    def rows(kind: str) -> str:
        """A Dockerfile has a value in one line; only a key's lines may be joined."""
        values = {f"{kind}{form}.{name}": text.replace("\n", " ") for name, each in written.items() for form, text in each.items() if form != "wrapped"}
        return "".join(f' \\\n  {key}="' + re.sub(r'(["$\\])', r"\\\1", value) + '"' for key, value in values.items())

    copies = "".join(f"COPY files/{form} /srv/{form}\n" for form in next(iter(of_files.values())))
    show = 'cd /context/log && for file in */*; do echo "<<$file"; cat "$file"; echo; echo ">>"; done'
    log = deploy(repo({
        "Dockerfile": f"FROM busybox\nRUN --mount=type=bind,target=/context {show}\n{copies}ENV{rows('')}\nLABEL{rows('org.example.')}\n", ".dockerignore": ".env\n",
        **{f"files/{form}/{name}": text for name, each in of_files.items() for form, text in each.items()},
        **{f"log/{form}/{name}": text for name, each in of_logs.items() for form, text in each.items()}}), "FAILED")

    # A layer, a variable and a label for each form; of the history the first step that has it.
    told = {name: int(more) + 1 for name, more in re.findall(r"Secret in the image: variable (\w+) .*, and in (\d+) more places", log)}
    assert told == {name: len(of_files[name]) + 2 * (len(written[name]) - 1) + 1 for name in PLANTED}, log[-3000:]
    shown = dict(re.findall(r"^<<([\w-]+/\w+)\n(.*?)\n>>$", log, re.MULTILINE | re.DOTALL))
    assert len(shown) == sum(map(len, of_logs.values()))
    left = [f"{place}: {text}" for place, text in shown.items() for form, name in [place.split("/")]
            if "[REDACTED]" not in text or any(line in text for line in of_logs[name][form].strip().splitlines()
                                               if not line.strip('"').startswith("-----"))]
    assert left == []


def test_what_the_image_says_of_itself_and_the_variables_file(stack, make_worker, repo, deploy):
    make_worker()
    repository = repo({"Dockerfile": "FROM busybox\nARG NPM_TOKEN\nENV COPIED=$NPM_TOKEN\nLABEL org.example.token=$NPM_TOKEN\n"
                                     "RUN echo \"$NPM_TOKEN\" > /token\nCOPY . /app\n"})
    job = {"serviceId": "itself", "environmentVariables": [*VARIABLES, {"key": "DEPLOYRA_BUILD_ARGS", "value": "NPM_TOKEN"}]}
    log = deploy(repository, **job)
    assert set(found(log)) == {"NPM_TOKEN"}
    assert found(log)["NPM_TOKEN"].startswith("in the image's variable COPIED, and in "), log
    once = [line for line in log.splitlines() if "The image holds /app/.env with secrets (" in line]
    assert len(once) == 1 and "--mount=type=secret" in once[0], log
    assert "/app/.env" not in deploy(repository, **job), "told once for a service"


def test_a_refused_image_never_becomes_latest(stack, make_worker, repo, deploy):
    make_worker(SECRET_IN_IMAGE="refuse", SECRET_VARIABLES="PLAIN_*,!STRIPE_KEY")
    variables = [*VARIABLES, {"key": "PLAIN_WORD", "value": "Xq7vR2mZk9TzLwP4sN8b"}]
    repository = repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", "ok.txt": SECRETS["STRIPE_KEY"]})
    log = deploy(repository, serviceId="refused", environmentVariables=variables)
    assert "Secret in the image" not in log and "/app/.env with secrets" in log, "the documented default is no refusal"
    latest = stack.ecr.digest_of("deployra/refused", "latest")
    repository.commit({"config.json": "Xq7vR2mZk9TzLwP4sN8b"})
    identity = stack.api.enqueue(stack.job(repository.name, serviceId="refused", environmentVariables=variables))
    assert stack.api.wait_end(identity, 120) == "FAILED"
    assert stack.api.error_of(identity) == ("The image holds a secret, so it is not deployed: variable PLAIN_WORD in /app/config.json, "
                                            "layer 2 of 2 (line 2 of the Dockerfile: COPY . /app)")
    assert stack.ecr.digest_of("deployra/refused", "latest") == latest
    assert RegistryClient(stack.registry.host).manifest("deployra/refused", "latest") is not None


def test_off_searches_nothing(make_worker, repo, deploy):
    worker = make_worker(SECRET_IN_IMAGE="off")
    log = deploy(repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", "key": SECRETS["STRIPE_KEY"]}))
    assert "ecret" not in log
    assert worker.metric("deployra_builder_image_searched_bytes_total") == 0


@pytest.mark.every_buildkit
def test_images_that_buildpacks_make_are_searched(stack, make_worker, repo, deploy):
    builder = cnb.push_builder(RegistryClient(stack.registry.host), cnb.Builder())
    make_worker(CNB_BUILDER=builder, CNB_NETWORK="host")
    log = deploy(repo({**STATIC_APP, "key.txt": SECRETS["STRIPE_KEY"]}))
    assert re.search(r"in /workspace/key.txt, layer \d of \d", found(log)["STRIPE_KEY"]), log
