"""What Redis does to its clients, row by row, and the ways to reach it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from kit.process import Server, free_port, wait_for
from kit.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
NO_USER = {"REDIS_USERNAME": "", "REDIS_PASSWORD": ""}


def builds(stack, repo) -> str:
    identity = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(identity) == "BUILDED"
    return identity


def slow(seconds: int) -> dict[str, str]:
    """A step that no engine knows already: it would be over at once."""
    return {"Dockerfile": f"FROM busybox\nRUN : {time.monotonic_ns()} && echo now-running && sleep {seconds}\n"}


def settled(stack) -> None:
    wait_for(lambda: stack.redis.unfinished() == [], 20, "settled")


@pytest.fixture
def user(stack):
    """Makes an ACL user with the given rights; gives the environment of a worker that uses it."""
    made: list[str] = []

    def make(*rights: str) -> dict[str, str]:
        name = f"user{time.monotonic_ns()}"
        made.append(name)
        stack.redis.client.execute_command("ACL", "SETUSER", name, "on", ">secret-of-user", *rights)
        return {"REDIS_USERNAME": name, "REDIS_PASSWORD": "secret-of-user"}

    yield make
    for name in made:
        stack.redis.client.execute_command("ACL", "DELUSER", name)


def documented_rights() -> list[str]:
    text = (ROOT / "docs" / "protocol.md").read_text()
    command = re.search(r"ACL SETUSER builder on >password (.*?)```", text, re.S)
    assert command
    return command[1].split()


def test_the_documented_rights_suffice(stack, make_worker, repo, user):
    worker = make_worker(**user(*documented_rights()))
    wait_for(lambda: 'queue_guarantee{level="A"} 1' in worker.get("/metrics")[1], 10, "guarantee A")
    builds(stack, repo)
    running = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1025\n"}).name))
    stack.api.wait_output(running, "now-running")
    stack.api.cancel(running)
    assert stack.api.wait_end(running) == "CANCELLED"
    settled(stack)
    assert worker.stop() == 0
    assert "NOPERM" not in worker.text() and "can't run this command" not in worker.text()


def test_without_blmove_the_queue_is_polled(stack, make_worker, repo, user):
    worker = make_worker(**user(*documented_rights(), "-blmove"))
    wait_for(lambda: "guarantee B" in worker.text(), 10, "said")
    builds(stack, repo)


def test_without_eval_nothing_is_taken_until_it_is_allowed(stack, make_worker, repo, user):
    rights = user(*documented_rights(), "-eval", "-evalsha")
    worker = make_worker(start=False, **rights).start(ready=False)
    wait_for(lambda: "allow EVAL" in worker.get("/readyz")[1], 20, "said why")
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+eval", "+evalsha")
    assert stack.api.wait_end(identity) == "BUILDED"


def test_a_wrong_password_is_waited_out(stack, make_worker, repo, user):
    rights = user(*documented_rights())
    worker = make_worker(start=False, **{**rights, "REDIS_PASSWORD": "not-yet-known"}).start(ready=False)
    wait_for(lambda: "WRONGPASS" in worker.get("/readyz")[1], 20, "said why")
    assert "not-yet-known" not in worker.text()
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], ">not-yet-known")
    wait_for(worker.is_ready, 20, "ready")
    builds(stack, repo)


def test_a_flushed_script_cache(stack, worker, repo):
    builds(stack, repo)
    stack.redis.client.script_flush()
    builds(stack, repo)


def test_killed_connections(stack, worker, repo):
    for kind in ("normal", "pubsub", "normal"):
        stack.redis.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        builds(stack, repo)


def test_an_empty_redis_after_a_restart(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(slow(5)).name))
    stack.api.wait_output(identity, "now-running")
    stack.redis.client.flushdb()
    builds(stack, repo)
    assert "was taken away" in worker.text()


def test_a_restart_that_forgets_what_scripts_wrote(stack, worker, repo, monkeypatch):
    """`user default off`: groups of writes are dropped when the append-only file is loaded (redis/redis#14541)."""
    ended: dict[str, float] = {}

    def note(identity: str, status: str) -> None:
        if status == "BUILDED":
            ended[identity] = stack.redis.client.zscore("{builder-queue}:seen", identity)

    monkeypatch.setattr(stack.api, "on_status", note)
    first = builds(stack, repo)
    settled(stack)
    # A single write behind the settling guards it.
    wait_for(lambda: stack.redis.client.zscore("{builder-queue}:seen", first) != ended[first], 10, "remembered")
    stack.redis.restart()
    builds(stack, repo)
    settled(stack)
    assert stack.api.statuses(first) == ["BUILDING", "BUILDED"]
    wait_for(lambda: "drops what scripts wrote" in worker.text(), 20, "the operator is told")


def test_what_ended_weeks_ago_is_not_built_again(stack, worker, repo):
    """An element that an old state of Redis brings back."""
    job = stack.job(repo().name)
    identity = stack.api.enqueue(job)
    assert stack.api.wait_end(identity) == "BUILDED"
    settled(stack)
    seen = "{builder-queue}:seen"
    left = stack.redis.client.zscore(seen, identity) / 1000 - time.time()
    assert left > 170 * 86400
    stack.redis.client.zadd(seen, {identity: (time.time() + 60) * 1000})
    stack.api.enqueue(job)
    builds(stack, repo)
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


@pytest.mark.parametrize("worker_lives", [True, False])
def test_what_a_backup_of_redis_brings_back_is_not_built_again(stack, make_worker, repo, worker_lives):
    """The state is of before the deployments were taken: only the registry knows that they were built."""
    worker = make_worker(LEASE_TIME="3s")
    jobs = [stack.job(repo().name) for _ in range(3)]
    old = [stack.api.enqueue(job) for job in jobs]
    assert [stack.api.wait_end(identity) for identity in old] == ["BUILDED"] * 3
    settled(stack)
    if worker_lives:
        worker.process.send_signal(signal.SIGSTOP)  # It sees no other start of Redis with the old state.
    else:
        assert worker.stop() == 0
    # By name: this Redis forgets at its restart what scripts have emptied.
    stack.redis.client.delete("{builder-queue}:stage", *stack.redis.client.keys("{builder-queue}:*"))
    for job in jobs:
        stack.api.enqueue(job)
    stack.redis.restart()
    if worker_lives:
        worker.process.send_signal(signal.SIGCONT)
    else:
        worker = make_worker(LEASE_TIME="3s")
    builds(stack, repo)
    settled(stack)
    assert [stack.api.statuses(identity) for identity in old] == [["BUILDING", "BUILDED"]] * 3
    assert "were built before" in worker.text()
    assert 'dead_letters_total{reason="built_before"} 3' in worker.get("/metrics")[1]


def test_the_memory_of_what_ended_has_an_end(stack, worker, repo):
    seen, fin = "{builder-queue}:seen", "{builder-queue}:fin"
    end = (time.time() + 86400) * 1000
    stack.redis.client.zadd(seen, {f"old{number}": end + number for number in range(100_010)})
    stack.redis.client.hset(fin, mapping={f"old{number}": "BUILDED" for number in range(100)})
    wait_for(lambda: stack.redis.client.zcard(seen) == 100_000, 20, "trimmed")
    assert stack.redis.client.hlen(fin) == 90 and stack.redis.client.zscore(seen, "old10")
    builds(stack, repo)


def test_a_restart_that_forgets_what_is_built(stack, make_worker, repo):
    """The lease is there afterwards, the job is in the queue again; with one slot the worker hears of it while it builds."""
    worker = make_worker(MAX_PARALLEL_BUILDS="1", LEASE_TIME="6s")
    identity = stack.api.enqueue(stack.job(repo(slow(12)).name))
    stack.api.wait_output(identity, "now-running")
    stack.redis.restart()
    wait_for(lambda: "does not know any more" in worker.text(), 20, "forgotten")
    assert stack.api.wait_end(identity) == "BUILDED"
    settled(stack)
    builds(stack, repo)


def test_a_master_that_becomes_a_replica_for_a_while(stack, worker, repo):
    stack.redis.client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    identity = None
    try:
        wait_for(lambda: "READONLY" in worker.text(), 30, "noticed")
    finally:
        stack.redis.client.execute_command("REPLICAOF", "NO", "ONE")
    identity = builds(stack, repo)
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]


