"""Nothing of one service reaches another, and no Dockerfile what only the builder's machine may: a victim and an attacker."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit import cnb
from kit.cnb import NODE_APP
from kit.images import RegistryClient

pytestmark = pytest.mark.both_engines

NAMESPACE = "ARG BUILDKIT_CACHE_MOUNT_NS\nRUN echo \"ns=$BUILDKIT_CACHE_MOUNT_NS.\"\n"


class Canary:
    """A service on this machine's loopback that nobody's build may ask."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        canary = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                canary.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "6")
                self.end_headers()
                self.wfile.write(b"secret")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def canary() -> Iterator[Canary]:
    made = Canary()
    yield made
    made.server.shutdown()


def service(stack, who):
    """A name of its own for every test and engine: caches outlive tests."""
    stack.count += 1
    return f"{who}{stack.engine.name.replace('-', '')}{stack.count}x{stack.api.port}"


def deploy(stack, repository, of, **changes):
    identity = stack.api.enqueue(stack.job(repository.name, serviceId=of, **changes))
    return identity, stack.api.wait_end(identity, 120)


def built(stack, repository, of, **changes):
    identity, status = deploy(stack, repository, of, **changes)
    assert status == "BUILDED", stack.api.log_text(identity)
    return stack.api.log_text(identity)


def refused(stack, repository, of, **changes):
    identity, status = deploy(stack, repository, of, **changes)
    assert status == "FAILED", stack.api.log_text(identity)
    return stack.api.error_of(identity)


MOUNTS = {"by target": "type=cache,target=/c-{}", "by id": "type=cache,id=shared-{},target=/c",
          "locked": "type=cache,id=shared-{},target=/c,sharing=locked", "upwards": "type=cache,id=../{},target=/c"}


def cache_files(repo, mount, stamp):
    target = re.search(r"target=([^,]*)", mount)[1]
    return repo({"Dockerfile": f"FROM busybox\nARG X={stamp}\nRUN --mount={mount} echo found=$(cat {target}/left); echo {stamp} >{target}/left\n"})


@pytest.mark.every_engine
@pytest.mark.parametrize("kind", MOUNTS)
def test_cache_mounts_are_a_services_own(stack, worker, repo, kind):
    victim, attacker = service(stack, "victim"), service(stack, "attacker")
    mount = MOUNTS[kind].format(victim)
    assert "found=\n" in built(stack, cache_files(repo, mount, "victims"), victim)
    assert "found=\n" in built(stack, cache_files(repo, mount, "attackers"), attacker)
    assert "found=victims\n" in built(stack, cache_files(repo, mount, "again"), victim)


def test_cache_mounts_are_shared_where_the_operator_says_so(stack, make_worker, repo):
    make_worker(CACHE_SHARING="all")
    one, other = service(stack, "one"), service(stack, "other")
    mount = MOUNTS["by id"].format(one)
    built(stack, cache_files(repo, mount, "ones"), one)
    assert "found=ones\n" in built(stack, cache_files(repo, mount, "others"), other)


def test_an_organization_is_an_owner_at_a_host_with_an_account(stack, make_worker, repo):
    make_worker(CACHE_SHARING="organization")
    one, other = service(stack, "one"), service(stack, "other")
    mount = MOUNTS["by id"].format(one)
    built(stack, cache_files(repo, mount, "ones"), one)
    assert "found=ones\n" in built(stack, cache_files(repo, mount, "others"), other)


def test_a_build_knows_its_own_namespace_only_and_no_log_shows_it(stack, worker, repo):
    victim, attacker = service(stack, "victim"), service(stack, "attacker")
    repository = repo({"Dockerfile": "FROM busybox\n" + NAMESPACE + "RUN echo length=${#BUILDKIT_CACHE_MOUNT_NS} && "
                       "echo $BUILDKIT_CACHE_MOUNT_NS | md5sum >/sum && cat /sum\n"})
    sums = {}
    for who in (victim, attacker):
        log = built(stack, repository, who)
        assert "length=32\n" in log and not re.search(r"ns=[0-9a-f]", log), log
        sums[who] = re.search(r"([0-9a-f]{32})  -", log)[1]
    assert sums[victim] != sums[attacker]
    assert not re.search(r"ns=[0-9a-f]", worker.text())


