"""Nothing of one service reaches another, and no Dockerfile what only the builder's machine may: a victim and an attacker."""

from __future__ import annotations

import re

import pytest
from kit import cnb
from kit.cnb import NODE_APP
from kit.images import RegistryClient

pytestmark = pytest.mark.both_engines

NAMESPACE = "ARG BUILDKIT_CACHE_MOUNT_NS\nRUN echo \"ns=$BUILDKIT_CACHE_MOUNT_NS.\"\n"


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


def test_the_operator_may_open_the_loopback(stack, make_worker, repo, canary):
    make_worker(BUILD_NETWORK_POLICY="any")
    repository = repo({"Dockerfile": f"FROM busybox\nADD http://127.0.0.1:{canary.port}/x /x\nRUN cat /x\n"})
    assert "secret" in built(stack, repository, service(stack, "victim"))


def test_metadata_services_are_refused_always(stack, make_worker, repo):
    make_worker(BUILD_NETWORK_POLICY="any")
    error = refused(stack, repo({"Dockerfile": "FROM busybox\nADD http://169.254.169.254/latest/ /x\n"}), service(stack, "attacker"))
    assert error.startswith("Dockerfile:2: 169.254.169.254 cannot be fetched from here")
