"""What only the operator can mend costs no deployment, and is said with the setting to look at."""

from __future__ import annotations

import re
import time

from kit.process import wait_for
from kit.registry import KEY_ID, SECRET

SLOW = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 1026\n"}


def write_keys(path, secret: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {secret}\n")
    new.replace(path)


def test_revoked_keys_cost_nothing_and_new_ones_are_read(stack, make_worker, repo, tmp_path):
    keys = tmp_path / "credentials"
    write_keys(keys, "revoked")
    identities = [stack.api.enqueue(stack.job(repo().name)) for _ in range(3)]
    worker = make_worker(start=False, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_SHARED_CREDENTIALS_FILE=str(keys))
    worker.start(ready=False)
    wait_for(lambda: "registry: " in worker.not_ready(), 30, "not ready")
    assert "look at AWS_SHARED_CREDENTIALS_FILE" in worker.not_ready()
    assert "AWS credentials: profile default" in worker.text()
    wait_for(lambda: "not ready: registry: " in worker.text(), 20, "it is in the log")
    assert stack.redis.client.llen("builder-queue") == 3
    assert [stack.api.statuses(identity) for identity in identities] == [[], [], []]
    write_keys(keys, SECRET)
    assert [stack.api.wait_end(identity) for identity in identities] == ["BUILDED"] * 3


def test_keys_that_expire_while_an_agent_has_replaced_them(stack, make_worker, repo, tmp_path):
    keys = tmp_path / "credentials"
    write_keys(keys, SECRET)
    make_worker(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_SHARED_CREDENTIALS_FILE=str(keys))
    write_keys(keys, "another")
    first = stack.api.enqueue(stack.job(repo().name))  # A repository is made with the keys of now.
    stack.api.wait_log(first, "starts again by itself")
    write_keys(keys, SECRET)
    assert stack.api.wait_end(first) == "BUILDED"
    assert stack.api.statuses(first)[-1] == "BUILDED"


def test_a_repository_that_may_not_be_made_costs_no_deployment(stack, worker, repo):
    stack.ecr.control("/__fail", {"deny": "CreateRepository"})
    identities = [stack.api.enqueue(stack.job(repo().name)) for _ in range(4)]
    wait_for(lambda: "AccessDeniedException" in worker.not_ready(), 30, "not ready")
    assert "look at AWS_ACCESS_KEY_ID" in worker.not_ready()
    wait_for(lambda: stack.redis.client.llen("builder-queue") == 4, 30, "all are in the queue")
    assert [identity for identity in identities if stack.api.final_posts(identity)] == []
    stack.ecr.control("/__fail", {})
    assert [stack.api.wait_end(identity) for identity in identities] == ["BUILDED"] * 4


def test_a_work_dir_that_cannot_be_written_costs_no_deployment(stack, worker, repo):
    aside = worker.work_dir.with_name("aside")
    worker.work_dir.rename(aside)
    worker.work_dir.write_text("no folder")
    try:
        identity = stack.api.enqueue(stack.job(repo().name))
        wait_for(lambda: "WORK_DIR" in worker.not_ready(), 30, "not ready")
        wait_for(lambda: stack.redis.client.llen("builder-queue") == 1, 30, "it is in the queue")
        assert stack.api.final_posts(identity) == []
    finally:
        worker.work_dir.unlink()
        aside.rename(worker.work_dir)
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)


def test_no_repository_is_made_for_a_job_that_the_platform_refuses(stack, make_worker, repo):
    make_worker(API_KEY="wrong-api-key", start=False).start(ready=False)
    service = f"refused{time.monotonic_ns()}"
    stack.api.enqueue(stack.job(repo().name, serviceId=service))
    time.sleep(2)
    names = [repository["repositoryName"] for repository in stack.ecr.api("DescribeRepositories")["repositories"]]
    assert f"deployra/{service}" not in names


def test_a_profile_that_is_nowhere_is_named(make_worker):
    worker = make_worker(start=False, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_PROFILE="typo", HOME="/nonexistent")
    worker.start(ready=False)
    wait_for(lambda: "profile 'typo' is neither in /nonexistent/.aws/credentials nor in" in worker.not_ready(), 30, "named")
    assert "look at AWS_PROFILE" in worker.not_ready()


def test_immutable_tags_need_digests_and_nothing_else(stack, make_worker, repo):
    worker = make_worker(IMAGE_REFERENCE="digest")
    service, repository = f"immutable{time.monotonic_ns()}", repo()
    assert stack.api.wait_end(stack.api.enqueue(stack.job(repository.name, serviceId=service))) == "BUILDED"
    stack.ecr.api("PutImageTagMutability", repositoryName=f"deployra/{service}", imageTagMutability="IMMUTABLE")
    latest = stack.ecr.digest_of(f"deployra/{service}", "latest")
    repository.commit({"a.txt": "two\n"})
    identity = stack.api.enqueue(stack.job(repository.name, serviceId=service))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert stack.ecr.digest_of(f"deployra/{service}", "latest") == latest
    worker.stop()
    worker = make_worker()
    repository.commit({"a.txt": "three\n"})
    identity = stack.api.enqueue(stack.job(repository.name, serviceId=service))
    assert stack.api.wait_end(identity) == "FAILED"
    assert "set IMAGE_REFERENCE=digest" in worker.text()


