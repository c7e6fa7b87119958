"""tools/check finds a fault of every kind: each is planted in a copy of the tree, which is without faults before."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import claims  # noqa: E402
from claims import Tree  # noqa: E402


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_loader(path.name, importlib.machinery.SourceFileLoader(path.name, str(path)))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load(ROOT / "tools" / "check")
REAL = Tree(ROOT)
RULES = claims.INCLUDE_RULES


def found(claim: Callable[[Tree], Iterable[str]], tree: Tree) -> list[str]:
    return list(claim(tree))


def changed(name: str, old: str, new: str) -> Tree:
    text = REAL.text(name)
    assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
    return Tree(ROOT, {name: text.replace(old, new)})


def added(name: str, text: str) -> Tree:
    return Tree(ROOT, {name: REAL.text(name) + text if name in REAL.names else text})


@pytest.mark.parametrize("claim", [*claims.ALL, check.forbidden, check.formatted])
def test_the_tree_has_no_fault(claim):
    assert found(claim, REAL) == []


def test_an_include_against_the_direction():
    tree = added("src/domain/stray.cpp", '#include "adapters/ecr/api.hpp"\n')
    assert found(claims.includes, tree) == [f"src/domain/stray.cpp:1: domain may not include adapters/ecr ({RULES})"]


def test_an_include_of_a_folder_that_has_no_rule():
    tree = added("src/stray/stray.cpp", "")
    assert found(claims.includes, tree) == [f"src/stray/stray.cpp: no rule for its folder in {RULES}"]


def test_the_longest_rule_counts_and_stands_for_what_is_below():
    rules = "base:\nadapters/x: base\nadapters/x/part: base adapters/x/other\n"
    base = '#include "base/fd.hpp"\n'
    sources = {
        "src/adapters/x/one.cpp": base, "src/adapters/x/deep/two.cpp": base + '#include "adapters/x/one.hpp"\n',
        "src/adapters/x/part/three.cpp": base + '#include "adapters/x/other/below/four.hpp"\n#include "adapters/x/one.hpp"\n'}
    tree = Tree(ROOT, {RULES: rules, **sources})
    tree.__dict__["names"] = [RULES, *sources]
    assert found(claims.includes, tree) == [f"src/adapters/x/part/three.cpp:3: adapters/x/part may not include adapters/x ({RULES})"]


def test_a_rule_that_no_file_needs():
    tree = Tree(ROOT, {RULES: re.sub(r"(?m)^adapters/http:.*", r"\g<0> ports", REAL.text(RULES))})
    assert found(claims.includes, tree) == [f"{RULES}: adapters/http includes nothing of ports"]


def test_a_link_against_the_direction():
    name = "src/domain/CMakeLists.txt"
    tree = changed(name, "    builder_base\n", "    builder_base\n    builder_ecr\n")
    assert found(claims.links, tree) == [f"{name}: builder_domain may not link builder_ecr ({RULES})"]


def test_a_library_of_several_folders_is_linked_by_who_may_include_one_of_them():
    rules = "base:\nadapters/x: base\nadapters/x/part: base\nadapters/y: base adapters/x/part\nadapters/z: base\n"
    libraries = {f"src/adapters/{name}/CMakeLists.txt": f"builder_library(builder_{name} SOURCES a.cpp LIBS {linked})"
                 for name, linked in (("x", ""), ("y", "builder_x"), ("z", "builder_x"))}
    tree = Tree(ROOT, {RULES: rules, **libraries})
    tree.__dict__["names"] = list(libraries)
    assert found(claims.links, tree) == [f"src/adapters/z/CMakeLists.txt: builder_z may not link builder_x ({RULES})"]


@pytest.mark.parametrize(("space", "faults"), [
    ("builder::adapters::git", ["src/adapters/git/stray.cpp: k_deepest_folder hides the one of src/adapters/git/disk_tree.hpp; name them apart"]),
    ("builder::adapters::git::inner", ["src/adapters/git/stray.cpp: k_deepest_folder hides the one of src/adapters/git/disk_tree.hpp; name them apart"]),
    ("builder::adapters::gitlab", []), ("builder::adapters", [])])
def test_a_constant_of_a_file_that_hides_one_of_a_header(space, faults):
    tree = added("src/adapters/git/stray.cpp", f"namespace {space} {{\nnamespace {{\n\nconstexpr int k_deepest_folder = 1;\n")
    assert found(claims.constants, tree) == faults


@pytest.mark.parametrize("start", ["std::jthread other([] {});", "const auto other = std::async([] {});", "std::vector<std::jthread> other;"])
def test_a_thread_that_has_no_row(start):
    tree = added("src/app/stray.cpp", f"void f() {{ {start} }}\n")
    [fault] = found(claims.threads, tree)
    assert "stray.cpp starts 1" in fault and "the table has 0" in fault


def test_a_row_of_threads_that_nothing_starts():
    tree = changed("ARCHITECTURE.md", "| signals | `signals.cpp` |", "| signals | `gone.cpp` |")
    assert [fault.split(": ")[1].split(" kinds")[0] for fault in found(claims.threads, tree)] == ["gone.cpp starts 0", "signals.cpp starts 1"]


def test_a_metric_without_a_row_and_a_row_without_a_metric():
    tree = changed(claims.METRICS, "| `deployra_builder_ready` |", "| `deployra_builder_red` |")
    assert found(claims.metrics, tree) == [
        f"{claims.METRICS}: no row for deployra_builder_ready", f"{claims.METRICS}: deployra_builder_red is not in the code",
        f"{claims.METRICS}: deployra_builder_red is not in the code"]


@pytest.mark.parametrize(("old", "new"), [("`deployra_builder_ready` | gauge", "`deployra_builder_ready` | counter"),
                                          ("deployra_builder_builds_total{result}` |", "deployra_builder_builds_total` |")])
def test_a_metric_of_another_type_or_with_other_labels(old, new):
    [fault] = found(claims.metrics, changed(claims.METRICS, old, new))
    assert "the table says" in fault


def test_a_rule_that_the_page_about_failures_does_not_have():
    tree = changed("src/domain/failures/rules.toml", 'name = "npm-lock-out-of-date"', 'name = "npm-lock-file-out-of-date"')
    assert found(claims.failures, tree) == ["docs/failures.md: differs from src/domain/failures/rules.toml; run tools/check --fix"]


def test_a_knob_without_a_row_and_a_row_without_a_knob():
    assert found(claims.knobs, changed(claims.KNOBS, "| `target` |", "| `goal` |")) == [
        f"{claims.KNOBS}: the code has no goal, DEPLOYRA_BUILD_TARGET", f"{claims.KNOBS}: no row for target, DEPLOYRA_BUILD_TARGET"]


def test_a_script_without_a_row_and_a_row_without_a_script():
    [folder] = {claims.folder_of(name) for name in REAL.like("*/scripts/take.lua")}
    assert found(claims.scripts, added(f"{folder}/stray.lua", "")) == [
        f"{folder}/stray.lua: stray has no place in the build", f"{folder}/stray.lua: stray has no row in {claims.SCRIPTS}"]
    faults = found(claims.scripts, changed(claims.SCRIPTS, "| `settle` |", "| `settled` |"))
    assert len(faults) == 3 and any("settle has no row" in fault for fault in faults)


@pytest.mark.parametrize(("name", "line"), [("README.md", "| `LOG_LEVEL` |"), ("packaging/env.example", "#LOG_LEVEL=")])
def test_a_setting_that_is_missing_and_one_that_is_unknown(name, line):
    assert found(claims.settings, changed(name, line, line.replace("LOG_LEVEL", "BUILDER_WERROR"))) == [
        f"{name}: BUILDER_WERROR is no setting", f"{name}: LOG_LEVEL is there 0 times"]


def test_a_setting_that_stands_twice():
    assert found(claims.settings, added("packaging/env.example", "#LOG_LEVEL=info\n")) == [
        "packaging/env.example: LOG_LEVEL is there 2 times"]


def test_a_document_that_names_a_setting_of_yesterday():
    assert found(claims.settings, added("docs/security.md", "Set `NO_SUCH_SETTING=1`.\n")) == [
        "docs/security.md: NO_SUCH_SETTING is nowhere in the code"]


@pytest.mark.parametrize(("text", "fault"), [
    ("[x](gone.md)", "gone.md leads to no file"), ("[x](../README.md#no-such-heading)", "../README.md#no-such-heading leads to no heading"),
    ("[x](#no-such-heading)", "#no-such-heading leads to no heading"), ("`app/gone`", "there is no app/gone"),
    ("`tests/system/test_gone.py`", "there is no tests/system/test_gone.py"),
    ("`system/test_security.py::test_gone`", "there is no test_gone in system/test_security.py")])
def test_a_pointer_to_nothing(text, fault):
    assert found(claims.pointers, added("docs/security.md", f"\n{text}\n")) == [f"docs/security.md: {fault}"]


def test_a_changelog_that_lags_behind_the_version():
    [fault] = found(claims.version, Tree(ROOT, {"CHANGELOG.md": "# Changelog\n\n## 1.9.0\n\n## 2.0.0\n"}))
    assert fault.startswith("CHANGELOG.md: begins with 1.9.0, CMakeLists.txt builds ")


@pytest.mark.parametrize("head", ["# 9. X\n\n**Context.**", "# 9. X\n\nStatus: proposed · 2026-01-01\n\n", "# 8. X\n\nStatus: accepted · 2026-01-01\n\n",
                                  "# 9. X\n\nStatus: accepted\n\n"])
def test_a_decision_without_its_number_status_or_date(head):
    [fault] = found(claims.decisions, Tree(ROOT, {"docs/adr/0009-buildpacks-on-one-solve.md": head}))
    assert fault.startswith("docs/adr/0009-buildpacks-on-one-solve.md: must begin")


def test_two_decisions_of_one_number_are_found() -> None:
    text = (ROOT / "docs/adr/0009-buildpacks-on-one-solve.md").read_text()
    faults = found(claims.decisions, Tree(ROOT, {"docs/adr/0009-another.md": text}))
    assert [fault.split(": ")[1] for fault in faults] == ["another decision has the number 9"]


def test_a_file_that_is_gone(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert list(check.faults_of(claims.version, Tree(tmp_path))) == ["CMakeLists.txt is gone, which tools/claims.py compares (version)"]


def test_headings_have_the_anchors_of_github():
    text = "# One `two`, three\n## One `two`, three\n```\n# none\n```\n### A [link](x.md) & (`more`)\n"
    assert claims.anchors(text) == {"one-two-three", "one-two-three-1", "a-link--more"}


def test_a_name_that_must_not_appear():
    [fault] = found(check.forbidden, added("src/app/stray.cpp", "int f() {\n  return ::system(\"x\");\n}\n"))
    assert fault.startswith("src/app/stray.cpp:2: ")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This tree as a repository of its own."""
    folder = tmp_path / "clone"
    for name in REAL.names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    for command in ("init -qb main", "config user.name x", "config user.email x@x", "add -A", "commit -qm all"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*arguments], cwd=folder, capture_output=True, text=True)


