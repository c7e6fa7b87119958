"""Every command of a document is run: here, or where the table says."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
from kit.process import wait_for
from kit.worker import BINARY, ROOT

pytestmark = pytest.mark.one_engine

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SERVE = "API_KEY=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… build/release/deployra-builder"
CONFIG = "build/release/deployra-builder config"
BUILD = "tools/setup && cmake --preset release && cmake --build --preset release"
RUN_HERE = {SERVE, CONFIG, BUILD, "./demo"}
INSTALL = "test_packaging.py runs it, into a folder of its own"
BUILT = "test_build_verb.py runs it, with folders, repositories and registries of its own"
REPLAYED = "test_replay.py does it, with a deployment of its own"
DOCTOR = "test_doctor.py runs it"
THIS = "it runs this test, or would run those beside it a second time"
SIGNED = "test_policy.py signs base images so"
VERIFIED = "test_provenance.py verifies with cosign, against registries of its own"
ELSEWHERE = {
    "cmake --install build/release --prefix /usr": INSTALL,
    "systemd-sysusers": INSTALL,
    "systemd-tmpfiles --create deployra-builder.conf": INSTALL,
    "systemctl enable --now deployra-builder": "needs systemd as process 1; test_packaging.py has the unit verified",
    "build/release/deployra-builder doctor": DOCTOR,
    "docker exec CONTAINER deployra-builder doctor": DOCTOR,
    "systemd-run --pipe --wait --quiet -p User=deployra-builder -p SupplementaryGroups=docker    "
    "-p EnvironmentFile=/etc/deployra-builder/env -p WorkingDirectory=/var/lib/deployra-builder    "
    "-E WORK_DIR=/var/lib/deployra-builder deployra-builder doctor": "needs systemd as process 1; test_doctor.py runs the verb",
    "deployra-builder build": BUILT,
    "deployra-builder build --explain": BUILT,
    "deployra-builder build -t shop/web:1.2 --env-file .env web/": BUILT,
    "deployra-builder build https://github.com/shop/web#main": BUILT,
    "deployra-builder build --push registry.example.com/shop/web:1.2": BUILT,
    "deployra-builder build --env-file .env --push registry.example.com/shop/web:1.2": BUILT,
    "deployra-builder replay d0exampleexample0001 --env-file .env": REPLAYED,
    "deployra-builder replay d0exampleexample0001 --explain": REPLAYED,
    "deployra-builder replay d0exampleexample0001 --new-bases": REPLAYED,
    "openssl pkey -in signing.pem -pubout -out signing.pub": VERIFIED,
    "IMAGE=ACCOUNT.dkr.ecr.REGION.amazonaws.com/deployra/SERVICE@sha256:…": VERIFIED,
    "cosign verify --key signing.pub --insecure-ignore-tlog $IMAGE": VERIFIED,
    "cosign verify-attestation --key signing.pub --insecure-ignore-tlog --type slsaprovenance1 $IMAGE    "
    "| jq -r .payload | base64 -d | jq .predicate": VERIFIED,
    "cosign verify-attestation --key signing.pub --insecure-ignore-tlog --type spdxjson $IMAGE": VERIFIED,
    "cosign generate-key-pair": SIGNED,
    "cosign sign --key cosign.key --tlog-upload=false --use-signing-config=false registry.example.com/base/node@sha256:…": SIGNED,
    "tools/setup": "./test begins with it",
    "cmake --preset release && cmake --build --preset release": "run here, behind tools/setup",
    "./test": THIS,
    "./test unit": THIS,
    "./test contract": THIS,
    "./test system -k cancel": THIS,
    "./test check": THIS,
    "./test fuzz": "minutes, and needs clang; its corpus is a unit test",
    "git config core.hooksPath tools/hooks": "check/test_check.py commits with the hook",
    "cmake --preset editor && cmake --build --preset editor": "./test check runs it",
    "./test unit domain": "check/test_run.py runs one",
    "./test unit work build": "check/test_run.py reads the words",
    "docker build -f packaging/Dockerfile --target debug --output debug .": "test_packaging.py builds this stage with the others",
    "gdb -p \"$(pidof deployra-builder)\" -batch -ex 'thread apply all backtrace'": "no package of the tests; test_binary.py reads its file",
}


def commands() -> dict[str, str]:
    """Of all blocks of shell, by the document."""
    found = {}
    for document in DOCUMENTS:
        for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if command := re.sub(r"(^|\s+)#.*", "", line).strip():
                    found[command] = document.name
    return found


def test_every_command_is_run_or_has_a_reason_not_to():
    assert set(commands()) == RUN_HERE | set(ELSEWHERE)


def test_blocks_say_what_they_hold():
    """A command in a block without a name would not be seen."""
    for document in DOCUMENTS:
        names = re.findall(r"^```(.*)$", document.read_text(), re.M)[::2]
        assert set(names) <= {"sh", "json", "", "mermaid", "toml", "cue"}, document
        for block in re.findall(r"^```\n(.*?)^```", document.read_text(), re.M | re.S):
            assert not re.search(r"^\s*(\$ |docker |systemctl |cmake |build/|\./)", block, re.M), document


def shell(command: str, timeout: int = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=timeout)


def test_building_as_the_readme_says():
    """In the folder whose program other tests run just now: one that would have to be built would be missing for them."""
    plan = shell("ninja -C build/release -n deployra-builder").stdout
    assert "no work to do" in plan, "build it before the tests"
    done = shell(BUILD)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (ROOT / "build" / "release" / "deployra-builder").exists()


def test_the_demo():
    done = shell("./demo")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_worker_in_the_foreground_and_its_settings(stack, tmp_path, repo):
    """With the keys in the place of the dots, and this machine's servers."""
    settings = {**stack.environment, "MIN_FREE_DISK": "0", "MAX_MEMORY_PRESSURE": "0", "GIT_NETWORK_POLICY": "any",
                "WORK_DIR": str(tmp_path / "work"), "PATH": os.environ["PATH"]}
    command = SERVE.replace("build/release/deployra-builder", f"exec {BINARY}")
    for name in re.findall(r"(\w+)=…", SERVE):
        command = command.replace(f"{name}=…", f"{name}='{settings.pop(name)}'")
    log = tmp_path / "log"
    with open(log, "wb") as output:
        worker = subprocess.Popen(["bash", "-c", command], env=settings, cwd=tmp_path, stderr=output, stdout=output)
    try:
        wait_for(lambda: re.search(r" info +ready$", log.read_text(), re.M), 60, "ready")
        assert stack.api.wait_end(stack.api.enqueue(stack.job(repo().name))) == "BUILDED"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()
    shown = shell(CONFIG.replace("build/release/deployra-builder", str(BINARY)), **settings, API_KEY="some-api-key")
    assert shown.returncode == 0 and re.search(rf"^WORK_DIR +{tmp_path}/work +environment", shown.stdout, re.M), shown.stderr
