"""What a person sees who runs the binary by hand."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from kit.process import wait_for
from kit.worker import BINARY


@pytest.fixture
def run(tmp_path):
    def run(*arguments, **environment):
        done = subprocess.run([str(BINARY), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=20,
                              env={"PATH": os.environ["PATH"], **environment})
        return done.returncode, done.stdout, done.stderr

    return run


def test_help_and_version(run):
    for arguments in (["--help"], ["-h"], ["config", "--help"]):
        code, out, err = run(*arguments)
        assert code == 0 and "Usage:" in out and "Examples:" in out and err == ""
    code, out, err = run("--version")
    assert (code, err) == (0, "") and out.startswith("deployra-builder ") and out.count("\n") == 1


def test_help_and_version_are_verbs_as_well(run):
    assert run("version") == run("--version")
    assert json.loads(run("version", "--json")[1])["version"] == run("version")[1].split()[1]
    assert run("help") == run("--help")
    for path in (["build"], ["dead", "drop"]):
        assert run("help", *path) == run(*path, "--help")
    code, out, err = run("help", "dead", "dorp")
    assert (code, out) == (2, "") and "no verb 'dorp'; did you mean drop?" in err


@pytest.mark.parametrize("arguments, words, see", [
    (["buld", "web/"], "there is no verb 'buld'; did you mean build?", "deployra-builder --help"),
    (["Queue"], "there is no verb 'Queue'; did you mean queue?", "deployra-builder --help"),
    (["publish"], "there is no verb 'publish'", "deployra-builder --help"),
    (["build", "--tagg=x"], "there is no option --tagg; did you mean --tag?", "deployra-builder build --help"),
    (["build", "--pushh", "h/i:1", "--no-cache"], "there is no option --pushh; did you mean --push?", "deployra-builder build --help"),
    (["queue", "-z"], "there is no option -z", "deployra-builder queue --help"),
    (["dead", "dorp", "1"], "there is no verb 'dorp'; did you mean drop?", "deployra-builder dead --help"),
    (["dead", "drop", "--al"], "there is no option --al; did you mean --all?", "deployra-builder dead drop --help"),
    (["show"], "ID is required", "deployra-builder show --help"),
    (["config", "all"], "'all' is one argument too many", "deployra-builder config --help")])
def test_wrong_usage_says_what_may_be_meant_and_whose_help_to_read(run, arguments, words, see):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    first, last = err.splitlines()
    assert first == f"deployra-builder: {words}" and last == f"See: {see}"


@pytest.mark.parametrize("arguments, words", [
    (["build", "--tag=", "web"], "--tag is empty"),
    (["build", "--file=", "--explain", "web"], "--file is empty"),
    (["list", "--service=", "--json"], "--service is empty"),
    (["list", "--service", ""], "--service: is empty"),
    (["--", "build", "--explain", "web"], "a verb must stand in front of --"),
    (["build", "--target", "", "web"], "--target: is empty"),
    (["build", "--platform", "", "web"], "--platform: is empty"),
    (["build", ""], "SOURCE is empty"),
    (["build", "--explain", "a-file"], "a-file is a file: name its folder, and the Dockerfile with --file"),
    (["build", "--explain", "--file", "x" * 300, "web"], "there is no such file"),
    (["build", "--explain", "--env-file", "web", "web"], "--env-file web: cannot be read: Is a directory"),
    (["build", "--env", "=s3cret", "web"], "--env: the name before '=' is missing"),
    (["build", "--output", "type=oci,type=tar,dest=x", "web"], "'type' stands twice")])
def test_what_is_empty_or_cannot_be_read_is_told_and_nothing_is_begun(run, tmp_path, arguments, words):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text("FROM busybox\n")
    (tmp_path / "a-file").write_text("")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and words in err and "s3cret" not in err, err


@pytest.mark.parametrize("name, words", [(".dockerignore", ".dockerignore cannot be read"), ("Dockerfile", "'Dockerfile' cannot be read")])
def test_a_file_that_nobody_may_read_is_no_link_and_not_passed_over(name, words):
    """What it hides would be built."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for file in ("Dockerfile", ".dockerignore"):
            (Path(folder) / file).write_text("FROM busybox\n")
        (Path(folder) / name).chmod(0o600)
        done = subprocess.run([str(BINARY), "build", "--explain", folder], capture_output=True, text=True, timeout=20,
                              user=65534, group=65534, extra_groups=[], env={"PATH": os.environ["PATH"], "HOME": "/"})
    assert done.returncode == 1 and words in done.stdout + done.stderr, done
    assert "link" not in done.stdout + done.stderr


def test_a_pipe_has_no_width(run):
    assert run("config", COLUMNS="40") == run("config")


def test_only_what_begins_with_the_option_itself_is_empty(run, tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text("FROM busybox\n")
    assert run("build", "--explain", "--build-arg=A=", "--env=B=", "web")[0] == 0


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["help"], ["version", "--json"], ["config"], ["manual"]])
def test_output_that_cannot_be_written_is_no_success(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(BINARY), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20,
                              env={"PATH": os.environ["PATH"], "HTTP_LISTEN": "127.0.0.1:1"})
    assert done.returncode != 0 and done.stderr