def test_the_buildpacks_cache_is_out_of_reach_of_every_dockerfile(stack, make_worker, repo):
    builder = cnb.push_builder(RegistryClient(f"127.0.0.1:{stack.registry.port}"), cnb.Builder())
    make_worker(CNB_BUILDER=builder, CNB_NETWORK="host")
    victim, attacker = service(stack, "victim"), service(stack, "attacker")
    repository = repo(NODE_APP)
    stamp = built(stack, repository, victim).split("modules: installing ")[1].split()[0]
    for name in ("buildpacks", f"cnb-{victim}", f"/cnb-{victim}"):
        for who in (attacker, victim):
            poison = repo({"Dockerfile": f"FROM busybox\nRUN --mount=type=cache,id={name},target=/c : {name}; ls -A /c | grep -v poison; "
                           "echo found=$(ls -A /c | grep -c committed); rm -rf /c/*; echo x >/c/poison\n"})
            assert "found=0\n" in built(stack, poison, who)
    repository.commit({"public/index.html": "changed\n"})
    assert f"modules: restored {stamp}" in built(stack, repository, victim)


def test_a_broken_buildpacks_cache_is_mended(stack, make_worker, repo):
    builder = cnb.push_builder(RegistryClient(f"127.0.0.1:{stack.registry.port}"), cnb.Builder())
    make_worker(CNB_BUILDER=builder, CNB_NETWORK="host")
    victim, neighbour = service(stack, "victim"), service(stack, "neighbour")
    other = repo(NODE_APP)
    stamp = built(stack, other, neighbour).split("modules: installing ")[1].split()[0]
    repository = repo({**NODE_APP, "break-cache": ""})
    deploy(stack, repository, victim)
    repository.commit({"break-cache": None})
    log = built(stack, repository, victim)
    assert "What earlier builds left cannot be used; building without it" in log and "registry" not in log.lower()
    again = log.split("modules: installing ")[1].split()[0]
    repository.commit({"public/index.html": "changed\n"})
    assert f"modules: restored {again}" in built(stack, repository, victim)
    other.commit({"public/index.html": "changed\n"})
    assert f"modules: restored {stamp}" in built(stack, other, neighbour)


@pytest.mark.every_engine
@pytest.mark.parametrize("options", ["", ",sharing=locked"])
def test_a_step_made_with_one_services_cache_is_not_anothers(stack, worker, repo, options):
    victim, attacker = service(stack, "victim"), service(stack, "attacker")
    mount = f"--mount=type=cache,id=dep-{victim},target=/c{options}"
    poison = repo({"Dockerfile": f"FROM busybox\nRUN {mount} echo evil >/c/lib\n"})
    same = repo({"Dockerfile": f"FROM busybox\nRUN {mount} cat /c/lib >/lib.txt 2>/dev/null || echo clean >/lib.txt; cat /lib.txt\n"})
    built(stack, poison, attacker)
    assert "evil" in built(stack, same, attacker)
    for _ in range(2):
        identity, status = deploy(stack, same, victim)
        assert status == "BUILDED" and stack.output_of(identity, ["cat", "/lib.txt"]) == "clean\n"


@pytest.mark.parametrize("first", ["# syntax=evil/frontend:1", "#\fsyntax=evil/frontend:1", "// syntax=evil/frontend:1",
                                   "# escape=`\n#Syntax = evil/frontend:1", "#!x\n# syntax=evil/frontend:1"])
def test_a_frontend_that_is_not_listed_is_refused(stack, worker, repo, first):
    line = first.count("\n") + 1
    error = refused(stack, repo({"Dockerfile": f"{first}\nFROM busybox\n"}), service(stack, "attacker"))
    assert error == (f'Dockerfile:{line}: the frontend "evil/frontend:1" is not allowed here; use none or one of '
                     "docker/dockerfile, docker/dockerfile-upstream")


