"""What the files of an image are dated, and what follows from it: at web servers, at make, at the engine's copy of the source."""

from __future__ import annotations

import http.client
import http.server
import io
import functools
import os
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.process import Server, free_port, port_open

pytestmark = pytest.mark.every_buildkit

DOCKERFILE = "FROM busybox\nCOPY . /app\n"


@dataclass(frozen=True)
class File:
    time: int
    content: bytes | str


def deploy(stack, repository, service, status="BUILDED", **changes):
    identity = stack.api.enqueue(stack.job(repository.name, serviceId=service, **changes))
    assert stack.api.wait_end(identity, 120) == status, stack.api.log_text(identity)
    return identity


def layers(stack, identity):
    name = f"deployra/{stack.api.deployments[identity].service}"
    for layer in stack.ecr.manifest(name, identity)["layers"]:
        yield tarfile.open(fileobj=io.BytesIO(stack.ecr.blob_url(f"{name}/blobs/{layer['digest']}")))


def files(stack, identity):
    """The files and links below /app in the image of a deployment, as the registry has them."""
    found = {}
    for tar in layers(stack, identity):
        for entry in tar:
            if entry.name.startswith("app/") and not entry.isdir():
                assert entry.mtime == int(entry.mtime)
                content = entry.linkname if entry.issym() else tar.extractfile(entry).read()
                found[entry.name.removeprefix("app/")] = File(int(entry.mtime), content)
    return found


def unpack(stack, identity, folder):
    for tar in layers(stack, identity):
        tar.extractall(folder, [entry for entry in tar if entry.name.split("/")[0] == "app"])
    return folder / "app"


def at(repository, seconds):
    """The next commits are made at this time."""
    repository.env = {**repository.env, "GIT_COMMITTER_DATE": f"@{seconds} +0000"}


def test_what_changed_is_seconds_later_and_what_did_not_stays(stack, worker, repo):
    repository = repo({"Dockerfile": DOCKERFILE, "page": "10 EUR", "lib/big": os.urandom(300_000), "run.sh": "#!/bin/sh\n", "lib/small": "s",
                       "gone": "g"})
    at(repository, 1_700_000_500)
    (repository.work / "link").symlink_to("page")
    old = repository.commit_all()
    service, other = f"times-{stack.job('x')['serviceId']}", f"other-{stack.job('x')['serviceId']}"
    first = files(stack, deploy(stack, repository, service, environmentVariables=[{"key": "A", "value": "1"}]))
    assert {file.time for file in first.values()} == {1_700_000_500}
    assert ".env" in first

    at(repository, 1_690_000_000)  # The clock of who commits may be wrong.
    (repository.work / "link").unlink()
    (repository.work / "link").symlink_to("gone")
    (repository.work / "run.sh").chmod(0o755)
    new = repository.commit({"page": "20 EUR", "gone": None})
    sent = worker.metric("deployra_builder_context_bytes_total")
    second = files(stack, deploy(stack, repository, service, environmentVariables=[{"key": "A", "value": "2"}]))
    assert worker.metric("deployra_builder_context_bytes_total") - sent < 10_000, "what did not change is not sent"
    for path in ("page", "link", "run.sh", ".env"):
        assert second[path].time == 1_700_000_501, path
    for path in ("lib/big", "lib/small"):
        assert second[path] == first[path]
    assert second["page"].content == b"20 EUR" and "gone" not in second

    # Back to what there was: newer than all of it, whatever the commit's date is.
    repository.git("checkout", "--quiet", old, "--", ".")
    repository.commit({"note": "reverted"})
    environment = [{"key": "A", "value": "1"}]
    back = files(stack, deploy(stack, repository, service, environmentVariables=environment))
    for path in ("page", "link", "run.sh", ".env", "gone", "note"):
        assert back[path].time == 1_700_000_502, path
    for path in ("lib/big", "lib/small"):
        assert back[path] == first[path]
    assert back["page"].content == b"10 EUR"

    # A step that the engine has in its cache is what it was, dates included.
    built = [*environment, {"key": "DEPLOYRA_BUILD_FORCE", "value": "true"}]
    cached = deploy(stack, repository, service, commitSha=old, environmentVariables=built)
    assert "CACHED" in stack.api.log_text(cached)
    assert files(stack, cached) == first

    # A service of its own knows nothing of this one.
    assert {file.time for file in files(stack, deploy(stack, repository, other, commitSha=new)).values()} == {1_690_000_000}


