"""Images for several platforms: one index, and a worker that takes nothing where its engine makes none."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.images import INDEX, MANIFEST, PATH, RegistryClient, busybox_layer, digest_of
from kit.process import stopped_at_end, wait_for, wait_gone
from kit.scanner import push_scanner
from kit.worker import BINARY

SECRET = {"key": "API_TOKEN", "value": "tok_5fPq8Zr2Wn7Tb9Yc"}
APP = {"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", ".dockerignore": ".env\n",
       "amd64": "amd64", "arm64": "arm64 " + SECRET["value"]}


@pytest.mark.both_engines
def test_a_service_is_one_index_of_images_for_all_platforms(stack, make_worker, repo):
    if not isinstance(stack.engine, Buildkitd):
        # It keeps one platform: the operator's affair, which costs no deployment.
        worker = make_worker(start=False, PLATFORMS="linux/amd64,linux/arm64")
        worker.start(ready=False)
        wait_for(lambda: "look at PLATFORMS" in worker.not_ready(), 30, "not ready")
        identity = stack.api.enqueue(stack.job(repo({**APP, "deployra.toml": '[build]\nplatform = "linux/amd64"\n'}).name))
        worker.stop()
        make_worker()
        assert stack.api.wait_end(identity, 60) == "BUILDED"
        asked = repo({**APP, "deployra.toml": '[build]\nplatform = "linux/amd64,linux/arm64"\n'})
        identity = stack.api.enqueue(stack.job(asked.name))
        assert stack.api.wait_end(identity, 60) == "FAILED"
        assert "name one platform" in stack.api.error_of(identity)
        return
    make_worker(PLATFORMS="linux/amd64,linux/arm64", IMAGE_REFERENCE="digest", ATTESTATIONS="required",
                BUILDER_ID="https://builds.example.com", SBOM_SCANNER=push_scanner(RegistryClient(stack.registry.host)))
    identity = stack.api.enqueue(stack.job(repo(APP).name, environmentVariables=[SECRET]))
    assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
    name = f"deployra/{stack.api.deployments[identity].service}"
    registry = RegistryClient(f"127.0.0.1:{stack.ecr.registry.port}")
    indexes = [registry.call("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": INDEX})[2] for tag in (identity, "latest")]
    assert indexes[0] == indexes[1]
    assert [image["platform"]["architecture"] for image in json.loads(indexes[0])["manifests"]] == ["amd64", "arm64"]
    # One provenance for all, and of each image what is in it.
    index = json.loads(indexes[0])["manifests"]
    assert [len(stack.ecr.referrers(name, one)) for one in (digest_of(indexes[0]), *(image["digest"] for image in index))] == [1, 1, 1]
    # Only the second image holds it.
    log = stack.api.log_text(identity)
    assert "Secret in the image: variable API_TOKEN in /arch" in log, log
    assert "This engine runs nothing for linux/arm64" in log and "[linux/arm64 1/1] COPY arm64 /arch" in log, log


@pytest.mark.every_buildkit
def test_a_base_image_that_is_not_for_the_platform_is_named_with_what_it_is_for(stack, make_worker, repo):
    registry = RegistryClient(stack.registry.host)
    index, plain = f"t/index-{stack.engine.name}", f"t/plain-{stack.engine.name}"
    registry.push_index(f"{index}:1", ["arm64", "s390x"])
    registry.push_image(f"{plain}:1", [busybox_layer()], {"Env": [PATH]})
    registry.push_index(f"{plain}:misnamed", ["amd64", "arm64"], configured="amd64")
    index, plain, misnamed = f"{registry.host}/{index}:1", f"{registry.host}/{plain}:1", f"{registry.host}/{plain}:misnamed"
    make_worker(BUILD_NETWORK_POLICY="any", MAX_CONCURRENT_JOBS="4")

    def deploy(dockerfile: str, platform: str = "linux/amd64,linux/arm64") -> str:
        knobs = f'[build]\nplatform = "{platform}"\n' if platform else ""
        return stack.api.enqueue(stack.job(repo({"Dockerfile": dockerfile, "a.txt": "a", "deployra.toml": knobs}).name))

    single = deploy(f"FROM busybox AS tools\nFROM {index}\nCOPY a.txt /\n", "")
    if stack.engine.name != "docker":  # That one makes images for one platform at a time.
        several = deploy(f"FROM {index}\nCOPY a.txt /\n")
        taken = deploy(f"FROM scratch AS unused\nFROM {plain} AS base\nFROM base\nCOPY a.txt /\nRUN sleep 60\n")
        flag = deploy(f"FROM --platform=linux/amd64 {plain}\nCOPY a.txt /\n")
        # What is only copied from may be for any machine; who says so himself is not even warned.
        copied = deploy(f"FROM {plain} AS tools\nFROM --platform=$BUILDPLATFORM {plain} AS cross\nFROM scratch\n"
                        f"COPY --from=tools /etc/passwd /\nCOPY --from=cross /etc/group /\nCOPY --from={plain} /etc/os-release /\n")
        # What an index says of its images is believed.
        believed = deploy(f"FROM {misnamed}\nCOPY a.txt /\n")
        assert failure_of(stack, several) == f'Dockerfile:1: base image "{index}" has no variant for linux/amd64; it is for linux/arm64, linux/s390x'
        assert failure_of(stack, taken) == (f'Dockerfile:2: base image "{plain}" is for linux/amd64 alone, and linux/arm64 is built of it as '
                                  "well; use one for both")
        assert failure_of(stack, flag) == ("Dockerfile:1: --platform=linux/amd64 makes the image for linux/arm64 of a base for linux/amd64; "
                                 "remove the flag")
        for identity in (copied, believed):
            assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
        log = stack.api.log_text(copied)
        assert f'Dockerfile:1: base image "{plain}" is for linux/amd64, not linux/arm64: its programs may not run there' in log, log
        assert "Dockerfile:2: base image" not in log and "Dockerfile:6: base image" not in log
    assert failure_of(stack, single) == f'Dockerfile:2: base image "{index}" has no variant for linux/amd64; it is for linux/arm64, linux/s390x'


def failure_of(stack, identity) -> str:
    assert stack.api.wait_end(identity, 60) == "FAILED", stack.api.log_text(identity)
    return stack.api.error_of(identity)


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_each_platform_has_a_buildkit_of_its_own(stack, make_worker, repo, tmp_path):
    registry = RegistryClient(stack.registry.host)
    registry.push_index("t/both:1", ["amd64", "arm64"])
    base = f"FROM {registry.host}/t/both:1\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n"
    # It runs nothing, whatever it says of its machine.
    other = Buildkitd(tmp_path, stack.engine.mirrors, name="arm64", options=("--oci-worker-platform=linux/arm64",))
    with stopped_at_end(other):
        hosts = f"linux/arm64={other.start().host},linux/amd64={stack.engine.host}"
        policy = tmp_path / "policy.toml"
        policy.write_text(f'[[images]]\nname = "own"\nfrom = ["{registry.host}/t/*", "{stack.registry.host}/sbom/*"]\n')
        worker = make_worker(BUILDKIT_HOST=hosts, PLATFORMS="linux/amd64,linux/arm64", IMAGE_REFERENCE="digest",
                             BUILD_NETWORK_POLICY="any", POLICY_FILE=str(policy), ATTESTATIONS="required",
                             BUILDER_ID="https://builds.example.com", SBOM_SCANNER=push_scanner(registry))

        def deploy(**files: str) -> str:
            return stack.api.enqueue(stack.job(repo({**APP, **files}).name, environmentVariables=[SECRET]))

        identity = deploy(Dockerfile=base)
        broken = stack.api.enqueue(stack.job(repo({"Dockerfile": base + "RUN sleep 100\n", "amd64": "x"}).name))
        assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
        name = f"deployra/{stack.api.deployments[identity].service}"
        pushed = RegistryClient(f"127.0.0.1:{stack.ecr.registry.port}")
        indexes = [pushed.call("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": INDEX})[2] for tag in (identity, "latest")]
        assert indexes[0] == indexes[1]
        images = json.loads(indexes[0])["manifests"]
        assert [image["platform"]["architecture"] for image in images] == ["amd64", "arm64"]
        assert [pushed.config(name, image["digest"])["architecture"] for image in images] == ["amd64", "arm64"]
        log = stack.api.log_text(identity)
        assert "[linux/amd64 2/2] COPY amd64 /arch" in log and "[linux/arm64 2/2] COPY arm64 /arch" in log, log
        assert "Secret in the image: variable API_TOKEN in /arch" in log, "only the second image holds it"
        # One provenance for all, and of each image what is in it.
        papers = [len(stack.ecr.referrers(name, one)) for one in (digest_of(indexes[0]), *(image["digest"] for image in images))]
        assert papers == [1, 1, 1]
        assert "busybox" in failure_of(stack, deploy(Dockerfile="FROM busybox\nCOPY a.txt /\n", **{"a.txt": "x"}))
        assert f"engine linux/amd64={stack.engine.host}, linux/arm64={other.host}" in worker.text()
        # One solve has ended when the other is cancelled.
        cancelled = deploy(Dockerfile=base + "RUN [ $TARGETARCH = arm64 ] || { echo now-running && sleep 1034; }\n")
        stack.api.wait_output(cancelled, "now-running")
        stack.api.cancel(cancelled)
        assert stack.api.wait_end(cancelled, 60) == "CANCELLED"
        wait_gone("sleep 1034", 10)
        # The other one is stopped, and not waited for.
        assert stack.api.wait_end(broken, 60) == "FAILED"
        assert stack.api.error_of(broken).startswith("[linux/arm64] Dockerfile:3: "), stack.api.error_of(broken)
        other.stop()
        wait_for(lambda: other.address in worker.not_ready() and "BUILDKIT_HOST" in worker.not_ready(), 30, "not ready")
        looked = json.loads(subprocess.run([str(BINARY), "doctor", "--json"], cwd=tmp_path, env=worker.environment, timeout=60,
                                           capture_output=True, text=True, check=False).stdout)
        servers = {finding["what"]: finding for finding in looked["findings"] if finding["group"] == "engine"}
        assert servers["server for linux/amd64"]["state"] == "ok", servers
        assert servers["server for linux/arm64"]["setting"] == "BUILDKIT_HOST" and other.address in servers["server for linux/arm64"]["text"]
        identity = deploy(Dockerfile=base + "LABEL a=b\n")
        other.start()
        assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
        assert stack.api.statuses(identity).count("BUILDING") == 1


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_steps_are_emulated_where_that_is_allowed(stack, make_worker, repo, tmp_path):
    """Here the other way round: the machine says that it is another one, and runs what it would emulate."""
    other = Buildkitd(tmp_path, stack.engine.mirrors, name="arm64",
                      options=("--oci-worker-platform=linux/arm64", "--oci-worker-platform=linux/amd64"))
    copies = {"Dockerfile": "FROM busybox\nCOPY a.txt /\n", "a.txt": "a", "deployra.toml": '[build]\nplatform = "linux/amd64"\n'}
    runs = {**copies, "Dockerfile": "FROM busybox\nCOPY a.txt /\nRUN echo now-running\n"}

    def deploy(files: dict[str, str]) -> str:
        return stack.api.enqueue(stack.job(repo(files).name))

    with stopped_at_end(other):
        settings = {"BUILDKIT_HOST": other.start().host, "REUSE_IMAGES": "0"}
        worker = make_worker(**settings, PLATFORM_EMULATION="refuse")
        copied, refused = deploy(copies), deploy(runs)
        assert stack.api.wait_end(copied, 60) == "BUILDED", stack.api.log_text(copied)
        assert failure_of(stack, refused) == ("Dockerfile:3: RUN for linux/amd64 needs emulation, which is off here (the build "
                                               "machine is linux/arm64); use a stage FROM --platform=$BUILDPLATFORM")
        assert not stack.api.outputs(refused, "now-running")
        assert "PLATFORM_EMULATION" in worker.text()
        assert "emulated" not in stack.api.log_text(copied)
        worker.stop()
        worker = make_worker(**settings)
        allowed = deploy(runs)
        assert stack.api.wait_end(allowed, 60) == "BUILDED", stack.api.log_text(allowed)
        assert "Programs for linux/amd64 are emulated here, on a machine that is linux/arm64" in stack.api.log_text(allowed)
        worker.stop()
        # What is there already need not run.
        make_worker(**settings, PLATFORM_EMULATION="refuse")
        cached = deploy(runs)
        assert stack.api.wait_end(cached, 60) == "BUILDED", stack.api.log_text(cached)


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_images_are_used_again_on_another_machine_than_most(stack, make_worker, repo, tmp_path):
    registry = RegistryClient(stack.registry.host)
    registry.push_index("t/arm-only:1", ["arm64"])
    other = Buildkitd(tmp_path, stack.engine.mirrors, name="arm64", options=("--oci-worker-platform=linux/arm64",))
    with stopped_at_end(other):
        worker = make_worker(BUILDKIT_HOST=other.start().host, PLATFORMS="linux/arm64", BUILD_NETWORK_POLICY="any")
        job = stack.job(repo({"Dockerfile": f"FROM {registry.host}/t/arm-only:1\nCOPY a.txt /\n", "a.txt": "a", ".dockerignore": ".env\n"}).name)
        for again in range(2):
            identity = stack.api.enqueue({**job, "deploymentId": f"{job['deploymentId']}-{again}"})
            assert stack.api.wait_end(identity, 60) == "BUILDED", stack.api.log_text(identity)
            assert worker.metric("deployra_builder_images_reused_total") == again


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_buildpacks_make_an_image_for_another_machine(stack, make_worker, repo, tmp_path):
    """On an engine that says it is that machine."""
    registry = RegistryClient(stack.registry.host)
    cnb.push_builder(registry, cnb.Builder(name="cnb/builder-arm64", run="cnb/run-arm64", architecture="arm64"))
    # Who takes its amd64 image finds no builder.
    registry.push_index_of("cnb/builder-arm64:both", {
        "amd64": registry.push_image("cnb/builder-arm64:plain", [busybox_layer()], {"Env": [PATH]}),
        "arm64": digest_of(registry.call("GET", "/v2/cnb/builder-arm64/manifests/latest", headers={"Accept": MANIFEST})[2])})
    builder, plain = f"{registry.host}/cnb/builder-arm64:both", cnb.push_builder(registry, cnb.Builder())
    other = Buildkitd(tmp_path, stack.engine.mirrors, name="arm64", options=("--oci-worker-platform=linux/arm64",))

    def deploy(knobs: str) -> str:
        return stack.api.enqueue(stack.job(repo({**cnb.NODE_APP, "deployra.toml": f"[build]\n{knobs}\n"}).name))

    with stopped_at_end(other):
        settings = {"BUILDKIT_HOST": other.start().host, "CNB_BUILDER": builder, "CNB_NETWORK": "host"}
        worker = make_worker(**settings)
        identity = deploy('platform = "linux/arm64"')
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
        pushed = RegistryClient(f"127.0.0.1:{stack.ecr.registry.port}")
        assert pushed.config(f"deployra/{stack.api.deployments[identity].service}", identity)["architecture"] == "arm64"
        assert "emulated" not in stack.api.log_text(identity)
        assert failure_of(stack, deploy('platform = "linux/s390x"')) == (
            f"Builder {builder} has no variant for linux/s390x; the operator can choose another")
        several = failure_of(stack, deploy('platform = "linux/s390x,linux/arm64"'))
        assert several == f"Builder {builder} has no variant for linux/s390x; the operator can choose another"
        worker.stop()
        worker = make_worker(**{**settings, "BUILDKIT_HOST": f"linux/arm64={other.host},linux/amd64={stack.engine.host}"})
        identity = deploy('platform = "linux/arm64"')
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
        assert "This engine runs nothing for linux/arm64" not in stack.api.log_text(identity)
        worker.stop()
        make_worker(**settings, PLATFORMS="linux/amd64,linux/arm64", PLATFORM_EMULATION="refuse", CNB_ALLOWED_BUILDERS=plain)
        identity = deploy(f'builder_image = "{plain}"')
        amd64 = "Builders for linux/amd64 need emulation, which is off here (the build machine is linux/arm64)"
        assert failure_of(stack, identity) == amd64
        log = stack.api.log_text(identity)
        assert f"No image is made for linux/amd64: {amd64}" in log, log
        assert f"No image is made for linux/arm64: Builder {plain} has no variant for linux/arm64" in log, log


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_buildpacks_make_one_index_of_images_for_several_machines(stack, make_worker, repo, tmp_path):
    """Each on an engine that says it is that machine, then both on one that says it is both."""
    registry = RegistryClient(stack.registry.host)
    digests = {}
    for machine in ("amd64", "arm64"):
        # The lifecycle's program is this machine's, and of an index it would take that one's run image.
        cnb.push_builder(registry, cnb.Builder(name="cnb/for-several", run=f"cnb/run-for-{machine}", architecture=machine))
        digests[machine] = digest_of(registry.call("GET", "/v2/cnb/for-several/manifests/latest", headers={"Accept": MANIFEST})[2])
    registry.push_index_of("cnb/for-several:1", digests)
    builder = f"{registry.host}/cnb/for-several:1"
    other = Buildkitd(tmp_path, stack.engine.mirrors, name="arm64",
                      options=("--oci-worker-platform=linux/arm64", "--oci-worker-platform=linux/amd64"))
    pushed = RegistryClient(f"127.0.0.1:{stack.ecr.registry.port}")
    repository = repo(cnb.NODE_APP)

    def stamps(log: str, done: str) -> set[str]:
        return set(re.findall(rf"modules: {done} (\S+)", log))

    def deploy() -> tuple[str, str, list[dict[str, Any]]]:
        identity = stack.api.enqueue(stack.job(repository.name, serviceId="several-machines"))
        assert stack.api.wait_end(identity, 120) == "BUILDED", stack.api.log_text(identity)
        index = json.loads(pushed.call("GET", f"/v2/deployra/several-machines/manifests/{identity}", headers={"Accept": INDEX})[2])
        return identity, stack.api.log_text(identity), index["manifests"]

    with stopped_at_end(other):
        settings = {"CNB_BUILDER": builder, "CNB_NETWORK": "host", "PLATFORMS": "linux/amd64,linux/arm64"}
        hosts = f"linux/arm64={other.start().host},linux/amd64={stack.engine.host}"
        worker = make_worker(**settings, BUILDKIT_HOST=hosts, ATTESTATIONS="required", BUILDER_ID="https://builds.example.com")
        identity, log, images = deploy()
        assert [pushed.config("deployra/several-machines", image["digest"])["architecture"] for image in images] == ["amd64", "arm64"]
        assert "[linux/amd64] DETECT" in log and "[linux/arm64] DETECT" in log, log
        for tag in (f"{identity}-for-linux-amd64", f"{identity}-for-linux-arm64", "latest"):
            assert "manifests" in json.loads(pushed.call("GET", f"/v2/deployra/several-machines/manifests/{tag}", headers={"Accept": INDEX})[2])
        again = deploy()[1]
        assert stamps(again, "restored") == stamps(log, "installing") and again.count("Reusing layer 'test/node:runtime'") == 2, again
        failed = failure_of(stack, stack.api.enqueue(stack.job(repo({**cnb.NODE_APP, "fail-build": ""}).name)))
        assert re.match(r"\[linux/(amd64|arm64)] Buildpack test/node 0.1.0 failed to build this app", failed), failed
        worker.stop()
        make_worker(**settings, BUILDKIT_HOST=other.host)
        _, log, images = deploy()
        assert [image["platform"]["architecture"] for image in images] == ["amd64", "arm64"]
        made = stamps(log, "installing") | stamps(log, "restored")
        assert len(made) == 2 and stamps(deploy()[1], "restored") == made, "a cache for each"
