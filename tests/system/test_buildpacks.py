"""Deployments without a Dockerfile: the real lifecycle on a BuildKit, from the queue to an answer over HTTP."""

from __future__ import annotations

import json
import urllib.request

import pytest
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.cnb import NODE_APP, STATIC_APP, reference
from kit.images import RegistryClient, busybox_layer
from kit.registry import EcrFront
from kit.process import free_port, stopped_at_end, wait_for, wait_gone

# The lifecycle pushes: no image is left at an Engine.
pytestmark = pytest.mark.every_buildkit


@pytest.fixture(scope="session")
def images(servers):
    """The registry that holds builders and run images."""
    return RegistryClient(f"127.0.0.1:{servers.registry.port}")


@pytest.fixture(scope="session")
def builder(images):
    return cnb.push_builder(images, cnb.Builder())


@pytest.fixture
def cnb_worker(make_worker, builder):
    def make(**changes):
        # The registries listen on this machine's loopback only.
        return make_worker(**{"CNB_BUILDER": builder, "CNB_NETWORK": "host", **changes})

    return make


def deploy(stack, repository, timeout=120, **changes):
    identity = stack.api.enqueue(stack.job(repository.name, **changes))
    return identity, stack.api.wait_end(identity, timeout)


def deployed(stack, repository, **changes):
    identity, status = deploy(stack, repository, **changes)
    assert status == "BUILDED", stack.api.log_text(identity)
    return identity, stack.api.log_text(identity)


def failing(stack, repository, **changes):
    identity, status = deploy(stack, repository, **changes)
    assert status == "FAILED", stack.api.log_text(identity)
    error = stack.api.error_of(identity)
    assert len(error) <= 191 and "\n" not in error
    assert "Dockerfile:" not in stack.api.log_text(identity)  # The generated one is nobody's business.
    return error, stack.api.log_text(identity)


def name_of(stack, identity):
    return f"deployra/{stack.api.deployments[identity].service}"


def config_of(stack, images, identity):
    return images.config(name_of(stack, identity), identity)["config"]


def answer_of(stack, identity, port=3000):
    """Runs the image as a node of the platform does and asks it over HTTP."""
    port = free_port()
    with stack.running(identity, {"PORT": str(port)}) as container:
        def asked():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    return answer.read().decode()
            except OSError:
                return ""

        try:
            return wait_for(asked, 20, "an answer over HTTP")
        except Exception as error:
            raise AssertionError(stack.docker.logs(container)) from error


def test_a_node_app_is_recognised_built_and_answers(stack, cnb_worker, repo, images):
    cnb_worker()
    repository = repo(NODE_APP)
    identity, log = deployed(stack, repository, ports=[{"servicePort": 80, "containerPort": 5001}])
    name = name_of(stack, identity)
    assert stack.ecr.digest_of(name, identity) == stack.ecr.digest_of(name, "latest")
    assert "No Dockerfile in the repository; building with buildpacks" in log
    for phase in ("ANALYZING", "DETECTING", "RESTORING", "BUILDING", "EXPORTING"):
        assert f" {phase}\n" in log, log
    assert "Buildpack test/node 0.1.0\n" in log
    assert "---> BP_NODE_VERSION=app BP_INCLUDE_FILES=* PORT=5001" in log
    assert "Built with test/node 0.1.0; process types: web, worker" in log
    assert "Timer:" not in log and "Running build" not in log
    assert answer_of(stack, identity) == NODE_APP["public/index.html"]
    config = config_of(stack, images, identity)
    assert config["Entrypoint"] == ["/cnb/process/web"]
    project = json.loads(config["Labels"]["io.buildpacks.project.metadata"])
    assert project["source"]["version"]["commit"] == repository.git("rev-parse", "HEAD").strip()
    assert "@" not in project["source"]["metadata"]["repository"]


def test_a_static_app_is_recognised_built_and_answers(stack, cnb_worker, repo):
    cnb_worker()
    identity, _ = deployed(stack, repo(STATIC_APP))
    assert answer_of(stack, identity) == STATIC_APP["index.html"]


def test_a_missing_dockerfile_is_named(stack, cnb_worker, repo):
    cnb_worker()
    _, log = deployed(stack, repo(STATIC_APP), runtimeFilePath="./docker/Dockerfile")
    assert "No Dockerfile at './docker/Dockerfile' in this commit; building with buildpacks" in log


