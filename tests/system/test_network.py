"""What a customer's wish may lead to, and what is told of where it may not: git's networks and those of RUN."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from kit.buildkitd import Buildkitd
from kit.images import RegistryClient
from kit.process import free_port, stopped_at_end, wait_for
from kit.stack import Stack


def deploy(stack, repository, url: str = "") -> tuple[str, str]:
    provider = stack.git.provider(url=url) if url else stack.git.provider()
    identity = stack.api.enqueue(stack.job(repository.name, gitProvider=provider))
    return identity, stack.api.wait_end(identity, 120)


@pytest.mark.parametrize("policy", ["public", "private"])
def test_a_forge_of_the_operators_is_asked_although_the_policy_refuses_it(stack, make_worker, repo, policy):
    for hosts in ("localhost,other.test", "127.0.0.1", "10.0.0.0/8, 127.0.0.0/8"):
        worker = make_worker(GIT_NETWORK_POLICY=policy, GIT_ALLOWED_HOSTS=hosts)
        url = stack.git.url.replace("127.0.0.1", "localhost") if hosts.startswith("localhost") else ""
        identity, status = deploy(stack, repo(), url)
        assert status == "BUILDED", stack.api.log_text(identity)
        assert "can be read on the way; use https" in stack.api.log_text(identity)
        worker.stop()
    make_worker(GIT_NETWORK_POLICY=policy, GIT_ALLOWED_HOSTS="localhost")
    identity, status = deploy(stack, repo())
    assert status == "FAILED" and "network policy" in stack.api.error_of(identity)


def test_a_list_that_cannot_be_meant_stops_the_start(make_worker):
    worker = make_worker(start=False, GIT_ALLOWED_HOSTS="git.example.com, https://forge.example.com")
    worker.start(ready=False)
    assert worker.wait() != 0
    assert "GIT_ALLOWED_HOSTS has 'https://forge.example.com', which is a URL: write its host alone" in worker.text()


def test_refusals_of_a_port_scan_are_all_alike(stack, make_worker, repo, canary):
    worker = make_worker(GIT_NETWORK_POLICY="public")
    repository = repo()
    hosts = {"open": f"127.0.0.1:{canary.port}", "git": f"127.0.0.1:{stack.git.port}", "closed": f"127.0.0.1:{free_port()}",
             "no route": "10.255.255.1:80", "metadata": "169.254.169.254:80", "documentation": "192.0.2.1:80",
             "nowhere": "240.0.0.1:80", "multicast": "224.0.0.1:80", "zero": "0.0.0.0:80", "name": f"localhost:{canary.port}",
             "no name": "nobody..test:80", "plain public": "8.8.8.8:80"}
    seen, took = {}, {}
    for kind, host in hosts.items():
        begin = time.monotonic()
        identity, status = deploy(stack, repository, f"http://{host}/git")
        took[kind] = time.monotonic() - begin
        text = "\n".join([status, *stack.api.statuses(identity), stack.api.error_of(identity), stack.api.log_text(identity)])
        assert "network policy" in text
        seen[kind] = text.replace(host.rpartition(":")[0], "HOST").replace(identity, "ID")
    assert {kind: text for kind, text in seen.items() if text != seen["open"]} == {}
    assert canary.asked == []
    # Nobody is waited for: connecting to no machine takes seconds, or minutes.
    assert max(took.values()) < 10, took
    for detail in ("http://127.0.0.1:", "http://10.255.255.1 has the address 10.255.255.1, which GIT_NETWORK_POLICY and "
                   "GIT_ALLOWED_HOSTS do not allow", "http://nobody..test is unknown to the resolver"):
        assert detail in worker.text()


@pytest.fixture(scope="module")
def isolated(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildkitd]:
    RegistryClient(servers.registry.host).push_base_image()
    daemon = Buildkitd(tmp_path_factory.mktemp("isolated"), {"docker.io": servers.registry.host}, isolated=True)
    with stopped_at_end(daemon):
        yield daemon.start()


@pytest.fixture(scope="module")
def shared(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildkitd]:
    RegistryClient(servers.registry.host).push_base_image()
    daemon = Buildkitd(tmp_path_factory.mktemp("shared"), {"docker.io": servers.registry.host})
    with stopped_at_end(daemon):
        yield daemon.start()


def engine(daemon: Buildkitd, **changes: str) -> dict[str, str]:
    return {"BUILDKIT_HOST": daemon.host, "DOCKER_HOST": "unix:///nonexistent/docker.sock", **changes}


def asks(canary) -> dict[str, str]:
    return {"Dockerfile": f"FROM busybox\nRUN wget -q -O - http://127.0.0.1:{canary.port}/{time.monotonic_ns()} || echo not-reached\n"}


SHARES = "RUN steps share the engine's own network (BUILD_NETWORK_ISOLATION)"


def test_a_buildkit_whose_steps_share_its_network_is_warned_of(stack, make_worker, repo, shared, canary):
    worker = make_worker(**engine(shared))
    status, text = worker.get("/readyz")
    assert status == 200 and text.startswith("ready\n") and f"warning: {SHARES}" in text
    assert "RUN steps of customers share the network of BuildKit v" in worker.text()
    identity, status = deploy(stack, repo(asks(canary)))
    assert status == "BUILDED", stack.api.log_text(identity)
    assert canary.asked, "what the warning is about"


def test_a_buildkit_whose_steps_share_its_network_gets_no_job_where_that_is_required(stack, make_worker, repo, shared, canary):
    worker = make_worker(start=False, **engine(shared, BUILD_NETWORK_ISOLATION="require"))
    worker.start(ready=False)
    identity = stack.api.enqueue(stack.job(repo(asks(canary)).name))
    wait_for(lambda: "BUILD_NETWORK_ISOLATION=require" in worker.not_ready(), 20, "refused")
    reason = next(line for line in worker.not_ready().splitlines() if line.startswith("engine: "))
    assert "share its own network" in reason and "--oci-worker-net=bridge or cni" in reason and "BUILDKIT_HOST" not in reason
    assert stack.api.statuses(identity) == [] and stack.redis.client.llen("builder-queue") == 1
    # It is built by a worker with another engine.
    worker.stop()
    make_worker()
    assert stack.api.wait_end(identity, 120) == "BUILDED"


def test_steps_with_a_network_of_their_own_satisfy_what_is_required(stack, make_worker, repo, isolated, canary):
    worker = make_worker(**engine(isolated, BUILD_NETWORK_ISOLATION="require"))
    status, text = worker.get("/readyz")
    assert status == 200 and SHARES not in text
    identity, status = deploy(stack, repo(asks(canary)))
    assert status == "BUILDED", stack.api.log_text(identity) + worker.text()[-2000:]
    assert stack.api.outputs(identity, "not-reached") and canary.asked == []


def test_an_engine_gives_its_steps_a_network_of_their_own(stack, make_worker, repo, canary):
    worker = make_worker(BUILD_NETWORK_ISOLATION="require")
    status, text = worker.get("/readyz")
    assert status == 200 and SHARES not in text
    identity, status = deploy(stack, repo(asks(canary)))
    assert status == "BUILDED", stack.api.log_text(identity)
    assert canary.asked == []


def test_what_is_required_excludes_buildpacks_in_the_engines_network(make_worker):
    worker = make_worker(start=False, BUILD_NETWORK_ISOLATION="require", CNB_NETWORK="host")
    worker.start(ready=False)
    assert worker.wait() != 0
    assert "BUILD_NETWORK_ISOLATION=require and CNB_NETWORK=host exclude each other" in worker.text()
