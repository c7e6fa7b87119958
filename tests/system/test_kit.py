"""The stand-ins keep what the real peers do; no worker takes part unless a test says so."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import botocore.session
import pytest
from kit import invariants
from kit.git_server import PASSWORD, USER
from kit.large_files import ATTRIBUTES
from kit.platform_api import API_KEY
from kit.process import free_port, port_open, wait_for
from kit.registry import KEY_ID

KEY = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}


def git(*arguments, cwd=None):
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, env={
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"})


def clone_url(stack, repository, password=PASSWORD):
    quote = urllib.parse.quote
    return f"http://{quote(USER, '')}:{quote(password, '')}@{stack.git.url.removeprefix('http://')}/{repository.name}.git"


def test_git_asks_for_its_password_and_serves_branches(stack, repo, tmp_path):
    repository = repo({"a.txt": "one\n"})
    sha = repository.commit({"b.txt": "two\n"}, branch="feature/x")
    assert git("clone", "-q", f"{stack.git.url}/{repository.name}.git", str(tmp_path / "none")).returncode == 128
    assert git("clone", "-q", clone_url(stack, repository, "wrong"), str(tmp_path / "wrong")).returncode == 128
    done = git("clone", "-q", "--branch=feature/x", clone_url(stack, repository), str(tmp_path / "clone"))
    assert done.returncode == 0, done.stderr
    assert git("rev-parse", "HEAD", cwd=tmp_path / "clone").stdout.strip() == sha
    assert (tmp_path / "clone" / "b.txt").read_text() == "two\n"
    repository.delete_branch("feature/x")
    assert "feature/x" not in git("ls-remote", clone_url(stack, repository)).stdout
    with stack.git.unwell():
        assert "503" in git("ls-remote", clone_url(stack, repository)).stderr


def test_git_hands_out_large_files(stack, repo, tmp_path):
    content = os.urandom(100_000)
    repository = repo({".gitattributes": ATTRIBUTES, "big.bin": stack.git.large_files.add(content)})
    done = git("-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.smudge=git-lfs smudge -- %f",
               "-c", "filter.lfs.required=true", "clone", "-q", clone_url(stack, repository), str(tmp_path / "clone"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone" / "big.bin").read_bytes() == content


def test_the_worker_builds_with_large_files(stack, worker, repo):
    content = os.urandom(50_000)
    repository = repo({"Dockerfile": "FROM busybox\nCOPY big.bin /\nRUN sha256sum /big.bin\n",
                       ".gitattributes": ATTRIBUTES, "big.bin": stack.git.large_files.add(content)})
    identity = stack.api.enqueue(stack.job(repository.name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    [oid] = [oid for oid, stored in stack.git.large_files.objects.items() if stored == content]
    assert f"{oid}  /big.bin" in stack.api.log_text(identity)
    assert invariants.breaches(stack.api, stack.api.deployments[identity]) == []


@pytest.fixture
def post(stack):
    connection = http.client.HTTPConnection("127.0.0.1", stack.api.port, timeout=30)

    def send(path, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", f"/api/webhooks/deployments/{path}", data, KEY if headers is None else headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    yield send
    connection.close()


@pytest.fixture
def queued(stack):
    """A deployment whose job nobody takes."""
    return stack.api.deployments[stack.api.enqueue(stack.job("team/none"))]


@pytest.mark.parametrize(("headers", "message"), [
    ({"Content-Type": "application/json"}, "Missing API key header"),
    ({**KEY, "X-Api-Key": "other"}, "Invalid API key")])
def test_the_api_asks_for_its_key(post, queued, headers, message):
    for path, body in (("status", {"status": "BUILDING"}), ("logs", {"text": "x"})):
        assert post(f"{queued.id}/{path}", body, headers) == (401, {"status": "error", "message": message})
    assert queued.posts == [] and queued.logs == []


@pytest.mark.parametrize(("body", "status", "rows"), [
    ({"text": "x"}, 200, ["x"]), ({"text": " ", "type": ""}, 200, [" "]), ({"text": "x", "type": None}, 200, ["x"]),
    ({"text": "x" * 65_535}, 200, ["x" * 65_535]), ({"text": "x" * 65_536}, 500, []),
    ({"text": "€" * 21_845}, 200, ["€" * 21_845]), ({"text": "€" * 21_846}, 500, []),
    ({"text": ""}, 400, []), ({}, 400, []), ({"text": 1}, 400, []), ({"text": "x", "type": 1}, 400, []),
    ({"text": "x", "type": "DEBUG"}, 500, []), (b"{", 400, []), (["x"], 400, []),
    (b'{"text":"a\xff\xe2\x82b"}', 200, ["a\ufffd\ufffd\ufffdb"]), ({"text": "\0\x1b\U0001f600"}, 200, ["\0\x1b\U0001f600"])])
def test_limits_of_log_posts(post, queued, body, status, rows):
    assert post(f"{queued.id}/logs", body)[0] == status
    assert [text for _, _, text in queued.logs] == rows


def test_the_api_refuses_what_the_platform_refuses(post, queued):
    assert post(f"{queued.id}/logs", {"text": "x"}, {**KEY, "Content-Type": "text/plain"})[0] == 400
    assert post("unknown/status", {"status": "BUILDING"})[0] == 404
    assert post(f"{queued.id}/status", {"status": "BUILDING", "logs": []})[0] == 400
    assert post(f"{queued.id}/status", {"status": "BUILDING", "error": 1})[0] == 400
    assert post(f"{queued.id}/status", {"status": "BUILDING", "data": {"containerImageUri": 1}})[0] == 400
    assert post(f"{queued.id}/status", {"status": "DONE"})[0] == 500
    assert queued.posts == [] and queued.status == "PENDING"
    with pytest.raises(OSError):
        post(f"{queued.id}/logs", {"text": "x" * (4 * 1024 * 1024)})


def test_effects_of_statuses(stack, post, queued):
    status, answer = post(f"{queued.id}/status", {"status": "BUILDING", "logs": None, "error": None, "more": 1})
    assert status == 200 and "completedAt" not in answer["data"]["deployment"]
    image = {"containerImageUri": "host/deployra/x", "containerRegistryType": "ecr"}
    for _ in range(2):
        post(f"{queued.id}/status", {"status": "BUILDED", "data": image})
    assert queued.status == "DEPLOYING" and queued.image_uri == "host/deployra/x"
    assert [text for _, _, text in queued.logs] == ["Awaiting deploy…"] * 2
    assert invariants.rollouts(stack.api, queued) == [f"{queued.id}: 2 rollouts, not 1"]
    post(f"{queued.id}/status", {"status": "FAILED", "error": "x" * 192, "logs": {"text": "x", "type": "DEBUG"}})
    assert queued.status == "FAILED" and queued.completed_at and queued.events == [] and len(queued.logs) == 2
    post(f"{queued.id}/status", {"status": "FAILED", "error": "x" * 191, "logs": {"text": "why", "type": "ERROR"}})
    assert queued.events == ["x" * 191] and queued.logs[-1][1:] == ("ERROR", "why")
    assert "completedAt" in post(f"{queued.id}/status", {"status": "BUILDING"})[1]["data"]["deployment"]


def test_a_cancel_publishes_first_and_a_push_only_marks(stack, queued):
    with stack.redis.client.pubsub() as subscriber:
        subscriber.subscribe("builder:cancel")
        assert subscriber.get_message(timeout=5)["type"] == "subscribe"
        stack.api.cancel(queued.id)
        assert json.loads(subscriber.get_message(timeout=5)["data"]) == {"deploymentId": queued.id}
        assert queued.status == "CANCELLED" and queued.completed_at
        other = stack.api.deployments[stack.api.enqueue(stack.job("team/none"))]
        stack.api.github_push(other.id, stack.job("team/none", serviceId=other.service))
        assert subscriber.get_message(timeout=0) is None
    assert other.status == "CANCELLED" and other.completed_at is None
    assert stack.redis.client.llen("builder-queue") == 3


def test_jobs_are_escaped_as_go_does(stack):
    stack.api.push({"branch": "<a>&\u2028é"})
    assert stack.redis.client.lpop("builder-queue") == '{"branch":"\\u003ca\\u003e\\u0026\\u2028é"}'


def test_without_its_database_the_api_knows_no_deployment(stack, post, queued):
    stack.api.has_database = False
    for path, body in (("status", {"status": "BUILDING"}), ("logs", {"text": "x"})):
        status, answer = post(f"{queued.id}/{path}", body)
        assert (status, answer["message"]) == (404, "Deployment not found")
    stack.api.has_database = True
    assert post(f"{queued.id}/logs", {"text": "x"})[0] == 200 and len(queued.logs) == 1


def test_faults_of_the_api(stack, post, queued):
    stack.api.faults[:] = [500, 429, "drop"]
    assert [post(f"{queued.id}/logs", {"text": "x"})[0] for _ in range(2)] == [500, 429]
    with pytest.raises(OSError):
        post(f"{queued.id}/logs", {"text": "x"})
    assert post(f"{queued.id}/logs", {"text": "x"})[0] == 200
    assert len(queued.logs) == 1


def test_the_api_answers_what_it_recorded_before_it_goes(stack, queued):
    """Or what it has would come again."""
    def send(number):
        connection = http.client.HTTPConnection("127.0.0.1", stack.api.port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", f"/api/webhooks/deployments/{queued.id}/logs", json.dumps({"text": str(number)}), KEY)
            return str(number) if connection.getresponse().status == 200 else None

    with ThreadPoolExecutor(32) as crowd:
        answers = [crowd.submit(send, number) for number in range(2000)]
        wait_for(lambda: len(queued.logs) > 200, 20, "posts")
        stack.api.stop()
        assert not port_open(stack.api.port)
        answered = {answer.result() for answer in answers} - {None}
    assert 200 < len(answered) < 2000
    assert {text for _, _, text in queued.logs} == answered
    stack.api.start()
    assert send(2000) == "2000", "at the same port"


def test_what_a_failed_test_left_is_mended(stack, repo, make_worker):
    stack.api.stop()
    stack.api.delay, stack.api.faults[:] = 100, [500]
    stack.redis.client.config_set("maxmemory", 1)
    stack.redis.client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    stack.redis.server.process.send_signal(signal.SIGSTOP)
    stack.ecr.control("/__fail", {"delay": 100})
    stack.docker.stop(signal.SIGKILL)
    stack.docker.step_log_limit = "10"
    stack.mend()
    make_worker()
    identity = stack.api.enqueue(stack.job(repo({"Dockerfile": "FROM busybox\nRUN echo a line of more than ten bytes\n"}).name))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert stack.api.outputs(identity, "a line of more than ten bytes") == 1


def test_the_ecr_front_verifies_signatures_and_takes_pushes(stack, tmp_path):
    def client(secret):
        return botocore.session.get_session().create_client(
            "ecr", region_name="us-east-1", endpoint_url=f"http://{stack.ecr.host}", aws_access_key_id=KEY_ID,
            aws_secret_access_key=secret)

    with pytest.raises(botocore.exceptions.ClientError, match="InvalidSignature"):
        client("wrong").describe_repositories()
    name = f"deployra/kit{os.getpid()}"
    stack.ecr.api("CreateRepository", repositoryName=name)
    env = {**os.environ, "DOCKER_HOST": stack.docker_host, "DOCKER_CONFIG": str(tmp_path)}

    def docker(*arguments, data=""):
        return subprocess.run(["docker", *arguments], env=env, input=data, capture_output=True, text=True)

    image = f"{stack.ecr.host}/{name}:one"
    assert docker("tag", "busybox", image).returncode == 0
    assert docker("push", image).returncode != 0
    token = stack.ecr.token()
    assert docker("login", "-u", "AWS", "--password-stdin", stack.ecr.host, data=token).returncode == 0
    pushed = docker("push", image)
    assert pushed.returncode == 0, pushed.stderr
    [detail] = stack.ecr.api("DescribeImages", repositoryName=name)["imageDetails"]
    assert detail["imageTags"] == ["one"]
    assert detail["imageDigest"] == stack.ecr.digest_of(name, "one")
    stack.ecr.control("/__expire")
    assert "expired" in docker("push", image).stderr
    docker("rmi", image)


def test_secrets_are_found_where_they_stand(tmp_path):
    (tmp_path / "left").write_text("x hunter2 y")
    found = invariants.secrets_in(["hunter2"], {"log": b"fine", "argv": b"--p=hunter2"}, tmp_path)
    assert found == ["argv holds 'hunter2'", f"{tmp_path / 'left'} holds 'hunter2'"]


def test_the_registry_resets_no_connection_of_a_crowd(stack):
    with ThreadPoolExecutor(64) as crowd:
        assert all("pushes" in answer for answer in crowd.map(lambda _: stack.ecr.control("/__stats"), range(2000)))