def test_out_of_memory_jobs_still_end(stack, worker, repo):
    identity = stack.api.enqueue(stack.job(repo(slow(3)).name))
    stack.api.wait_output(identity, "now-running")
    stack.redis.client.config_set("maxmemory", 1)
    try:
        assert stack.api.wait_end(identity) == "BUILDED"
        wait_for(lambda: stack.redis.client.hlen("{builder-queue}:own") == 0, 20, "ended in Redis")
    finally:
        stack.redis.client.config_set("maxmemory", 0)
    builds(stack, repo)


def test_an_eviction_policy_that_loses_jobs_is_called_out(stack, make_worker):
    stack.redis.client.config_set("maxmemory", 1 << 30)
    stack.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        worker = make_worker()
        wait_for(lambda: "set maxmemory-policy to noeviction" in worker.text(), 10, "warned")
        # It takes jobs all the same.
        assert worker.warnings() == ["Redis may throw the queue away when memory is short: set maxmemory-policy to "
                                     "noeviction, it is allkeys-lru"]
        assert worker.metric("deployra_builder_queue_evictable") == 1
    finally:
        stack.redis.client.config_set("maxmemory-policy", "noeviction")
        stack.redis.client.config_set("maxmemory", 0)
    wait_for(lambda: worker.warnings() == [], 30, "mended")
    assert worker.metric("deployra_builder_queue_evictable") == 0