def test_the_hook_looks_at_what_is_staged_and_at_nothing_else(clone):
    run(clone, "git", "config", "core.hooksPath", "tools/hooks")
    source = clone / "src" / "base" / "result.cpp"
    (clone / "README.md").write_text((clone / "README.md").read_text() + "\nMore.\n")
    run(clone, "git", "add", "README.md")
    source.write_text(source.read_text() + "int   not_formatted ;\n")
    committed = run(clone, "git", "commit", "-qm", "docs: More")
    assert committed.returncode == 0, committed.stdout + committed.stderr
    run(clone, "git", "add", str(source))
    refused = run(clone, "git", "commit", "-qm", "base: More")
    assert refused.returncode == 1 and "src/base/result.cpp: not formatted" in refused.stdout + refused.stderr


def test_clang_tidy_gets_what_changed(clone):
    other = load(clone / "tools" / "check")
    tree = Tree(clone)
    first, second, third = "src/base/result.cpp", "src/base/size.cpp", "src/base/text.cpp"
    run(clone, "git", "checkout", "-qb", "work")
    (clone / first).write_text((clone / first).read_text() + "// More.\n")
    run(clone, "git", "mv", second, "src/base/moved.cpp")
    run(clone, "git", "commit", "-qam", "base: More")
    header = clone / third.replace(".cpp", ".hpp")
    header.write_text(header.read_text() + "// More.\n")
    assert other.to_tidy(tree, "branch") == [first, third]
    # Nothing is known of a clone of depth 1: some of all.
    bare = clone.parent / "bare"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{clone}", str(bare)], check=True)
    run(bare, "git", "remote", "remove", "origin")
    lone = load(bare / "tools" / "check")
    assert sorted(lone.to_tidy(Tree(bare), "branch")) == Tree(bare).like("src/*.cpp")


def test_clang_tidy_ends_in_time_and_tells_what_it_did_not_reach(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    monkeypatch.setattr(check, "ROOT", tmp_path)
    (tmp_path / "build" / "editor").mkdir(parents=True)
    (tmp_path / "build" / "editor" / "compile_commands.json").write_text(json.dumps([{"file": f"{tmp_path}/src/app/main.cpp"}]))
    assert list(check.tidied(["src/app/main.cpp", "src/no/such.cpp"], -1)) == ["src/no/such.cpp: no CMakeLists.txt names it\n"]
    assert "1 not for want of time: src/app/main.cpp" in capsys.readouterr().out
