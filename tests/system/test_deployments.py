"""A message in the queue to an image in the registry."""

from __future__ import annotations

import json
import re
import signal
import urllib.request

import pytest
from kit.process import wait_for, wait_gone
from kit.worker import ArgvSampler

pytestmark = pytest.mark.every_engine


def deploy(stack, repository, timeout=60, **changes):
    identity = stack.api.enqueue(stack.job(repository.name, **changes))
    return identity, stack.api.wait_end(identity, timeout)


def repository_of(stack, identity):
    return f"deployra/{stack.api.deployments[identity].service}"


def failing(stack, repository, **changes):
    identity, status = deploy(stack, repository, **changes)
    assert status == "FAILED", stack.api.log_text(identity)
    error = stack.api.error_of(identity)
    assert len(error) <= 191 and "\n" not in error
    return identity, error


def test_a_deployment_is_built_pushed_and_reported(stack, worker, repo):
    repository = repo()
    sha = repository.commit({"a.txt": "two\n"}, "the subject line")
    identity, status = deploy(stack, repository, commitSha=sha)
    assert status == "BUILDED"
    deployment = stack.api.deployments[identity]
    assert stack.api.statuses(identity) == ["BUILDING", "BUILDED"]
    assert deployment.image_uri == f"{stack.ecr.host}/{repository_of(stack, identity)}"
    assert deployment.registry_type == "ecr"
    assert len([entry for entry in stack.api.deploy_queue if entry[0] == identity]) == 1
    name = repository_of(stack, identity)
    assert stack.ecr.digest_of(name, identity) == stack.ecr.digest_of(name, "latest")
    log = stack.api.log_text(identity)
    for text in ("the subject line", sha[:7], "COPY . /app", "Build completed successfully"):
        assert text in log
    assert f"started: {repository.name}@{sha[:12]}, attempt 1, engine " in worker.text()
    wait_for(lambda: re.search(rf"ended: builded after [\d.]+ s, {repository.name}@{sha[:12]}, engine [^ ]+, \d+ of [1-9]\d* steps cached, {deployment.image_uri}",
                               worker.text()), 10, "the operator's line")
    policy = stack.ecr.api("GetLifecyclePolicy", repositoryName=name)
    assert json.loads(policy["lifecyclePolicyText"])["rules"][0]["selection"]["countNumber"] == 1
    wait_for(lambda: not worker.build_folders() and not worker.children(), 10, "nothing left behind")
    wait_for(lambda: stack.redis.unfinished() == [], 10, "settled")


def test_the_environment_reaches_the_image_as_dotenv_and_git_never_does(stack, worker, repo):
    repository = repo()
    identity, status = deploy(stack, repository, environmentVariables=[
        {"key": "PLAIN", "value": "x"}, {"key": "QUOTED", "value": "a 'b' # c"}, {"key": "PLAIN", "value": "last"},
        {"key": "LINES", "value": "one\nEVIL=1"}])
    assert status == "BUILDED", stack.api.log_text(identity)
    text = stack.output_of(identity, ["sh", "-c", "ls -a /app; cat /app/.env"])
    assert "PLAIN=last" in text and ".git\n" not in text
    assert "\nEVIL=" not in text  # A value never adds a key.


@pytest.mark.one_engine
@pytest.mark.parametrize("provider", ["custom", "github", "github-lower", "none"])
def test_providers(stack, make_worker, repo, provider):
    worker = make_worker(**({"GITHUB_URL": f"{stack.git.origin}/public"} if provider == "none" else {}))
    repository = repo()
    gave = stack.git.provider()
    git = {"custom": gave, "none": None,
           "github": {"type": "GITHUB", "githubAccount": {"username": gave["username"], "accessToken": gave["password"]}},
           "github-lower": {"type": "github", "installationId": "1", "unknown": {}, "githubAccount": {
               "username": gave["username"], "accessToken": gave["password"]}}}[provider]
    identity, status = deploy(stack, repository, gitProvider=git)
    assert status == "BUILDED", stack.api.log_text(identity) + worker.text()[-2000:]