def test_what_an_attempt_left_under_an_immutable_tag_is_the_image(stack, make_worker, repo):
    make_worker(IMAGE_REFERENCE="digest")
    service, repository = f"left{time.monotonic_ns()}", repo()
    first = stack.api.enqueue(stack.job(repository.name, serviceId=service))
    assert stack.api.wait_end(first) == "BUILDED"
    stack.ecr.api("PutImageTagMutability", repositoryName=f"deployra/{service}", imageTagMutability="IMMUTABLE")
    # As a worker leaves it that was killed between the push and its record.
    repository.commit({"a.txt": "two\n"})
    job = stack.job(repository.name, serviceId=service)
    digest = stack.ecr.copy_tag(f"deployra/{service}", first, str(job["deploymentId"]))
    identity = stack.api.enqueue(job)
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    assert stack.api.deployments[identity].image_uri.endswith(f"@{digest}")


def test_a_cancel_while_latest_cannot_move_is_obeyed_at_once(stack, worker, repo):
    stack.ecr.control("/__fail", {"refuse": "PUT .*/latest"})
    service = f"latest{time.monotonic_ns()}"
    identity = stack.api.enqueue(stack.job(repo().name, serviceId=service))
    wait_for(lambda: "registry, trying again" in worker.text(), 60, "latest is refused")
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity, 5) == "CANCELLED"
    stack.ecr.control("/__fail", {})
    time.sleep(1)
    assert stack.ecr.digest_of(f"deployra/{service}", "latest") is None


def test_a_repository_that_denies_its_push_keeps_no_other_from_the_only_slot(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="1")
    service = f"denied{time.monotonic_ns()}"
    stack.ecr.control("/__fail", {"deny_push": f"deployra/{service}"})
    denied = stack.api.enqueue(stack.job(repo().name, serviceId=service))
    others = [stack.api.enqueue(stack.job(repo().name)) for _ in range(3)]
    assert [stack.api.wait_end(identity) for identity in others] == ["BUILDED"] * 3
    stack.api.wait_log(denied, "starts again by itself")
    assert stack.api.final_posts(denied) == [] and worker.is_ready()
    assert "look at AWS_ACCESS_KEY_ID" in worker.text() and "ecr:InitiateLayerUpload" in worker.text()
    stack.ecr.control("/__fail", {})
    assert stack.api.wait_end(denied) == "BUILDED", stack.api.log_text(denied)


def test_a_job_that_is_held_is_cancelled_at_once(stack, make_worker, repo):
    worker = make_worker(MAX_PARALLEL_BUILDS="1")
    service = f"held{time.monotonic_ns()}"
    stack.ecr.control("/__fail", {"deny_push": f"deployra/{service}"})
    identity = stack.api.enqueue(stack.job(repo().name, serviceId=service))
    wait_for(lambda: "no other service has this trouble" in worker.text(), 60, "it is held")
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity, 5) == "CANCELLED"
    stack.ecr.control("/__fail", {})


def test_a_registry_that_is_away_is_pushed_to_until_it_is_back(stack, worker, repo):
    files = {"Dockerfile": "FROM busybox\nRUN echo now-running && sleep 2 && date +%N > /now\n"}
    cancelled, built = (stack.api.enqueue(stack.job(repo(dict(files)).name)) for _ in range(2))
    for identity in (cancelled, built):
        stack.api.wait_log(identity, "now-running")
    stack.ecr.control("/__fail", {"refuse": "[A-Z]+ /v2/.*"})
    for identity in (cancelled, built):
        stack.api.wait_log(identity, "The image registry is away")
    began = time.monotonic()
    stack.api.cancel(cancelled)
    assert stack.api.wait_end(cancelled, 5) == "CANCELLED" and time.monotonic() - began < 2
    time.sleep(20)  # Longer than six tries.
    stack.ecr.control("/__fail", {})
    assert stack.api.wait_end(built) == "BUILDED", stack.api.log_text(built)
    log = stack.api.log_text(built)
    assert log.count("The image registry is away") == 1 and log.count("The image registry is back") == 1, log
    said = [line for line in worker.text().splitlines() if re.search(rf"deployment={built} .*registry away", line)]
    assert len(said) == 1 and re.search(rf"deployment={built} .*the registry is back", worker.text())


def test_a_page_in_the_registrys_place_costs_no_deployment(stack, worker, repo):
    stack.ecr.control("/__fail", {"refuse": "[A-Z]+ /v2/.*/manifests/(latest|sha256:.*)", "page": 404})
    identity = stack.api.enqueue(stack.job(repo().name))
    stack.api.wait_log(identity, "starts again by itself")
    assert "something that is not the registry answered" in worker.text()
    assert "look at AWS_REGION" in worker.text() and stack.api.final_posts(identity) == []
    stack.ecr.control("/__fail", {})
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