@pytest.mark.parametrize("files, words, shown", [
    ({"README": "x"}, "No buildpack recognises this app", "fail: test/node@0.1.0"),
    ({**NODE_APP, "detect-error": ""}, "Buildpack test/node 0.1.0 failed while looking", "there is a file detect-error"),
    ({**NODE_APP, "fail-build": ""}, "Buildpack test/node 0.1.0 failed to build this app", "there is a file fail-build"),
    ({**NODE_APP, "fail-build": "npm error Missing script: \"build\"\n"},
     "Buildpack test/node 0.1.0 failed to build this app: package.json has no script \"build\"; add it, or change the command",
     "What to do: Scripts stand below"),
], ids=["20", "21", "51", "51 explained"])
def test_an_exit_code_becomes_a_line(stack, cnb_worker, repo, files, words, shown):
    cnb_worker()
    error, log = failing(stack, repo(files))
    assert words in error
    assert shown in log
    assert "CNB_" not in error


def test_the_second_build_reuses_cache_and_layers(stack, cnb_worker, repo, images):
    cnb_worker()
    repository = repo(NODE_APP)
    first, log = deployed(stack, repository)
    service = stack.api.deployments[first].service
    stamp = log.split("modules: installing ")[1].split()[0]
    repository.commit({"public/index.html": "changed\n"})
    second, log = deployed(stack, repository, serviceId=service)
    assert f"modules: restored {stamp}" in log
    assert "runtime: reusing layer" in log
    assert "Reusing layer 'test/node:runtime'" in log

    def layers(identity):
        return set(images.config(f"deployra/{service}", identity)["rootfs"]["diff_ids"])

    assert len(layers(first) - layers(second)) == 1  # The app's own.
    assert answer_of(stack, second) == "changed\n"
    # Nothing of earlier builds is used when its owner says so.
    third, log = deployed(stack, repository, serviceId=service, environmentVariables=[
        {"key": "CNB_CLEAR_CACHE", "value": "true"}])
    assert "runtime: making layer" in log and "modules: installing" in log and "restored" not in log
    stamp = log.split("modules: installing ")[1].split()[0]
    repository.commit({"public/index.html": "changed again\n"})
    assert f"modules: restored {stamp}" in deployed(stack, repository, serviceId=service)[1]


def test_the_services_variables_become_a_dotenv_and_by_option_the_builds(stack, cnb_worker, repo):
    variables = [{"key": "MARK", "value": "it's $HOME; \"x\""}, {"key": "bad name", "value": "x"}]
    repository = repo(NODE_APP)
    cnb_worker()
    identity, log = deployed(stack, repository, environmentVariables=variables)
    assert " MARK=\n" in log
    assert "MARK" in stack.output_of(identity, ["cat", "/workspace/.env"])


def test_variables_by_option_and_the_originals_node_version(stack, cnb_worker, repo):
    cnb_worker(CNB_USER_ENV="on", CNB_NODE_VERSION="18.*")
    _, log = deployed(stack, repo(NODE_APP), environmentVariables=[
        {"key": "MARK", "value": "it's $HOME"}, {"key": "bad name", "value": "x"}])
    assert "MARK=it's $HOME\n" in log and "BP_NODE_VERSION=18.*" in log
    assert "'bad name' is not given to the buildpacks" in log
    _, log = deployed(stack, repo(NODE_APP), environmentVariables=[{"key": "BP_NODE_VERSION", "value": "22"}])
    assert "BP_NODE_VERSION=22" in log


def test_project_toml_selects_files_and_variables(stack, cnb_worker, repo):
    cnb_worker()
    project = """[io.buildpacks]
builder = "evil.example/builder"
exclude = ["/docs", "*.md", ".env"]
[[io.buildpacks.build.env]]
name = "MARK"
value = "from project.toml"
"""
    identity, log = deployed(stack, repo({**NODE_APP, "docs/a": "x", "a.md": "x", "project.toml": project}),
                             environmentVariables=[{"key": "A", "value": "b"}])
    assert "MARK=from project.toml" in log
    assert "'evil.example/builder', which is not allowed here" in log
    found = stack.output_of(identity, ["find", "/workspace"])
    assert "/workspace/package.json" in found and ".git" not in found
    assert not any(name in found for name in ("docs", "a.md", ".env"))
    error, _ = failing(stack, repo({**NODE_APP, "project.toml": "[[io.buildpacks.group]]\nuri = 'https://x'\n"}))
    assert "project.toml: choosing buildpacks" in error


