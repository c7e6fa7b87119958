"""Repositories that `git clone` takes, from the queue to the image; and what is said of those it does not."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import urllib.parse

import pytest
from kit import invariants
from kit.git_server import PASSWORD, USER, Repository
from kit.large_files import ATTRIBUTES

DOCKERFILE = {"Dockerfile": "FROM busybox\nCOPY . /app\n", ".dockerignore": "nothing\n"}
FORMS_OF_PASSWORD = [PASSWORD, urllib.parse.quote(PASSWORD, safe=""), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]


def shell(repository: Repository, script: str, **env: str) -> str:
    return subprocess.run(["bash", "-ec", script], cwd=repository.work, check=True, capture_output=True, text=True,
                          env={**repository.env, "BARE": str(repository.bare), **env}).stdout.strip()


def deploy(stack, repository, **changes):
    identity = stack.api.enqueue(stack.job(repository.name, **changes))
    return identity, stack.api.wait_end(identity, 120)


def test_a_tree_with_zeros_in_its_modes(stack, worker, repo):
    repository = repo(DOCKERFILE)
    shell(repository, r"""
        D=$(git rev-parse HEAD:Dockerfile); I=$(echo inner | git hash-object -w --stdin)
        S=$(printf '100644 blob %s\tinner.txt\n' "$I" | git mktree)
        T=$({ printf '100644 Dockerfile\0'; printf "$(echo "$D" | sed 's/../\\x&/g')"; printf '040000 sub\0'; printf "$(echo "$S" | sed 's/../\\x&/g')"; } |
          git hash-object -t tree -w --literally --stdin)
        git push -q -f "$BARE" "$(git commit-tree -m zero "$T")":refs/heads/main""")
    identity, status = deploy(stack, repository)
    assert status == "BUILDED", stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/app/sub/inner.txt"]).strip() == "inner"


def test_a_sha256_repository(stack, worker, repo):
    repository = repo()
    shell(repository, """
        rm -rf .git "$BARE"; git init -q -b main --object-format=sha256; git init -q --bare -b main --object-format=sha256 "$BARE"
        printf 'FROM busybox\\nCOPY . /app\\n' > Dockerfile; echo one > a.txt; git add -A; git commit -qm one; git push -q "$BARE" main""")
    identity, status = deploy(stack, repository)
    assert status == "BUILDED", stack.api.log_text(identity)
    assert stack.output_of(identity, ["cat", "/app/a.txt"]).strip() == "one"


def test_a_gitlink_without_gitmodules_is_an_empty_folder_and_a_warning(stack, worker, repo):
    repository = repo(DOCKERFILE)
    shell(repository, "git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,vendor/lib;"
                      "git commit -qm gitlink; git push -q \"$BARE\" HEAD:main")
    identity, status = deploy(stack, repository)
    assert status == "BUILDED", stack.api.log_text(identity)
    assert "'vendor/lib' has no URL in .gitmodules" in stack.api.log_text(identity)
    assert stack.output_of(identity, ["ls", "-A", "/app/vendor/lib"]).strip() == ""


def test_a_tag_in_place_of_the_branch_and_by_its_sha(stack, worker, repo):
    repository = repo(DOCKERFILE)
    tag = shell(repository, 'git tag -a -m v1 v1.0; git push -q "$BARE" v1.0; git rev-parse v1.0')
    for changes in ({"branch": "v1.0"}, {"commitSha": tag}):
        identity, status = deploy(stack, repository, **changes)
        assert status == "BUILDED", stack.api.log_text(identity)


def test_an_empty_repository_is_said_to_be_empty(stack, worker, repo):
    repository = repo(DOCKERFILE)
    shell(repository, 'git -C "$BARE" update-ref -d refs/heads/main')
    identity, status = deploy(stack, repository)
    assert status == "FAILED" and "has no commits yet" in stack.api.error_of(identity)


@pytest.mark.parametrize("fails", ["quota", "missing", "submodule"])
def test_no_failure_leaves_the_password_in_a_file(stack, worker, repo, fails):
    content = os.urandom(1_000)
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1000\n"
    repository = repo({**DOCKERFILE, ".gitattributes": ATTRIBUTES, "big.bin": pointer})
    if fails == "quota":
        stack.git.large_files.refusal = (403, "This repository is over its data quota.")
    if fails == "submodule":
        outer = repo(DOCKERFILE)
        shell(outer, f"printf '[submodule \"s\"]\\n path = s\\n url = ../{repository.name.split('/')[1]}.git\\n' > .gitmodules;"
                     f"git add -A; git update-index --add --cacheinfo 160000,{repository.git('rev-parse', 'HEAD')},s;"
                     "git commit -qm sub; git push -q \"$BARE\" HEAD:main")
        repository = outer
    try:
        identity, status = deploy(stack, repository)
    finally:
        stack.git.large_files.refusal = None
    assert status == "FAILED", stack.api.log_text(identity)
    expected = "over its data quota" if fails == "quota" else "big.bin"
    assert expected in stack.api.error_of(identity)
    assert invariants.secrets_in(FORMS_OF_PASSWORD, {"log": worker.text().encode()}, worker.work_dir) == []


def test_the_operators_proxy_holds_for_git(stack, make_worker, repo):
    make_worker(http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1")
    repository = repo(DOCKERFILE)
    identity, status = deploy(stack, repository)
    assert status == "BUILDED", stack.api.log_text(identity)
    provider = stack.git.provider(url=f"http://localhost:{stack.git.port}/public")
    identity, status = deploy(stack, repository, gitProvider=provider)
    assert status == "FAILED", stack.api.log_text(identity)


def test_proxies_are_a_builds_own_only_by_option_and_never_in_the_cache_key(stack, make_worker, repo):
    repository = repo({"Dockerfile": "FROM busybox\nRUN echo \"proxy=$http_proxy\"; date > /built\n"})
    worker = make_worker(http_proxy="http://proxy.invalid:3128", no_proxy="127.0.0.1,localhost", BUILD_PROXY="true")
    identity, status = deploy(stack, repository)
    assert status == "BUILDED" and "proxy=http://proxy.invalid:3128" in stack.api.log_text(identity)
    worker.stop()
    make_worker()
    repository.commit({"other": "x"})
    identity, status = deploy(stack, repository)
    assert status == "BUILDED" and "CACHED" in stack.api.log_text(identity), stack.api.log_text(identity)
