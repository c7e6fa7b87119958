"""Completions and the manual page, read by the programs that they are for."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable

import pytest
from kit.worker import BINARY

VERBS = {"serve", "config", "health", "completion", "manual"}


def printed(*arguments: str) -> str:
    return subprocess.run([str(BINARY), *arguments], check=True, capture_output=True, text=True, timeout=20).stdout


def of_bash(script: str, line: str, _wanted: set[str]) -> set[str]:
    words = line.split(" ")
    ask = f"""source {script}
        COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        _deployra_builder; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "--norc", "-uc", ask], check=True, capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    return set(done.stdout.split())


def of_fish(script: str, line: str, _wanted: set[str]) -> set[str]:
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], check=True,
                          capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


def of_zsh(script: str, line: str, wanted: set[str]) -> set[str]:
    """Only its line editor completes: a terminal is needed, and what is typed there. Reads until all that is wanted came."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "COLUMNS": "200", "LINES": "50", "PS1": "READY"})
    said = b""

    def hear(heard: Callable[[], bool]) -> None:
        nonlocal said
        ends = time.monotonic() + 30
        while not heard():
            if not select.select([terminal], [], [], max(0, ends - time.monotonic()))[0]:
                raise AssertionError(said.decode(errors="replace"))
            said += os.read(terminal, 65536)

    def found() -> set[str]:
        rows = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\n", said.decode(errors="replace"))
        return set(rows.split())

    try:
        hear(lambda: b"READY" in said)
        os.write(terminal, f"""autoload -U compinit; compinit -u -D; source {script}; bindkey '^T' list-choices; PS1=NO''W
            """.strip().encode() + b"\n")
        hear(lambda: b"NOW" in said)
        said = b""
        os.write(terminal, line.encode() + b"\x14")
        hear(lambda: wanted <= found())
        return found()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


@pytest.mark.parametrize("shell, ask", [("bash", of_bash), ("zsh", of_zsh), ("fish", of_fish)])
def test_completions_in_their_shell(tmp_path, shell, ask):
    script = tmp_path / "completion"
    script.write_text(printed("completion", shell))

    def offers(line: str, wanted: set[str]) -> set[str]:
        found = ask(str(script), line, wanted)
        assert wanted <= found, found
        return found

    offers("deployra-builder ", VERBS)
    assert "serve" not in offers("deployra-builder con", {"config"})
    offers("deployra-builder config --", {"--json"})
    offers("deployra-builder completion ", {"bash", "zsh", "fish"})
    offers("deployra-builder build --ta", {"--tag", "--target"})


def test_what_completions_of_zsh_say_is_what_the_help_says():
    script = printed("completion", "zsh")
    assert "/:" not in script.replace("://", "") and r"[The Dockerfile; default\: Dockerfile]" in script
    assert r":NAME[\:TAG]: " in script


def test_the_manual_page_is_well_formed_and_names_every_verb_and_option(tmp_path):
    page = printed("manual")
    file = tmp_path / "deployra-builder.1"
    file.write_text(page)
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(file)], capture_output=True, text=True, timeout=20)
    # It has no date: the same sources make the same page on every day.
    found = [line for line in lint.stdout.splitlines() if "missing date" not in line]
    assert found == []
    shown = subprocess.run(["mandoc", "-T", "utf8", str(file)], check=True, capture_output=True, text=True, timeout=20).stdout
    shown = re.sub(".\b", "", shown)
    for verb in VERBS:
        assert re.search(rf"^ +{verb}$", shown, re.MULTILINE), verb
    assert "--json" in shown and "Exit codes" in shown
    assert "the beginning of its lease id" in " ".join(shown.split()), "arguments are explained as options are"
    assert "NAME[:TAG]" in shown


def verbs_below(*path: str) -> list[tuple[str, ...]]:
    text = printed(*path, "--help")
    _, _, rows = text.partition("Verbs:\n")
    names = re.findall(r"^  (\w[\w-]*)", rows.split("\n\n")[0].split("\nExamples")[0], re.MULTILINE)
    return [path, *(inner for name in names for inner in verbs_below(*path, name))]


def test_every_verb_has_help_with_examples_and_its_options_explained():
    all_verbs = verbs_below()
    assert {path[0] for path in all_verbs if path} >= VERBS
    for path in all_verbs:
        text = printed(*path, "--help")
        assert "Usage:" in text and "Examples:" in text, path
        for line in text.splitlines():
            assert len(line) <= 160, line
        # What is typed, and not what the program reads it into.
        assert not re.search(r"\b(TEXT|U?INT|FLOAT|NUMBER|BOOLEAN|ENUM)\b|:\{|\[\d", text.partition("Examples:")[0]), text
        for option in re.findall(r"^  (-[^\n]*)$", text, re.MULTILINE):
            assert len(option.split("  ")) > 1 or option.rstrip() == option, option