def test_health_names_what_is_wrong_with_the_address(run):
    code, out, err = run("health", HTTP_LISTEN="foo")
    assert (code, out) == (2, "") and "HTTP_LISTEN" in err and "is not set" not in err
    code, out, err = run("health", HTTP_LISTEN="127.0.0.1:1")
    assert (code, out) == (1, "") and err.count("http://") == 1
    assert run("health") == (2, "", "deployra-builder: HTTP_LISTEN is not set\n")


def test_config_shows_values_that_are_no_text(run, tmp_path):
    environment = {"REDIS_USERNAME": b"\xff\x1b[31m\nb".decode("utf-8", "surrogateescape")}
    code, out, err = run("config", "--json", **environment)
    assert "REDIS_USERNAME" in {row["name"] for row in json.loads(out)}, err
    assert "\x1b" not in run("config", **environment)[1]
    (tmp_path / ".env").symlink_to(".env")
    code, out, err = run("config")
    assert code == 2 and ".env in the working directory cannot be read" in err


@pytest.mark.parametrize("arguments", [["bogus"], ["--bogus"], ["serve", "extra"]])
def test_wrong_usage_is_exit_code_2_on_stderr(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and arguments[-1] in err and "--help" in err


def test_config_shows_every_value_with_its_origin_and_no_secret(run, tmp_path):
    (tmp_path / ".env").write_text("REDIS_PASSWORD='hunter22 x'\nAPI_URL=http://file.test/api/\nWORK_DIR=from-file\n")
    code, out, err = run("config", API_KEY="topsecret-key", WORK_DIR="/from/environment", AWS_REGION="")
    assert (code, err) == (0, "")
    assert out.split()[:4] == ["SETTING", "VALUE", "FROM", "MEANING"]
    rows = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
    readme = (BINARY.parents[2] / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in rows)
    assert rows["WORK_DIR"][1:3] == ["/from/environment", "environment"]
    assert rows["API_URL"][1:3] == ["http://file.test/api/", ".env"]
    assert rows["AWS_REGION"][1:3] == ["us-east-1", "default"]
    assert rows["REDIS_PASSWORD"][1:3] == ["********", ".env"] and rows["API_KEY"][1:3] == ["********", "environment"]
    assert "hunter22" not in out and "topsecret" not in out
    assert os.listdir(tmp_path) == [".env"]
    code, text, err = run("config", "--json", API_KEY="topsecret-key", WORK_DIR="/from/environment", AWS_REGION="")
    values = json.loads(text)
    assert (code, err) == (0, "") and [value["name"] for value in values] == list(rows)
    assert {"name": "API_KEY", "value": "********", "origin": "environment"}.items() <= next(
        value for value in values if value["name"] == "API_KEY").items()


@pytest.mark.parametrize("verb", [[], ["serve"], ["config"]])
def test_all_configuration_errors_come_at_once_and_nothing_is_begun(run, tmp_path, verb):
    bad = {"REDIS_PORT": "x", "API_URL": "ftp://user:hunter22@h", "DOCKER_HOST": "tcp://h", "BUILD_TIMEOUT": "soon",
           "AWS_ACCESS_KEY_ID": "AKIA", "MAX_PARALLEL_BUILDS": "0"}
    code, _, err = run(*verb, **bad)
    assert code == 2
    lines = err.splitlines()
    assert "7 errors" in lines[0] and len([line for line in lines if line.startswith("  ")]) == 7
    assert ("`doctor`" in lines[-1]) == (verb != ["config"])
    for name in ("API_KEY", *bad):
        assert [line for line in lines if name in line], name
    assert "hunter22" not in err
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_read_is_an_error(run, tmp_path):
    (tmp_path / ".env").mkdir()
    code, _, err = run("config", API_KEY="k")
    assert code == 2 and ".env" in err


@pytest.mark.parametrize("environment, words", [
    ({"WORK_DIR": "/proc/nowhere"}, "WORK_DIR"), ({"HTTP_LISTEN": "192.0.2.1:1"}, "HTTP_LISTEN")])
def test_what_keeps_it_from_starting_is_exit_code_1_and_named(run, environment, words):
    code, _, err = run("serve", **{"API_KEY": "some-api-key", "REDIS_PORT": "1", **environment})
    assert code == 1 and words in err.splitlines()[-1], err
    assert err.splitlines()[-1].endswith(("Not a directory", "No such file or directory", "Cannot assign requested address")), err


@pytest.mark.parametrize("how, words", [
    ("missing", "No such file or directory; does dockerd run?"),
    ("dead", "Connection refused; does dockerd run?"),
    ("forbidden", "Permission denied; is this user in the group of the socket?")])
def test_an_engine_that_cannot_be_reached_is_told_with_its_variable_path_and_reason(how, words):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)  # Not pytest's, which others may not enter.
        folder.chmod(0o777)
        path, log, binary = folder / "docker.sock", folder / "log", folder / "deployra-builder"
        if how != "missing":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        if how == "forbidden":
            path.chmod(0o600)
        shutil.copy(BINARY, binary)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if how == "forbidden" else {}
        with open(log, "wb") as err:
            process = subprocess.Popen([str(binary)], cwd=folder, stdin=subprocess.DEVNULL, stdout=err, stderr=err, **nobody,
                                       env={"API_KEY": "some-api-key", "REDIS_PORT": "1", "DOCKER_HOST": f"unix://{path}"})
        expected = f"engine: unix://{path} (DOCKER_HOST): {words}"
        try:
            wait_for(lambda: expected in log.read_text(), 20, expected)
        finally:
            process.kill()
            process.wait()