def test_browsers_get_the_new_page(stack, worker, repo, tmp_path):
    repository = repo({"Dockerfile": DOCKERFILE, "index.html": "<h1>price 10 EUR</h1>\n", "app.js": "v=1\n"})
    service = f"pages-{stack.job('x')['serviceId']}"
    before = unpack(stack, deploy(stack, repository, service), tmp_path / "before")
    repository.commit({"index.html": "<h1>price 20 EUR</h1>\n"})
    after = unpack(stack, deploy(stack, repository, service), tmp_path / "after")
    current = tmp_path / "current"

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(current))
    python = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=python.serve_forever, daemon=True).start()
    nginx, port, folder = Server("nginx-pages", tmp_path / "nginx"), free_port(), tmp_path / "nginx"
    config = folder / "nginx.conf"
    config.write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        f"server {{ listen 127.0.0.1:{port}; root {current}; }} }}\n")

    def get(where, path, headers):
        connection = http.client.HTTPConnection("127.0.0.1", where, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {"If-Modified-Since": answer.getheader("Last-Modified"),
                               **({"If-None-Match": answer.getheader("ETag")} if answer.getheader("ETag") else {})}

    try:
        current.symlink_to(before)
        nginx.launch(["nginx", "-c", str(config), "-e", str(folder / "error.log"), "-p", str(folder)], lambda: port_open(port))
        known = {(where, path): get(where, path, {})[1]
                 for where in (python.server_port, port) for path in ("/index.html", "/app.js")}
        current.unlink()
        current.symlink_to(after)
        for (where, path), headers in known.items():
            assert get(where, path, headers)[0] == (200 if path == "/index.html" else 304), (where, path)
    finally:
        nginx.end()
        python.shutdown()
        python.server_close()


def test_no_generated_file_is_older_than_its_source(stack, worker, repo):
    # As make compares: to the nanosecond, in the build.
    names = [f"parser{number}.{kind}" for number in range(8) for kind in ("y", "c")]
    repository = repo({name: f"content of {name}" for name in names} | {
        "Dockerfile": "FROM busybox\nCOPY . /app\nWORKDIR /app\n"
                      "RUN for f in parser*; do find . -type f -name 'parser*' -newer $f; done > /newer; ! test -s /newer\n"})
    service = f"make-{stack.job('x')['serviceId']}"
    deploy(stack, repository, service)
    repository.commit({"other.txt": "1"})
    deploy(stack, repository, service)
    repository.commit({name: f"changed {name}" for name in names})
    deploy(stack, repository, service)


def test_every_worker_gives_a_commit_the_same_times(stack, make_worker, repo):
    repository = repo({"Dockerfile": DOCKERFILE, "a": "1", "b": "1"})
    service = f"same-{stack.job('x')['serviceId']}"
    first = make_worker()
    at(repository, 1_700_000_500)
    repository.commit({})
    deploy(stack, repository, service)
    at(repository, 1_700_000_900)
    repository.commit({"a": "2"})
    then = deploy(stack, repository, service)
    assert first.stop() == 0
    make_worker()  # With neither a mirror nor anything else in its folder.
    again = deploy(stack, repository, service)
    assert files(stack, again) == files(stack, then)
    assert files(stack, again)["a"].time == 1_700_000_900
    name = f"deployra/{service}"
    assert stack.ecr.digest_of(name, again) == stack.ecr.digest_of(name, then)


def test_a_lost_record_never_leaves_old_content(stack, worker, repo):
    repository = repo({"Dockerfile": DOCKERFILE, "page": "10 EUR", "same": "x"})
    at(repository, 1_700_000_500)
    repository.commit({})
    service = f"lost-{stack.job('x')['serviceId']}"
    for price in ("20 EUR", "30 EUR", "10 EUR"):
        stack.redis.client.delete("{builder-queue}:times")  # The engine's copy of the source is still there.
        repository.commit({"page": price})
        found = files(stack, deploy(stack, repository, service))
        assert found["page"] == File(1_700_000_500, price.encode())
        assert found["same"].time == 1_700_000_500


@pytest.mark.one_engine
def test_files_that_a_checkout_converts_follow_the_same_rule(stack, worker, repo):
    repository = repo({"Dockerfile": DOCKERFILE, ".gitattributes": "*.txt eol=crlf\n", "a.txt": "1\n", "b.txt": "1\n"})
    at(repository, 1_700_000_500)
    repository.commit({})
    service = f"crlf-{stack.job('x')['serviceId']}"
    first = files(stack, deploy(stack, repository, service))
    assert first["b.txt"] == File(1_700_000_500, b"1\r\n")
    repository.commit({"a.txt": "2\n"})
    then = files(stack, deploy(stack, repository, service))
    assert then["a.txt"] == File(1_700_000_501, b"2\r\n")
    assert then["b.txt"] == first["b.txt"]
    repository.commit({".gitattributes": "*.txt eol=lf ident\n"})
    last = files(stack, deploy(stack, repository, service))
    assert last["b.txt"] == File(1_700_000_502, b"1\n")