def test_no_git_and_no_login_in_the_image(stack, cnb_worker, repo):
    cnb_worker()
    identity, _ = deployed(stack, repo(NODE_APP))
    assert stack.output_of(identity, ["find", "/workspace", "-name", ".git"]) == ""
    assert stack.output_of(identity, ["grep", "-rlE", "cnb-login|\"auths\"", "/workspace", "/layers", "/cnb"]) == ""


def test_a_hostile_buildpack_finds_no_login(stack, cnb_worker, repo, images):
    more = cnb.push_builder(images, cnb.Builder(name="cnb/spy-builder", order=["test/spy"]))
    worker = cnb_worker(CNB_BUILDER=more)
    identity, log = deployed(stack, repo({"spy": ""}))
    assert "spy: uid=1001" in log and "SPY FOUND" not in log, log
    # A link in the place of a result is not followed to the login.
    error, log = failing(stack, repo({"spy": "link"}))
    assert "spy: linked report.toml" in log
    assert '"auths"' not in log + worker.text() and "QVdTOg" not in log + worker.text()


def test_bindings_and_a_mirror_reach_the_buildpacks_as_their_own_files(stack, cnb_worker, repo, tmp_path):
    folder = tmp_path / "bindings" / "npm"
    folder.mkdir(parents=True)
    (folder / "type").write_text("npmrc")
    (folder / ".npmrc").write_text("//npm.example/:_authToken=binding-secret-1\n")
    cnb_worker(CNB_BINDINGS=str(folder.parent), CNB_DEPENDENCY_MIRROR="https://u:mirror-pass-1@mirror.example/{originalHost}")
    identity, log = deployed(stack, repo(NODE_APP))
    assert "---> binding npm/.npmrc 1001:1002 400" in log or "---> binding npm/type 1001:1002 400" in log
    assert "---> binding deployra-dependency-mirror/default 1001:1002 400" in log
    assert "binding-secret-1" not in log and "mirror-pass-1" not in log
    assert "binding" not in stack.output_of(identity, ["find", "/", "-name", "*binding*", "-not", "-path", "/proc/*",
                                                       "-not", "-path", "/sys/*"])


def test_wrong_logins_and_names_fail_at_once_with_clear_words(stack, cnb_worker, repo, images, tmp_path, request):
    closed = EcrFront(tmp_path, stack.moto, stack.registry).start()  # No login of ours is good there.
    request.addfinalizer(closed.stop)
    for changes, words in (({"CNB_BUILDER": f"{images.host}/cnb/nothing"}, "does not exist"),
                           ({"CNB_BUILDER": f"{closed.host}/cnb/builder"}, "does not exist or its registry refuses"),
                           ({"CNB_RUN_IMAGE": f"{closed.host}/cnb/run"}, "does not exist or its registry refuses"),
                           ({"CNB_RUN_IMAGE": f"{images.host}/cnb/nothing:1"}, "Run image"),
                           ({"CNB_BUILDER": "Not A Reference"}, "does not exist")):
        worker = cnb_worker(**changes)
        error, log = failing(stack, repo(NODE_APP))
        assert words in error, (changes, error)
        assert "registry, trying again" not in worker.text() and "Trying again" not in log, changes
        worker.stop()


def test_a_private_builder_and_run_image_are_read_with_our_login(stack, cnb_worker, repo, images):
    for name in ("cnb/private-builder", "cnb/private-run"):
        if name not in str(stack.ecr.api("DescribeRepositories")):
            stack.ecr.api("CreateRepository", repositoryName=name)
    cnb.push_builder(images, cnb.Builder(name="cnb/private-builder", run="cnb/private-run",
                                         run_reference=f"{stack.ecr.host}/cnb/private-run"))
    cnb_worker(CNB_BUILDER=f"{stack.ecr.host}/cnb/private-builder")
    identity, _ = deployed(stack, repo(STATIC_APP))
    assert answer_of(stack, identity) == STATIC_APP["index.html"]


@pytest.mark.parametrize("kind, words", [
    (cnb.Builder(name="cnb/no-ids", ids=False), "CNB_USER_ID"),
    (cnb.Builder(name="cnb/extended", extensions=True), "image extensions"),
    (cnb.Builder(name="cnb/future", platform_apis=["0.99"]), "none of the platform APIs"),
], ids=["no-ids", "extensions", "api"])
def test_builders_that_cannot_be_used_are_refused(stack, cnb_worker, repo, images, kind, words):
    cnb_worker(CNB_BUILDER=cnb.push_builder(images, kind))
    error, _ = failing(stack, repo(NODE_APP))
    assert words in error