def test_a_redis_that_hangs(stack, worker, repo):
    assert stack.redis.server.process is not None
    os.kill(stack.redis.server.process.pid, signal.SIGSTOP)
    try:
        time.sleep(8)  # Longer than an answer is waited for.
    finally:
        os.kill(stack.redis.server.process.pid, signal.SIGCONT)
    builds(stack, repo)


def test_a_foreign_script_that_blocks_redis(stack, worker, repo):
    stack.redis.client.config_set("busy-reply-threshold", 100)
    blocker = subprocess.Popen(
        ["redis-cli", "-p", str(stack.redis.port), "--user", stack.redis.user, "--pass", stack.redis.password,
         "EVAL", "while true do end", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "BUSY" in worker.text(), 20, "noticed")
    finally:
        blocker.kill()
        blocker.wait(10)

        def is_mended() -> bool:
            # A script of the worker's own may take longer than the threshold, too.
            with suppress(redis.ResponseError):
                stack.redis.end_script()
                return bool(stack.redis.client.config_set("busy-reply-threshold", 5000))
            return False
        wait_for(is_mended, 30, "Redis answers again")
    builds(stack, repo)


# The ways to reach it.


@pytest.fixture
def certificates(tmp_path) -> Path:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-days", "2", "-subj", f"/CN={name}")
    (tmp_path / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:redis.test")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "san")
    return tmp_path


@pytest.fixture
def second_redis(tmp_path):
    """A server of its own with the given settings."""
    servers: list[Server] = []

    def start(name: str, *settings: str, ready, sentinel: bool = False, env: dict[str, str] | None = None) -> Server:
        server = Server(name, tmp_path / name)
        servers.append(server)
        config = server.folder / "redis.conf"
        config.write_text("\n".join([*settings, f"dir {server.folder}"]) + "\n")
        server.launch(["redis-server", str(config), *(["--sentinel"] if sentinel else [])], ready,
                      env=os.environ | (env or {}))
        return server

    yield start
    for server in reversed(servers):
        server.end()


def answers(client: redis.Redis):
    def ask() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    return ask


def deploys_over(stack, repo, client: redis.Redis, worker) -> None:
    """The platform pushes to this other server."""
    wait_for(worker.is_ready, 20, worker.text()[-1000:])
    ordinary, stack.redis.client = stack.redis.client, client
    try:
        builds(stack, repo)
        settled(stack)
    finally:
        stack.redis.client = ordinary


def test_a_clock_that_is_set_forward_ends_no_lease(stack, make_worker, repo, second_redis, tmp_path):
    """By Redis's clock, which ends leases, every worker is late then; the first one that beats must not take away what
    the others build. The clocks of the workers do not matter: theirs only counts from boot."""
    shift, port = tmp_path / "shift", free_port()
    shift.write_text("0")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", tmp_path / "shift.so", ROOT / "tests" / "kit" / "clock_shift.c"],
                   check=True)
    client = redis.Redis(port=port, decode_responses=True)
    second_redis("shifted", f"port {port}", "bind 127.0.0.1", 'save ""', ready=answers(client),
                 env={"CLOCK_SHIFT": str(shift), "LD_PRELOAD": str(tmp_path / "shift.so")})
    workers = [make_worker(**NO_USER, REDIS_PORT=str(port), MAX_PARALLEL_BUILDS="1", LEASE_TIME="6s") for _ in range(3)]
    for worker in workers:
        deploys_over(stack, repo, client, worker)
    ordinary, stack.redis.client = stack.redis.client, client
    try:
        for hours in (1, 2):
            step = f"RUN : {time.monotonic_ns()} && echo now-running && sleep 8"
            repository = repo({"Dockerfile": f"FROM busybox\n{step}\n"})
            running = [stack.api.enqueue(stack.job(repository.name)) for _ in workers]
            for identity in running:
                stack.api.wait_log(identity, "now-running")
            shift.write_text(str(3600 * hours))
            wait_for(lambda: any(re.search("clock of Redis went ahead by (3600|359.) s", worker.text()) for worker in workers), 10, "noticed")
            for identity in running:
                assert stack.api.wait_end(identity) == "BUILDED"
                assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]
        settled(stack)
    finally:
        stack.redis.client = ordinary
    assert not any("taken away" in worker.text() for worker in workers)