@pytest.mark.one_engine
def test_revisions(stack, worker, repo):
    repository = repo()
    old = repository.commit({"a.txt": "old"})
    other = repository.commit({"a.txt": "other"}, branch="feature/x")
    repository.git("checkout", "--quiet", "main")
    new = repository.commit({"a.txt": "new"})
    gone = repository.commit({"a.txt": "gone"}, branch="short-lived")
    repository.delete_branch("short-lived")
    for changes, content in (({"commitSha": old}, "old"), ({"commitSha": other}, "other"), ({"commitSha": new[:8]}, "new"),
                             ({"commitSha": ""}, "new"), ({"branch": "feature/x"}, "other"), ({"commitSha": old.upper()}, "old")):
        identity, status = deploy(stack, repository, **changes)
        assert status == "BUILDED", (changes, stack.api.log_text(identity))
        assert stack.output_of(identity, ["cat", "/app/a.txt"]) == content
    identity = stack.api.enqueue(stack.job(repository.name, commitSha=gone))
    assert stack.api.wait_end(identity) in ("BUILDED", "FAILED")  # As the server permits; never stuck.
    for changes, words in (({"commitSha": "1" * 40}, "not in this repository"), ({"branch": "nope"}, "does not exist"),
                           ({"commitSha": "0" * 40}, "deleted")):
        assert words in failing(stack, repository, **changes)[1]


@pytest.mark.one_engine
@pytest.mark.parametrize("changes, words", [
    ({"commitSha": "--orphan=x"}, "not a commit SHA"), ({"commitSha": "$(touch /tmp/x)"}, "not a commit SHA"),
    ({"branch": "--upload-pack=touch /tmp/x"}, "branch name"), ({"branch": "a b;c"}, "branch name"),
    ({"repositoryName": "../../x"}, "repository name"), ({"repositoryName": ""}, "repository name"),
    ({"repositoryName": "a/b?c=d"}, "repository name"), ({"runtimeFilePath": "../../etc/passwd"}, "leaves the repository"),
    ({"runtimeFilePath": "/../etc/passwd"}, "leaves the repository"),
    ({"branch": 7}, "'branch'"), ({"ports": "x"}, "'ports'"), ({"ports": [{"servicePort": 1, "containerPort": 70000}]}, "containerPort"),
    ({"environmentVariables": [{"value": "x"}]}, "environmentVariables"), ({"gitProvider": {"type": "SVN"}}, "gitProvider.type"),
    ({"gitProvider": "x"}, "gitProvider"), ({"serviceId": "Bad Name"}, "serviceId"), ({"branch": "x" * 3000}, "branch"),
    ({"gitProvider": {"type": "CUSTOM", "url": "file:///etc", "username": "u", "password": "p"}}, "https://"),
    ({"gitProvider": {"type": "CUSTOM", "url": "ext::sh", "username": "u", "password": "p"}}, "https://"),
    ({"gitProvider": {"type": "CUSTOM", "username": "u", "password": "p"}}, "no URL"),
    ({"gitProvider": {"type": "CUSTOM", "url": "http://169.254.169.254", "username": "u", "password": "p"}}, "network policy"),
])
def test_hostile_and_wrong_fields_fail_with_a_line_that_says_which(stack, worker, repo, changes, words):
    with ArgvSampler() as argv:
        _, error = failing(stack, repo(), **changes)
    assert words in error
    assert not [line for line in argv.seen if "--orphan=x" in line or "upload-pack=touch" in line]


@pytest.mark.one_engine
def test_null_and_absent_fields_are_equal(stack, worker, repo):
    repository = repo()
    job = stack.job(repository.name, commitSha=None, branch=None)
    job.update({"runtimeFilePath": None, "environmentVariables": None, "ports": None, "extra": {"a": [1]}})
    assert stack.api.wait_end(stack.api.enqueue(job)) == "BUILDED"


@pytest.mark.one_engine
def test_what_is_no_job_is_dropped_and_the_next_one_runs(stack, worker, repo):
    before = len(stack.api.record)
    for garbage in ("not json", "[]", "{}", '{"deploymentId":5}', "[" * 100_000, '{"deploymentId":"../victim","serviceId":"s"}',
                    json.dumps({"deploymentId": "a?b#c", "serviceId": "s"}), "x" * 2_000_000):
        stack.api.push(garbage)
    assert deploy(stack, repo())[1] == "BUILDED"
    assert stack.redis.client.llen("builder-queue") == 0
    assert worker.metric("deployra_builder_malformed_jobs_total") == 8
    assert not [entry for entry in stack.api.record[before:] if "undefined" in entry.path or "victim" in entry.path]


