"""What people touch first: the lists of packages, the image, the unit and its folders, the examples of settings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from kit.debian import closure, files_of, root_of
from kit.process import free_port
from kit.worker import BINARY, ROOT

PACKAGING = ROOT / "packaging"


def listed(name: str) -> list[str]:
    return (PACKAGING / name).read_text().split()


def test_the_list_for_building_has_every_header_and_no_test_tool():
    """What `packaging/Dockerfile` installs is what this build has used."""
    deps = subprocess.run(["ninja", "-C", str(BINARY.parent), "-t", "deps"], check=True, capture_output=True, text=True).stdout
    used, ours = set(), False
    for line in deps.splitlines():
        if not line.startswith(" "):
            ours = line.startswith("src/")
        elif ours and line.strip().startswith("/usr/"):
            used.add(os.path.realpath(line.strip()))
    have = {os.path.realpath(path) for path in files_of(closure(listed("build-packages"))) if "/include/" in path}
    assert len(used) > 500
    assert used - have == set()


@pytest.fixture(scope="module")
def image(servers, tmp_path_factory):
    """The last stage of packaging/Dockerfile. Nothing can be pulled here: its base is made of this machine's packages of
    the same list, and the binary is the one under test."""
    engine = servers.docker
    stages = (PACKAGING / "Dockerfile").read_text().split("\nFROM ")
    docker = ["docker", "-H", engine.host]
    subprocess.run([*docker, "import", "-", "packaging-base:1"], input=root_of(listed("runtime-packages")), check=True,
                   capture_output=True)
    last = next(stage for stage in stages if stage.startswith("base\n"))
    dockerfile = ("FROM scratch AS build\nCOPY deployra-builder /src/build/release/deployra-builder\n"
                  "FROM packaging-base:1 AS base\nFROM " + last)
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(dockerfile)
    shutil.copy(BINARY, folder)
    built = subprocess.run([*docker, "build", "-q", "-t", "packaged:1", str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return engine, "packaged:1"


def test_the_image_runs_as_its_own_user_is_healthy_and_drains(image, stack, repo):
    engine, name = image
    settings = engine.json("GET", f"/images/{name}/json")["Config"]
    assert settings["User"] == "deployra-builder" and settings["StopSignal"] == "SIGTERM"
    assert settings["Healthcheck"]["Test"] == ["CMD", "deployra-builder", "health"]
    os.chmod(engine.socket, 0o666)  # In place of the socket's group.
    environment = {**stack.environment, "HTTP_LISTEN": f"127.0.0.1:{free_port()}", "GIT_NETWORK_POLICY": "any",
                   "MIN_FREE_DISK": "0", "MAX_MEMORY_PRESSURE": "0"}
    made = engine.json("POST", "/containers/create", {
        "Image": name, "Env": [f"{key}={value}" for key, value in environment.items()],
        "HostConfig": {"NetworkMode": "host", "Binds": [f"{engine.socket}:{engine.socket}"]}})
    identity = made["Id"]
    try:
        engine.json("POST", f"/containers/{identity}/start")
        job = stack.api.enqueue(stack.job(repo().name))
        assert stack.api.wait_end(job) == "BUILDED", engine.logs(identity)

        def run(*command: str) -> tuple[int, str]:
            started = engine.json("POST", f"/containers/{identity}/exec",
                                  {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True})
            _, raw = engine.call("POST", f"/exec/{started['Id']}/start", json.dumps({"Detach": False}).encode(),
                                 {"Content-Type": "application/json"})
            return engine.json("GET", f"/exec/{started['Id']}/json")["ExitCode"], raw[8:].decode(errors="replace")

        assert run("deployra-builder", "health")[0] == 0
        assert run("id", "-un")[1].strip() == "deployra-builder"
        code, text = run("deployra-builder", "config")
        assert code == 0 and re.search(r"^WORK_DIR +/work ", text, re.M), text
        engine.call("POST", f"/containers/{identity}/stop?t=60")
        assert engine.json("GET", f"/containers/{identity}/json")["State"]["ExitCode"] == 0, engine.logs(identity)
        assert "drained" in engine.logs(identity)
    finally:
        engine.call("DELETE", f"/containers/{identity}?force=1&v=1")


def test_what_is_installed_makes_the_units_user_and_folders(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "group").write_text("root:x:0:\n")
    readme = (ROOT / "README.md").read_text()
    for command in ("cmake --install build/release --prefix /usr", "systemd-sysusers",
                    "systemd-tmpfiles --create deployra-builder.conf"):
        assert f"\n{command}\n" in readme
        program, *arguments = command.split()
        subprocess.run([program, *arguments] + [f"--root={root}"] * program.startswith("systemd"), check=True,
                       capture_output=True, cwd=ROOT, env={**os.environ, "DESTDIR": str(root)})
    user = next(line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines() if line.startswith("deployra-builder:"))
    state, settings = root / "var/lib/deployra-builder", root / "etc/deployra-builder/env"
    assert (state.stat().st_uid, state.stat().st_mode & 0o777) == (int(user[2]), 0o700)
    assert settings.read_text() == (PACKAGING / "env.example").read_text()
    assert (settings.stat().st_uid, settings.stat().st_gid, settings.stat().st_mode & 0o777) == (0, int(user[3]), 0o640)

    unit = (root / "usr/lib/systemd/system/deployra-builder.service").read_text()
    checked = tmp_path / "deployra-builder.service"
    checked.write_text(unit.replace("/usr/bin/deployra-builder", str(root / "usr/bin/deployra-builder")))
    done = subprocess.run(["systemd-analyze", "verify", str(checked)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    paths = re.findall(r"(?:WorkingDirectory=|EnvironmentFile=|WORK_DIR=)(/\S+)", unit)
    assert len(paths) == 3 and all((root / path.lstrip("/")).exists() for path in paths)
    grace = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert grace > 600 and f"--stop-timeout {grace}" in (PACKAGING / "Dockerfile").read_text()


def config_rows(**environment: str) -> dict[str, str]:
    """Every setting and its default, as the binary has them."""
    out = subprocess.run([str(BINARY), "config"], capture_output=True, text=True, cwd="/",
                         env={"PATH": os.environ["PATH"], "API_KEY": "some-api-key", **environment}).stdout
    lines = out.splitlines()
    column = max(len(line.split()[0]) for line in lines) + 2
    rows = {}
    for line in lines:
        value = re.match(r"(\S*) *(?:default|environment) ", line[column:])
        assert value, line
        rows[line.split()[0]] = value[1]
    return rows


def test_the_settings_agree_wherever_they_stand():
    """The table in the binary, README's, and both examples: the same names, and the same defaults where one is given."""
    rows = config_rows()
    readme = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("| `"):
            names, defaults, _ = line.strip("|").split("|", 2)
            plain = re.fullmatch(r" (?:(?:`[^`]*`|–)(?:, )?)+ ", defaults)
            values = re.findall(r"`([^`]*)`|–", defaults) if plain else []
            for index, name in enumerate(re.findall(r"`([A-Z][A-Z0-9_]+)`", names)):
                readme[name] = values[index] if index < len(values) else None
    assert set(readme) == set(rows)
    for name, value in readme.items():
        if value:
            assert rows[name] == value, name

    # What depends on the machine, what limits where the default does not, and the original's own example.
    chosen = ("MAX_PARALLEL_BUILDS", "BUILD_MEMORY", "BUILD_CPUS", "BUILD_PIDS", "WORK_DIR")
    example = (PACKAGING / "env.example").read_text()
    assert "API_URL=http://127.0.0.1:3000/api\n" in example and "#WORK_DIR=/tmp/builds\n" in example
    assert (ROOT / "env.example").read_text() == example
    for line in example.splitlines():
        if match := re.fullmatch(r"#?([A-Z][A-Z0-9_]+)=(.*)", line):
            name, value = match.groups()
            assert name in rows, line
            # What stands there without '#', or stands for a default, is one.
            if rows[name] and value and name not in chosen:
                assert value == rows[name], line
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.M)) == set(rows)


def test_the_version_is_newer_than_the_one_the_documents_call_past():
    version = subprocess.run([str(BINARY), "--version"], capture_output=True, text=True).stdout.split()[1]
    texts = [path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    past = [tuple(map(int, found.split("."))) for text in texts for found in re.findall(r"[Vv]ersion (\d+\.\d+)", text)]
    assert past and tuple(map(int, version.split("."))) > max(past)