def test_tls_with_a_client_certificate(stack, make_worker, repo, certificates, second_redis):
    port = free_port()
    client = redis.Redis(port=port, ssl=True, ssl_ca_certs=str(certificates / "ca.pem"), decode_responses=True,
                         ssl_certfile=str(certificates / "client.pem"), ssl_keyfile=str(certificates / "client.key"))
    second_redis("tls", "port 0", f"tls-port {port}", "bind 127.0.0.1", f"tls-cert-file {certificates}/server.pem",
                 f"tls-key-file {certificates}/server.key", f"tls-ca-cert-file {certificates}/ca.pem", 'save ""',
                 ready=answers(client))
    ours = {**NO_USER, "REDIS_TLS_CERT_FILE": f"{certificates}/client.pem", "REDIS_TLS_KEY_FILE": f"{certificates}/client.key",
            "REDIS_URL": f"rediss://127.0.0.1:{port}/0"}
    stranger = make_worker(start=False, **ours, REDIS_TLS_CA_FILE=f"{certificates}/other-ca.pem").start(ready=False)
    wait_for(lambda: "certificate" in stranger.get("/readyz")[1], 20, "the wrong authority is refused")
    stranger.kill()
    worker = make_worker(start=False, **ours, REDIS_TLS_CA_FILE=f"{certificates}/ca.pem").start(ready=False)
    deploys_over(stack, repo, client, worker)