@pytest.mark.parametrize("kind", [
    cnb.Builder(name="cnb/no-labels", labels=False),
    cnb.Builder(name="cnb/no-labels-stack", labels=False, files=("stack.toml",)),
    cnb.Builder(name="cnb/stack", files=("stack.toml",)),
    cnb.Builder(name="cnb/run-only-old", files=("run.toml",), platform_apis=["0.7", "0.11"]),
    cnb.Builder(name="cnb/no-file", files=()),
], ids=lambda kind: kind.name.split("/")[1])
def test_odd_builders_work(stack, cnb_worker, repo, images, kind):
    cnb_worker(CNB_BUILDER=cnb.push_builder(images, kind))
    identity, _ = deployed(stack, repo(STATIC_APP))
    assert answer_of(stack, identity) == STATIC_APP["index.html"]


def test_the_run_image_is_taken_from_the_mirror_that_answers(stack, cnb_worker, repo, images):
    kind = cnb.Builder(name="cnb/mirrored", run_reference=f"127.0.0.1:{free_port()}/cnb/run",
                       mirrors=[f"{images.host}/cnb/run"])
    cnb_worker(CNB_BUILDER=cnb.push_builder(images, kind))
    deployed(stack, repo(STATIC_APP), timeout=180)


def test_an_untrusted_builder_runs_phase_by_phase(stack, cnb_worker, repo, images, tmp_path):
    lifecycle = cnb.push_lifecycle(images)
    spy = cnb.push_builder(images, cnb.Builder(name="cnb/spy-untrusted", order=["test/spy", "test/node", "test/static"]))
    folder = tmp_path / "bindings" / "npm"
    folder.mkdir(parents=True)
    (folder / "type").write_text("npmrc")
    cnb_worker(CNB_BUILDER=spy, CNB_TRUSTED_BUILDERS="acme/other", CNB_BINDINGS=str(folder.parent),
               CNB_LIFECYCLE_IMAGE=lifecycle.replace(cnb.VERSION, "{version}"))
    repository = repo(NODE_APP)
    first, log = deployed(stack, repository)
    assert "untrusted: phase by phase" in log and "---> binding" not in log
    for phase in ("ANALYZING", "DETECTING", "RESTORING", "BUILDING", "EXPORTING"):
        assert f" {phase}\n" in log, log
    assert "Buildpack test/node 0.1.0\n" in log
    assert answer_of(stack, first) == NODE_APP["public/index.html"]
    service = stack.api.deployments[first].service
    second, log = deployed(stack, repository, serviceId=service)
    assert "modules: restored" in log and "runtime: reusing layer" in log
    _, log = deployed(stack, repo({"spy": ""}))
    assert "spy: uid=1001" in log and "SPY FOUND" not in log, log
    for files, words in (({"README": "x"}, "No buildpack recognises"),
                         ({**NODE_APP, "detect-error": ""}, "test/node 0.1.0 failed while looking"),
                         ({**NODE_APP, "fail-build": ""}, "test/node 0.1.0 failed to build")):
        assert words in failing(stack, repo(files))[0]


@pytest.mark.parametrize("where", ["detect", "build"])
def test_a_cancel_ends_the_build_in_every_phase(stack, cnb_worker, repo, where):
    cnb_worker()
    identity = stack.api.enqueue(stack.job(repo({**NODE_APP, f"slow-{where}": ""}).name))
    # What a detecting buildpack prints comes when it is done.
    stack.api.wait_log(identity, " DETECTING" if where == "detect" else "building slowly", 60)
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    wait_gone("sleep 600", 20)
    assert stack.ecr.digest_of(name_of(stack, identity), "latest") is None


def test_a_cancel_while_the_image_goes_out_leaves_latest_alone(stack, cnb_worker, repo):
    cnb_worker()
    stack.ecr.control("/__fail", {"delay": 5})
    identity = stack.api.enqueue(stack.job(repo(NODE_APP).name))
    stack.api.wait_log(identity, " EXPORTING", 90)
    stack.api.cancel(identity)
    assert stack.api.wait_end(identity) == "CANCELLED"
    stack.ecr.control("/__fail", {})
    assert stack.ecr.digest_of(name_of(stack, identity), "latest") is None