def test_a_dockerfile_behind_a_link_is_the_one_that_is_checked(stack, worker, repo):
    repository = repo({"deep/real": "# syntax=evil/frontend:1\nFROM busybox\n"})
    (repository.work / "Dockerfile").symlink_to("deep/real")
    repository.commit_all()
    assert "evil/frontend" in refused(stack, repository, service(stack, "attacker"))
    repository.commit({"deep/real": "FROM busybox\nRUN echo fine\n"})
    built(stack, repository, service(stack, "victim"))


def test_a_listed_frontend_is_named(stack, make_worker, repo):
    worker = make_worker(FRONTENDS=f"docker/dockerfile,{stack.ecr.host}/shared/front")
    repository = repo({"Dockerfile": f"# syntax={stack.ecr.host}/shared/front:1\nFROM busybox\n"})
    identity, status = deploy(stack, repository, service(stack, "victim"))
    assert status == "FAILED"  # There is no such image.
    assert f"The Dockerfile is read by the frontend {stack.ecr.host}/shared/front:1" in stack.api.log_text(identity)
    assert f"frontend {stack.ecr.host}/shared/front:1" in worker.text()


@pytest.mark.parametrize("source", ["http://127.0.0.1:{}/x", "http://localhost:{}/x", "http://user:pw@127.0.0.1:{}/x",
                                    "http://2130706433:{}/x", "http://0x7f.1:{}/x", "http://[::ffff:127.0.0.1]:{}/x",
                                    "http://127.0.0.1:{}/team/app.git"])
def test_what_listens_on_the_builders_loopback_is_not_fetched(stack, worker, repo, canary, source):
    url = source.format(canary.port)
    host = re.sub(r"^http://([^@/]*@)?(\[[^\]]*\]|[^:/]*).*", r"\2", url)
    error = refused(stack, repo({"Dockerfile": f"FROM busybox\nADD {url} /x/\n"}), service(stack, "attacker"))
    assert error == (f"Dockerfile:2: {host} cannot be fetched from here (network policy); use a public address, or put the "
                     "file into the repository")
    assert canary.asked == []


@pytest.mark.every_engine
def test_an_address_in_variables_is_refused_by_the_engine_or_not_taken(stack, worker, repo, canary):
    repository = repo({"Dockerfile": f"ARG P={canary.port}\nFROM busybox\nARG P={canary.port}\nARG H=127.0.0.1\nADD http://$H:$P/x /x\n"})
    error = refused(stack, repository, service(stack, "attacker"))
    assert canary.asked == []
    if stack.engine.name == "docker":
        assert error.startswith("Dockerfile:5: this build engine needs the address of an ADD written out")
    else:
        assert error == ("Dockerfile:5: 127.0.0.1 cannot be fetched from here (network policy); use a public address, or put "
                         "the file into the repository")


def test_the_operator_may_open_the_loopback(stack, make_worker, repo, canary):
    make_worker(BUILD_NETWORK_POLICY="any")
    repository = repo({"Dockerfile": f"FROM busybox\nADD http://127.0.0.1:{canary.port}/x /x\nRUN cat /x\n"})
    assert "secret" in built(stack, repository, service(stack, "victim"))


def test_metadata_services_are_refused_always(stack, make_worker, repo):
    make_worker(BUILD_NETWORK_POLICY="any")
    error = refused(stack, repo({"Dockerfile": "FROM busybox\nADD http://169.254.169.254/latest/ /x\n"}), service(stack, "attacker"))
    assert error.startswith("Dockerfile:2: 169.254.169.254 cannot be fetched from here")


def test_a_registry_on_the_loopback_is_no_base_image(stack, worker, repo, canary):
    error = refused(stack, repo({"Dockerfile": f"FROM 127.0.0.1:{canary.port}/x:1\n"}), service(stack, "attacker"))
    assert error == ("Dockerfile:1: images of the registry 127.0.0.1 cannot be used here (network policy); use one with a "
                     "public address")
    assert canary.asked == []