def test_a_unix_socket_by_url(stack, make_worker, repo, tmp_path, second_redis):
    path = tmp_path / "r.sock"
    client = redis.Redis(unix_socket_path=str(path), decode_responses=True)
    second_redis("unix", "port 0", f"unixsocket {path}", 'save ""', ready=answers(client))
    worker = make_worker(start=False, **NO_USER, REDIS_URL=f"unix://{path}").start(ready=False)
    deploys_over(stack, repo, client, worker)


def test_sentinels_name_the_master(stack, make_worker, repo, second_redis):
    port, sentinel_port = free_port(), free_port()
    client = redis.Redis(port=port, decode_responses=True)
    second_redis("master", f"port {port}", "bind 127.0.0.1", 'save ""', ready=answers(client))
    second_redis("sentinel", f"port {sentinel_port}", "bind 127.0.0.1", f"sentinel monitor builders 127.0.0.1 {port} 1",
                 ready=answers(redis.Redis(port=sentinel_port)), sentinel=True)
    worker = make_worker(start=False, REDIS_SENTINELS=f"127.0.0.1:{free_port()},127.0.0.1:{sentinel_port}",
                         REDIS_SENTINEL_MASTER="builders", **NO_USER).start(ready=False)
    deploys_over(stack, repo, client, worker)


def test_a_failover_by_sentinels(stack, make_worker, repo, second_redis):
    """The master dies in the middle of a build: that and the queue go on at the new one. Then the next one takes over,
    on purpose."""
    ports, sentinel_port = [free_port() for _ in range(3)], free_port()
    nodes = [redis.Redis(port=port, decode_responses=True) for port in ports]
    sentinel = redis.Redis(port=sentinel_port, decode_responses=True)

    def node(number: int, *settings: str) -> Server:
        return second_redis(f"node{number}", f"port {ports[number]}", "bind 127.0.0.1", "appendonly yes",
                            "repl-diskless-sync-delay 0", *settings, ready=answers(nodes[number]))

    def master() -> redis.Redis:
        return nodes[ports.index(int(sentinel.execute_command("SENTINEL", "get-master-addr-by-name", "builders")[1]))]

    def replicas() -> int:
        return int(master().info("replication")["connected_slaves"])  # type: ignore[index]

    def hand_over() -> bool:
        try:
            return bool(sentinel.execute_command("SENTINEL", "FAILOVER", "builders"))
        except redis.ResponseError as error:
            assert "NOGOODSLAVE" in str(error) or "INPROG" in str(error)
            return False

    first = node(0)
    node(1, f"replicaof 127.0.0.1 {ports[0]}")
    node(2, f"replicaof 127.0.0.1 {ports[0]}")
    second_redis("sentinel", f"port {sentinel_port}", "bind 127.0.0.1", f"sentinel monitor builders 127.0.0.1 {ports[0]} 1",
                 "sentinel down-after-milliseconds builders 2000", "sentinel failover-timeout builders 10000",
                 ready=answers(sentinel), sentinel=True)
    wait_for(lambda: replicas() == len(sentinel.sentinel_slaves("builders")) == 2, 20, "the sentinel knows them all")
    worker = make_worker(start=False, REDIS_SENTINELS=f"127.0.0.1:{sentinel_port}", REDIS_SENTINEL_MASTER="builders",
                         LEASE_TIME="5s", **NO_USER).start(ready=False)
    wait_for(worker.is_ready, 20, worker.text()[-1000:])
    ordinary, stack.redis.client = stack.redis.client, nodes[0]
    try:
        identity = stack.api.enqueue(stack.job(repo(slow(5)).name))
        stack.api.wait_output(identity, "now-running")
        assert nodes[0].wait(2, 5_000) == 2
        first.end(signal.SIGKILL)
        wait_for(lambda: master() is not nodes[0], 30, "a replica is the master")
        second = stack.redis.client = master()
        assert stack.api.wait_end(identity) == "BUILDED"
        assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]
        deploys_over(stack, repo, second, worker)
        wait_for(hand_over, 40, "the other replica can take over")
        wait_for(lambda: master() is not second, 30, "handed over")
        deploys_over(stack, repo, master(), worker)
    finally:
        stack.redis.client = ordinary


