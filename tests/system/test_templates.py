"""Thirty templates of common frameworks, as their `create-…` tools and documents have them, get their build-time variables unchanged."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kit.engine import base_image_tar
from kit.images import RegistryClient

pytestmark = pytest.mark.one_engine

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
TOOLS = ("npm npx pnpm yarn bun deno corepack next vite astro nuxt remix ng gatsby nest tsc prisma sentry-cli pip python poetry uv bundle ruby "
         "composer git go cargo mvn dotnet mix addgroup adduser").split()
SHOP = "Shop & Söhne #1"
SETTINGS_XML = "<settings><servers><server>\n<id>acme</id><password>{}</password>\n</server></servers></settings>\n"
COMPOSER = '{"http-basic": {"packages.example.com": {"username": "ci", "password": "{}"}}}'


@dataclass
class Case:
    arrives: tuple[str, ...]  # Where: paths of the image, or `config`. All that the build is offered stands there, secrets by their digests.
    public: dict[str, str] = field(default_factory=dict)
    # What the variable is made of a random key, and what of it is the credential; empty: the key stands there itself.
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)  # Places where the template itself keeps secrets.
    listed: str = ""  # DEPLOYRA_BUILD_ARGS
    silent: set[str] = field(default_factory=set)  # Decide about the build, and stand nowhere.


def own(name: str, form: str = "{}") -> dict[str, tuple[str, str]]:
    return {name: (form, form)}


def within(name: str, form: str) -> dict[str, tuple[str, str]]:
    return {name: (form, "{}")}


API = "https://api.example.com/v1?a=1&b=2"
CASES = {
    "next": Case(("app/.next/static/chunks/page.js",), {"NEXT_PUBLIC_API_URL": API}, own("NPM_TOKEN", "npm_{}")),
    "vite-react": Case(("usr/share/nginx/html/assets/index.js",), {"VITE_API_URL": API, "VITE_APP_TITLE": SHOP}),
    "vite-vue": Case(("usr/share/nginx/html/assets/index.js",),
                     {"VITE_API_URL": API, "VITE_FIREBASE_API_KEY": "AIzaSyD9xKw7ZqT4mVn2Rb5"}),
    "astro": Case(("usr/local/apache2/htdocs/index.html",), {"PUBLIC_CMS_URL": API, "PUBLIC_SITE_NAME": SHOP}),
    "sveltekit": Case(("app/build/index.js",), {"PUBLIC_API_URL": API, "PUBLIC_SHOP_NAME": SHOP}, own("NPM_TOKEN", "npm_{}")),
    "nuxt": Case(("src/.output/server/index.mjs",), {"NUXT_PUBLIC_API_BASE": API}),
    "remix": Case(("myapp/build/client/assets/root.js", "myapp/build/client/.sentry"), {"VITE_SENTRY_ENVIRONMENT": "staging-eu"},
                  {**own("NPM_TOKEN", "npm_{}"), **own("SENTRY_AUTH_TOKEN", "sntrys_{}")}),
    "angular": Case(("usr/share/nginx/html/main.js",), {"NG_APP_API_URL": API, "BUILD_CONFIGURATION": "production"}),
    "gatsby": Case(("pub/app.js", "pub/page-data/app-data.json"), {"GATSBY_API_URL": API, "CONTENTFUL_SPACE_ID": "shop-space-7"},
                   own("CONTENTFUL_ACCESS_TOKEN")),
    "express": Case(("config", "usr/src/app/node_modules/.package-lock.json"), {"GIT_SHA": "0f3c2a9"},
                    within("NPMRC", "//packages.example.com/:_authToken={}\n")),
    "nest": Case(("config", "usr/src/app/node_modules/.prisma/client"), {"NODE_ENV": "production"},
                 own("DATABASE_URL", "postgres://app:{}@db.internal/app")),
    "fastify": Case(("app/node_modules/.package-lock.json",), {"NODE_VERSION": "22"}, own("NPM_TOKEN", "npm_{}"), {"history"}, "NPM_TOKEN",
                    {"NODE_VERSION"}),
    "hono": Case(("app/.env", "app/dist/index.js"), {"GREETING": SHOP}, within("NPM_CONFIG", "//packages.example.com/:_authToken={}\n"),
                 {"app/.env"}),
    "deno": Case(("config", "app/deno.lock"), {"GIT_REVISION": "0f3c2a9"}, within("DENO_AUTH_TOKENS", "{}@packages.example.com")),
    "bun": Case(("usr/src/app/dist/index.js",), {"PUBLIC_SHOP_URL": API}, own("BUN_AUTH_TOKEN")),
    "fastapi": Case(("config", "usr/local/lib/python3/site-packages/RECORD"), {"RELEASE": "2026.11.3"},
                    within("PIP_EXTRA_INDEX_URL", "https://ci:{}@packages.example.com/simple/")),
    "django": Case(("app/staticfiles/staticfiles.json", "app/staticfiles/.signed"), {"STATIC_URL": "https://cdn.example.com/static/"},
                   {**own("SECRET_KEY"), **within("PIP_CONF", "[global]\nextra-index-url = https://ci:{}@packages.example.com/simple/\n")}),
    "flask": Case(("config", "app/.venv/RECORD"), {"BUILD_DATE": "2026-11-30T07:00:00Z", "POETRY_HTTP_BASIC_ACME_USERNAME": "ci-reader"},
                  own("POETRY_HTTP_BASIC_ACME_PASSWORD")),
    "streamlit": Case(("app/.env", "app/.venv/RECORD"), {"APP_TITLE": SHOP}, own("UV_INDEX_ACME_PASSWORD"), {"app/.env"}),
    "rails": Case(("rails/public/assets/application.js", "rails/public/assets/.signed"), {"ASSET_HOST": "https://cdn.example.com"},
                  {**own("RAILS_MASTER_KEY"), **own("BUNDLE_GEMS__CONTRIBSYS__COM", "ci:{}")}),
    "sinatra": Case(("config", "usr/local/bundle/lock"), {"RACK_ENV": "production"}, own("GEM_TOKEN")),
    "laravel": Case(("var/www/html/public/build/assets/app.js", "var/www/html/vendor/composer/installed.json"),
                    {"VITE_APP_NAME": SHOP, "VITE_PUSHER_APP_KEY": "b7c1f0e29d"}, within("COMPOSER_AUTH", COMPOSER)),
    "symfony": Case(("app/.env.local.php", "app/vendor/composer/installed.json"), {"APP_ENV": "prod", "MAILER_FROM": SHOP},
                    {"APP_SECRET": ("{}", ""), **within("COMPOSER_AUTH", COMPOSER)}, {"app/.env", "app/.env.local.php"}),
    "go": Case(("docker-gs-ping",), {"VERSION": "v1.4.2"}),
    "gin": Case(("bin/server",), {"GIT_COMMIT": "0f3c2a9", "GOPRIVATE": "github.com/acme"}, own("GITHUB_TOKEN", "ghp_{}"), silent={"GOPRIVATE"}),
    "axum": Case(("usr/local/bin/app",), {"APP_VERSION": "1.4.2"}, own("CARGO_REGISTRIES_ACME_TOKEN")),
    "spring": Case(("app.jar",), {"APP_VERSION": "1.4.2"}, own("MAVEN_PASSWORD")),
    "quarkus": Case(("work/application",), {"QUARKUS_HTTP_ROOT_PATH": "/shop"}, within("MAVEN_SETTINGS", SETTINGS_XML)),
    "dotnet": Case(("app/WebApp.dll",), {"VERSION": "1.4.2", "BUILD_CONFIGURATION": "Debug"}, own("NUGET_TOKEN")),
    "phoenix": Case(("app/bin/server",), {"PHX_HOST": "shop.example.com"}, own("OBAN_AUTH_KEY")),
}


def key_of(template: str, name: str) -> str:
    return hashlib.sha256(f"{template} {name}".encode()).hexdigest()[:40]


def variables_of(template: str) -> dict[str, str]:
    """Beside what the build wants, a secret that no build asks for."""
    case = CASES[template]
    secrets = {name: form.replace("{}", key_of(template, name)) for name, (form, _) in case.secrets.items()}
    return {**case.public, **secrets, "SESSION_SECRET": key_of(template, "SESSION_SECRET"),
            **({"DEPLOYRA_BUILD_ARGS": case.listed} if case.listed else {})}


def bases_of(template: str) -> set[str]:
    """The images that it begins with, for the variables that it is built with."""
    text = (TEMPLATES / template / "Dockerfile").read_text()
    values = {**dict(re.findall(r"^ARG (\w+)=\"?([^\"\s]*)", text, re.MULTILINE)), **CASES[template].public}
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    names = {re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], name) for name in re.findall(r"^FROM (\S+)", text, re.MULTILINE)}
    return {name if ":" in name else f"{name}:latest" for name in names - stages}


@pytest.fixture
def bases(stack) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """All of them are one image, with the tools under their names."""
    stack.docker.make_base_image("templates:latest", base_image_tar((TEMPLATES / "build_tools.sh").read_bytes(), TOOLS))
    names = sorted({base for template in CASES for base in bases_of(template)})
    for name in names:
        repository, tag = name.rsplit(":", 1)
        stack.docker.json("POST", f"/images/templates:latest/tag?{urllib.parse.urlencode({'repo': repository, 'tag': tag})}")
    yield
    for name in [*names, "templates:latest"]:
        stack.docker.json("DELETE", f"/images/{name}?force=1")


class Image:
    def __init__(self, client: RegistryClient, service: str) -> None:
        repository = f"deployra/{service}"
        self.config = client.config(repository, "latest")
        self.files: dict[str, bytes] = {}
        manifest = client.manifest(repository, "latest")
        for layer in manifest["layers"][1:]:  # type: ignore[index]  # The first is the base's.
            status, _, data = client.call("GET", f"/v2/{repository}/blobs/{layer['digest']}")
            assert status == 200
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
                for entry in tar:
                    content = tar.extractfile(entry) if entry.isfile() else None
                    # Also what a later layer replaces.
                    self.files[entry.name] = self.files.get(entry.name, b"") + (content.read() if content else b"")

    def text(self, place: str) -> str:
        if place == "config":
            return json.dumps(self.config["config"], ensure_ascii=False)
        return self.files.get(place, b"").decode()

    def places_with(self, texts: list[str]) -> set[str]:
        wanted = [text.encode() for text in texts]
        about = {"config": json.dumps(self.config["config"]), "history": json.dumps(self.config["history"])}
        return {path for path, content in self.files.items() if any(text in content or text in path.encode() for text in wanted)} | {
            place for place, text in about.items() if any(key in text for key in texts)}


def faults_of(template: str, image: Image, log: str) -> Iterator[str]:
    case = CASES[template]
    arrived = "\n".join(map(image.text, case.arrives))
    wanted = {name: value for name, value in case.public.items() if name not in case.silent}
    for name, (_, form) in case.secrets.items():
        key = key_of(template, name)
        wanted[name] = "sha256:" + hashlib.sha256(form.replace("{}", key).encode()).hexdigest() if form else key
    yield from (f"{name} is not in {case.arrives}" for name, value in wanted.items() if value not in arrived)
    keys = [key_of(template, name) for name in [*case.secrets, "SESSION_SECRET"]]
    if (places := image.places_with(keys)) != case.kept:
        yield f"secrets are in {places}, not in {case.kept}"
    yield from (f"the log does not say that {place} has secrets" for place in case.kept if f"{place} " not in log and f"/{place}," not in log)
    if not case.kept and ("Secret in the image" in log or " with secrets (" in log):
        yield "the log tells of secrets in the image"
    yield from (f"the log shows {key}" for key in keys if key in log)


def test_thirty_templates_get_their_variables_and_keep_no_secret(stack, make_worker, bases):
    assert sorted(path.parent.name for path in TEMPLATES.glob("*/Dockerfile")) == sorted(CASES) and len(CASES) == 30
    make_worker(MAX_PARALLEL_BUILDS="6", LOG_LEVEL="info")
    deployed = {}
    for template in CASES:
        repository = stack.git.repository({})
        shutil.copytree(TEMPLATES / template, repository.work, dirs_exist_ok=True)
        repository.commit_all()
        deployed[template] = stack.api.enqueue(stack.job(repository.name, serviceId=f"template-{template}", environmentVariables=[
            {"key": name, "value": value} for name, value in variables_of(template).items()]))
    faults = []
    client = RegistryClient(stack.registry.host)
    for template, identity in deployed.items():
        end, log = stack.api.wait_end(identity, 180), stack.api.log_text(identity)
        faults += [f"{template}: {fault}" for fault in (
            faults_of(template, Image(client, f"template-{template}"), log) if end == "BUILDED"
            else [f"{end}, {stack.api.error_of(identity)}\n{log[-1500:]}"])]
    assert faults == [], "\n".join(faults)