@pytest.mark.parametrize("dockerfile, words", [
    ("FROM busybox\nRUN echo before\nRUN echo last-words && exit 7\n", ["Dockerfile:3", "exit code 7"]),
    ("FROM busybox\nRUN echo a \\\n  && false\n", ["Dockerfile:2", "exit code 1"]),
    ("FROM busybox\nBOGUS x\n", ["Dockerfile", "BOGUS"]),
    ("FROM no-such-image-here:1\n", ["no-such-image-here"]),
    ("FROM busybox\nCOPY missing.txt /\n", ["missing.txt"]),
])
def test_a_broken_dockerfile_is_explained(stack, worker, repo, dockerfile, words):
    identity, error = failing(stack, repo({"Dockerfile": dockerfile}))
    for word in words:
        assert word in error, error
    if "last-words" in dockerfile:
        assert "last-words" in stack.api.log_text(identity) and "> 3 | RUN echo last-words" in stack.api.log_text(identity)


def test_heredocs_are_built_or_said_to_be_too_new(stack, worker, repo):
    repository = repo({"Dockerfile": "FROM busybox\nRUN <<EOF\necho from a heredoc > /made\nEOF\n"})
    if stack.engine is stack.docker:
        identity, error = failing(stack, repository)
        assert error.startswith("Dockerfile:2: the build engine is too old for heredocs (<<)")
        assert "# syntax=docker/dockerfile:1" in error
    else:
        identity, status = deploy(stack, repository)
        assert status == "BUILDED" and stack.output_of(identity, ["cat", "/made"]) == "from a heredoc\n"


def test_links_in_the_repository_lead_nowhere_outside(stack, worker, repo, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("secret of the host")
    repository = repo()
    for name in (".env", ".dockerignore", "out"):
        (repository.work / name).symlink_to(canary)
    repository.commit_all()
    identity, status = deploy(stack, repository, environmentVariables=[{"key": "A", "value": "1"}])
    assert status == "BUILDED", stack.api.log_text(identity)
    assert canary.read_text() == "secret of the host"
    text = stack.output_of(identity, ["sh", "-c", "cat /app/.env; cat /app/out"])
    assert "A=1" in text and "secret of the host" not in text
    (repository.work / "Dockerfile").unlink()
    (repository.work / "Dockerfile").symlink_to("/etc/shadow")
    repository.commit_all()
    identity, error = failing(stack, repository)
    assert "link" in error and "root:" not in stack.api.log_text(identity)


def test_the_dockerignore_of_the_repository_is_respected(stack, worker, repo):
    identity, status = deploy(stack, repo(**{".dockerignore": "*.md\n!keep.md\n", "drop.md": "x", "keep.md": "y"}))
    assert status == "BUILDED"
    files = stack.output_of(identity, ["ls", "/app"]).split()
    assert "keep.md" in files and "drop.md" not in files


def test_changed_content_of_equal_size_is_rebuilt(stack, worker, repo):
    repository = repo()
    service = stack.job(repository.name)["serviceId"]
    for content in ("aaa", "bbb", "aaa"):
        repository.commit({"a.txt": content})
        identity, status = deploy(stack, repository, serviceId=service)
        assert status == "BUILDED" and stack.output_of(identity, ["cat", "/app/a.txt"]) == content


@pytest.mark.one_engine
def test_submodules_are_fetched_with_the_credentials_of_their_host(stack, worker, repo):
    inner = repo({"inner.txt": "from the submodule"})
    outer = repo()
    outer.git("config", "protocol.file.allow", "always")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner.bare), "lib")
    outer.git("config", "-f", ".gitmodules", "submodule.lib.url", f"../{inner.name.split('/')[1]}.git")
    outer.commit_all()
    identity, status = deploy(stack, outer)
    assert status == "BUILDED", stack.api.log_text(identity)
    assert "from the submodule" in stack.output_of(identity, ["cat", "/app/lib/inner.txt"])


def test_build_secrets_and_cache_mounts_need_a_frontend_but_never_hang(stack, worker, repo):
    identity, error = failing(stack, repo({"Dockerfile": "# syntax=docker/dockerfile:1\nFROM busybox\n"}))
    assert stack.api.statuses(identity)[-1] == "FAILED" and error