# What only another server, or the way to it, can do.


def test_a_redis_that_loads_its_data(stack, make_worker, repo, tmp_path, second_redis):
    port = free_port()
    client = redis.Redis(port=port, decode_responses=True)
    settings = [f"port {port}", "bind 127.0.0.1", "appendonly yes"]
    server = second_redis("loading", *settings, ready=answers(client))
    worker = make_worker(start=False, **NO_USER, REDIS_PORT=str(port)).start()
    with client.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.set(f"cache:{number}", "x")
        pipe.execute()
    server.end(signal.SIGKILL)
    second_redis("loading", *settings, "key-load-delay 200", "loading-process-events-interval-bytes 1024",
                 ready=lambda: port_answers(client))
    wait_for(lambda: "LOADING" in worker.text(), 20, "noticed")
    wait_for(answers(client), 30, "loaded")
    deploys_over(stack, repo, client, worker)


def port_answers(client: redis.Redis) -> bool:
    """Anything, even that it is loading."""
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError as error:
        return "loading" in str(error).lower()


def test_a_cluster_that_does_not_serve_the_slot(stack, make_worker, repo, second_redis):
    port = free_port()
    client = redis.Redis(port=port, decode_responses=True)
    second_redis("cluster", f"port {port}", "bind 127.0.0.1", "cluster-enabled yes", f"cluster-port {free_port()}",
                 'save ""', ready=answers(client))
    worker = make_worker(start=False, **NO_USER, REDIS_PORT=str(port)).start(ready=False)
    wait_for(lambda: "CLUSTERDOWN" in worker.text(), 20, "noticed")
    client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    deploys_over(stack, repo, client, worker)
    slot = client.execute_command("CLUSTER KEYSLOT", "builder-queue")
    heard = worker.text().count("CLUSTERDOWN")
    client.execute_command("CLUSTER DELSLOTS", slot)
    wait_for(lambda: worker.text().count("CLUSTERDOWN") > heard, 20, "noticed again")
    client.execute_command("CLUSTER ADDSLOTS", slot)
    deploys_over(stack, repo, client, worker)


def test_rights_that_are_taken_away_for_a_while(stack, make_worker, repo, user):
    rights = user(*documented_rights())
    worker = make_worker(**rights)
    builds(stack, repo)
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "-evalsha", "-eval", "-blmove")
    wait_for(lambda: "NOPERM" in worker.text() or "no permissions" in worker.text(), 30, "said why")
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+evalsha", "+eval", "+blmove")
    assert stack.api.wait_end(identity) == "BUILDED"
    settled(stack)


def test_an_end_that_redis_refuses_to_settle(stack, make_worker, repo, user, monkeypatch):
    """However long it refuses: it does not stay ours, for somebody to tell it again whenever this worker ends."""
    rights = user(*documented_rights())
    worker = make_worker(**rights)

    def take_rights(_: str, status: str) -> None:
        if status == "BUILDED":
            stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "-evalsha", "-eval")

    monkeypatch.setattr(stack.api, "on_status", take_rights)
    identity = builds(stack, repo)
    wait_for(lambda: "a delivered status could not be settled" in worker.text(), 10, "said")
    assert stack.redis.unfinished() != []
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+evalsha", "+eval")
    settled(stack)
    assert stack.api.final_posts(identity) == ["BUILDED"]