def test_an_expired_token_is_renewed_and_a_busy_registry_asked_again(stack, cnb_worker, repo):
    cnb_worker()
    repository = repo(NODE_APP)
    identity, _ = deployed(stack, repository)
    stack.ecr.control("/__expire")
    deployed(stack, repository, serviceId=stack.api.deployments[identity].service)


def test_a_cache_that_cannot_be_read_is_ignored(stack, cnb_worker, repo, images):
    """The lifecycle ends with 42 when it cannot restore; then it is run again without what was kept."""
    broken = cnb.push_builder(images, cnb.Builder(name="cnb/broken-restore", broken_restore=True))
    cnb_worker(CNB_BUILDER=broken)
    repository = repo(NODE_APP)
    _, log = deployed(stack, repository)
    assert "What earlier builds left cannot be used; building without it" in log


def test_two_builds_of_one_service_share_the_cache_one_after_the_other(stack, cnb_worker, repo):
    cnb_worker()
    cnb_worker(REDIS_QUEUE_NAME="other-queue")
    repository = repo(NODE_APP)
    first = stack.job(repository.name)
    second = stack.job(repository.name, serviceId=first["serviceId"])
    variables = [{"key": "TEST_INSTALL_SECONDS", "value": "2"}]
    stack.api.enqueue({**first, "environmentVariables": variables})
    stack.api.enqueue(second, "other-queue")
    logs = []
    for job in (first, second):
        assert stack.api.wait_end(job["deploymentId"], 120) == "BUILDED", stack.api.log_text(job["deploymentId"])
        logs.append(stack.api.log_text(job["deploymentId"]))
    # Whichever came second found what the other had left.
    assert sorted("modules: restored" in log for log in logs) == [False, True]


def test_the_image_is_the_one_another_platform_makes(stack, cnb_worker, repo, images, builder, tmp_path):
    """Same app, same builder, the lifecycle run by buildctl: the digests are equal where the output is reproducible."""
    cnb_worker(IMAGE_EPOCH="off")
    identity, _ = deployed(stack, repo(STATIC_APP))
    source = json.loads(config_of(stack, images, identity)["Labels"]["io.buildpacks.project.metadata"])["source"]
    metadata = (f'[source]\ntype = "git"\n[source.version]\ncommit = "{source["version"]["commit"]}"\n'
                f'[source.metadata]\nrepository = "{source["metadata"]["repository"]}"\n')
    engine = Buildkitd(tmp_path)
    with stopped_at_end(engine):
        digest, _ = reference.build(engine.start(), builder, STATIC_APP, f"{images.host}/reference/{identity}:1", identity,
                                 identity, metadata=metadata, flags=f"-run-image {images.host}/cnb/run")
    assert digest == stack.ecr.digest_of(name_of(stack, identity), identity)


@pytest.mark.one_engine
def test_builder_and_run_image_stay_pinned_and_labels_are_asked_for(stack, cnb_worker, repo, images):
    kind = cnb.Builder(name="cnb/pinned:1", run="cnb/pinned-run:1")
    cnb_worker(CNB_BUILDER=cnb.push_builder(images, kind), BASE_IMAGES="pinned", IMAGE_LABELS="oci")
    repository = repo(STATIC_APP)
    service = {"serviceId": "pinned-buildpacks"}
    before = images.config("cnb/pinned-run", "1")["rootfs"]["diff_ids"]
    first, _ = deployed(stack, repository, **service)
    labels = config_of(stack, images, first)["Labels"]
    assert labels["org.opencontainers.image.source"] == f"{stack.git.url}/{repository.name}.git"
    images.push_image(kind.run, [busybox_layer(1, 2)], images.config("cnb/pinned-run", "1")["config"])
    second, log = deployed(stack, repository, **service)
    assert f"Pinned base images: {images.host}/cnb/pinned:1 at " in log and f"{images.host}/cnb/pinned-run:1 at " in log
    third, log = deployed(stack, repository, **service, environmentVariables=[{"key": "DEPLOYRA_BUILD_NO_CACHE", "value": "true"}])
    assert f"The base image {images.host}/cnb/pinned-run:1 has moved" in log
    bases = [images.config(name_of(stack, each), each)["rootfs"]["diff_ids"][0] for each in (first, second, third)]
    assert bases[:2] == before * 2 and bases[2] not in before