@pytest.mark.one_engine
def test_wrong_credentials_moved_and_missing_repositories(stack, worker, repo):
    repository = repo()
    for provider, words in ((stack.git.provider(password="wrong"), "refused the user name or the password"),
                            (stack.git.provider(url=f"{stack.git.origin}/moved"), "moved")):
        assert words in failing(stack, repository, gitProvider=provider)[1]
    assert "team/nothing-here was not found" in failing(stack, repository, repositoryName="team/nothing-here")[1]


def test_the_newer_job_of_a_service_supersedes_the_running_one(stack, make_worker, repo):
    make_worker(MAX_PARALLEL_BUILDS="1")
    slow = repo({"Dockerfile": "FROM busybox\nRUN echo started && sleep 1024\n"})
    quick = repo()
    old = stack.api.enqueue(stack.job(slow.name, serviceId="svc-supersede"))
    stack.api.wait_output(old, "started")
    new = stack.api.enqueue(stack.job(quick.name, serviceId="svc-supersede"))
    assert stack.api.wait_end(new) == "BUILDED"
    assert stack.api.final_posts(old) == ["CANCELLED"]
    assert stack.ecr.digest_of("deployra/svc-supersede", "latest") == stack.ecr.digest_of("deployra/svc-supersede", new)
    wait_gone("sleep 1024")


def test_several_builds_run_at_once_but_one_per_service(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="4")

    def four(dockerfile: str) -> list[str]:
        repository = repo({"Dockerfile": f"FROM busybox\nCOPY .env /\n{dockerfile}\n"})
        return [stack.api.enqueue(stack.job(repository.name, environmentVariables=[{"key": "N", "value": str(i)}]))
                for i in range(4)]

    # Each lasts until all of them run.
    for identity in (running := four("RUN echo started && sleep 1024")):
        stack.api.wait_output(identity, "started")
    for identity in running:
        stack.api.cancel(identity)
    for identity in running:
        assert stack.api.wait_end(identity) == "CANCELLED"
    wait_gone("sleep 1024")
    for identity in four("RUN cat /.env"):
        assert stack.api.wait_end(identity) == "BUILDED"
    wait_for(lambda: worker.metric('deployra_builder_builds_total{result="builded"}') == 4, 10, "counted")


def test_digest_reference_and_more_images_by_configuration(stack, make_worker, repo):
    make_worker(ECR_KEEP_IMAGES="3")
    identity, status = deploy(stack, repo())
    name = repository_of(stack, identity)
    assert status == "BUILDED"
    assert stack.api.deployments[identity].image_uri == f"{stack.ecr.host}/{name}@{stack.ecr.digest_of(name, identity)}"
    policy = json.loads(stack.ecr.api("GetLifecyclePolicy", repositoryName=name)["lifecyclePolicyText"])
    assert policy["rules"][0]["selection"]["countNumber"] == 3


@pytest.mark.one_engine
def test_an_operators_lifecycle_policy_stays(stack, worker, repo):
    text = json.dumps({"rules": [{"rulePriority": 1, "description": "ours", "action": {"type": "expire"}, "selection": {
        "tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 77}}]})
    stack.ecr.api("CreateRepository", repositoryName="deployra/svc-policy")
    stack.ecr.api("PutLifecyclePolicy", repositoryName="deployra/svc-policy", lifecyclePolicyText=text)
    assert deploy(stack, repo(), serviceId="svc-policy")[1] == "BUILDED"
    assert json.loads(stack.ecr.api("GetLifecyclePolicy", repositoryName="deployra/svc-policy")["lifecyclePolicyText"]) == json.loads(text)


def test_endpoints_config_and_help(stack, make_worker):
    worker = make_worker()
    assert worker.get("/healthz")[0] == 200 and worker.warnings() == []
    wait_for(lambda: "deployra_builder_queue_length 0" in worker.get("/metrics")[1], 20, "its length is known")
    stack.api.stop()
    try:
        wait_for(lambda: worker.get("/readyz")[0] == 503, 20)
        assert "platform" in worker.get("/readyz")[1]
    finally:
        stack.api.start()
    wait_for(lambda: worker.get("/readyz")[0] == 200, 20)
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/healthz", timeout=1)