def test_each_right_that_is_missing_is_named_before_a_job_is_touched(stack, make_worker, repo, user):
    """A script that is refused a command half way is not undone."""
    needed = [right for right in documented_rights() if re.match(r"\+([hlz]|time)", right)
              and right not in ("+llen", "+zrange")]  # No script that handles jobs uses these.
    assert len(needed) > 15
    identity = stack.api.enqueue(stack.job(repo().name))
    for right in needed:
        worker = make_worker(start=False, **user(*documented_rights(), "-" + right[1:])).start(ready=False)
        wait_for(lambda: re.search(f"{right[1:]}|can't run this command", worker.not_ready(), re.IGNORECASE), 30,
                 f"{right} named in {worker.log}")
        if right in ("+lrem", "+lpop"):
            time.sleep(8)  # It asks again after five seconds, and finds the same.
            assert re.search(right[1:], worker.not_ready(), re.IGNORECASE), worker.not_ready()
        worker.kill()
        assert stack.redis.client.llen("builder-queue") == 1, right
        assert not stack.redis.client.exists("{builder-queue}:own"), right
    make_worker(**user(*documented_rights()))
    assert stack.api.wait_end(identity) == "BUILDED"
    settled(stack)


@pytest.mark.parametrize("unsafe", ["false", "true"])
def test_scripts_that_are_refused_while_it_runs(stack, make_worker, repo, user, unsafe):
    """It is said at once and not again and again; what runs goes on when they are allowed again."""
    rights = user(*documented_rights())
    worker = make_worker(**rights, ALLOW_UNSAFE_QUEUE=unsafe)  # Which is looked at when it starts, and only then.
    running = stack.api.enqueue(stack.job(repo(slow(6)).name))
    stack.api.wait_output(running, "now-running")
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "-evalsha", "-eval")
    wait_for(lambda: "allow EVAL" in worker.not_ready(), 30, "named long before the lease of 60 s is over")
    assert 'queue_guarantee{level="none"} 1' in worker.get("/metrics")[1]
    waiting = stack.api.enqueue(stack.job(repo().name))
    time.sleep(8)
    assert stack.redis.client.llen("builder-queue") == 1, "nothing is taken"
    refusals = [line for line in worker.text().splitlines() if "no permissions" in line or "NOPERM" in line]
    said = Counter(re.sub(r"^\S+ |deployment=\S+ |service=\S+ ", "", line) for line in refusals)
    assert max(said.values()) <= 3, said
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+evalsha", "+eval")
    for identity in (running, waiting):
        assert stack.api.wait_end(identity) == "BUILDED"
        assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]
    wait_for(worker.is_ready, 20, "ready")
    settled(stack)


def test_a_right_that_goes_while_a_build_runs_costs_no_build(stack, make_worker, repo, user):
    """The lease needs it not: it is kept, and nothing new is taken."""
    rights = user(*documented_rights())
    worker = make_worker(**rights, LEASE_TIME="3s")
    running = stack.api.enqueue(stack.job(repo(slow(9)).name))
    stack.api.wait_output(running, "now-running")
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "-lpop")
    stack.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_for(lambda: "LPOP" in worker.not_ready(), 10, "found as it connects again")
    waiting = stack.api.enqueue(stack.job(repo().name))
    assert stack.api.wait_end(running) == "BUILDED", worker.text()[-2000:]
    assert stack.api.statuses(running) == ["BUILDING", "BUILDED"]
    assert stack.redis.client.llen("builder-queue") == 1, "nothing is taken"
    stack.redis.client.execute_command("ACL", "SETUSER", rights["REDIS_USERNAME"], "+lpop")
    assert stack.api.wait_end(waiting) == "BUILDED"
    settled(stack)


def test_a_connection_that_says_nothing_any_more(stack, make_worker, repo):
    """Half-open TCP: the bytes of both sides are taken and go nowhere."""
    proxy = Proxy("redis", ("127.0.0.1", stack.redis.port)).start()
    try:
        worker = make_worker(REDIS_PORT=str(proxy.port))
        builds(stack, repo)
        proxy.black_hole = True
        wait_for(lambda: "redis: " in worker.not_ready(), 90, "noticed")
        identity = stack.api.enqueue(stack.job(repo().name))
        proxy.black_hole = False
        assert stack.api.wait_end(identity) == "BUILDED"
        settled(stack)
        assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]
        assert worker.stop() == 0
    finally:
        proxy.stop()
