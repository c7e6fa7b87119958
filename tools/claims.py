"""What tables and documents say of the code, compared with the code. Each claim gives a line for every place that is wrong;
tools/check runs them all."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath

import failure_page

INCLUDE_RULES = "tools/include-rules.txt"
KNOBS = "docs/knobs.md"
KNOBS_CODE = "src/domain/knobs/knob_readers.cpp"
METRICS = "docs/operations.md"
SCRIPTS = "docs/protocol.md"
SETTINGS = "src/app/config/setting_rows.cpp"
THREADS = "ARCHITECTURE.md"


@dataclass(frozen=True)
class Tree:
    """The files git knows, below a root; a test changes some of them without writing."""
    root: Path
    changed: dict[str, str] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root, check=True,
                                capture_output=True, text=True).stdout.split("\0")
        return sorted({name for name in listed if name and (self.root / name).is_file()} | set(self.changed))

    def like(self, *patterns: str) -> list[str]:
        return [name for name in self.names if any(fnmatch(name, pattern) for pattern in patterns)]

    def text(self, name: str) -> str:
        return self.changed[name] if name in self.changed else (self.root / name).read_text()

    @cached_property
    def sources(self) -> list[str]:
        return self.like("src/*.cpp", "src/*.hpp")

    @cached_property
    def documents(self) -> list[str]:
        return self.like("*.md")


def folder_of(name: str) -> str:
    return str(PurePosixPath(name).parent)


def is_within(folder: str, other: str) -> bool:
    return folder == other or folder.startswith(f"{other}/")


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, or of the one whose head begins so."""
    below = text.partition(f"\n{heading}")[2].partition("\n|---")[2].split("\n")[1:]
    rows = []
    for line in below:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" |")])
    return rows


# -- folders ------------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Rule:
    folder: str
    allowed: tuple[str, ...]

    def permits(self, folder: str) -> str | None:
        """The entry that does."""
        return next((entry for entry in self.allowed if entry == "*" or is_within(folder, entry)), None)


def include_rules(tree: Tree) -> list[Rule]:
    lines = (line.partition("#")[0] for line in tree.text(INCLUDE_RULES).splitlines())
    return [Rule(folder.strip(), tuple(allowed.split())) for folder, colon, allowed in (line.partition(":") for line in lines) if colon]


def rule_of(rules: list[Rule], folder: str) -> Rule | None:
    return max((rule for rule in rules if is_within(folder, rule.folder)), key=lambda rule: len(rule.folder), default=None)


def includes(tree: Tree) -> Iterator[str]:
    """Folders of src/ include what the table allows."""
    rules = include_rules(tree)
    needed: set[tuple[str, str]] = set()
    for name in tree.sources:
        folder = folder_of(name).removeprefix("src/")
        rule = rule_of(rules, folder)
        if rule is None:
            yield f"{name}: no rule for its folder in {INCLUDE_RULES}"
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = re.match(r'#include "([^"]+)/[^/"]+"', line)
            if not match or rule_of(rules, match[1]) == rule:
                continue
            if entry := rule.permits(match[1]):
                needed.add((rule.folder, entry))
            else:
                yield f"{name}:{number}: {rule.folder} may not include {match[1]} ({INCLUDE_RULES})"
    for rule in rules:
        for entry in rule.allowed:
            if entry != "*" and (rule.folder, entry) not in needed:
                yield f"{INCLUDE_RULES}: {rule.folder} includes nothing of {entry}"


def links(tree: Tree) -> Iterator[str]:
    """Libraries of src/ link what the table allows."""
    rules = include_rules(tree)
    libraries: dict[str, tuple[str, list[str]]] = {}
    for name in tree.like("src/*CMakeLists.txt"):
        text = re.sub(r"#.*", "", tree.text(name))
        for library, arguments in re.findall(r"builder_library\((\w+)([^)]*)\)", text):
            libraries[library] = (folder_of(name).removeprefix("src/"), arguments.partition("LIBS")[2].split())
    for library, (folder, linked) in libraries.items():
        # Either library may hold folders with rules of their own.
        own = [rule for rule in (rule_of(rules, folder), *(rule for rule in rules if is_within(rule.folder, folder))) if rule]
        for other in linked:
            target = libraries[other][0] if other in libraries else None
            if target and not any(rule.permits(target) or any(is_within(entry, target) for entry in rule.allowed) for rule in own):
                yield f"src/{folder}/CMakeLists.txt: {library} may not link {other} ({INCLUDE_RULES})"


# -- tables of the documents --------------------------------------------------------------------------------------------

def threads(tree: Tree) -> Iterator[str]:
    """Every thread that is started has a row, by the file that starts it."""
    started: dict[str, Counter[str]] = {}
    for name in tree.sources:
        # A jthread of a header and of its source with one name are one; each async is one of its own.
        text, file = tree.text(name), PurePosixPath(name).stem
        found = Counter({name: 1 for name in re.findall(r"\bstd::jthread>?\s+(\w+)\s*[;({]", text)})
        found.update(re.findall(r"\bstd::async(?=\()|\bstd::thread\b(?!::)", text))
        if found:
            started[f"{file}.cpp"] = started.get(f"{file}.cpp", Counter()) | found
    rows = Counter(file for row in table(tree.text(THREADS), "## Threads") for file in re.findall(r"`(\w+\.cpp)`", row[1]))
    for file in sorted(started.keys() | rows.keys()):
        found = started.get(file, Counter())
        if found.total() != rows[file]:
            yield f"{THREADS}: {file} starts {found.total()} kinds of thread ({' '.join(sorted(found.elements()))}), the table has {rows[file]}"


def metrics(tree: Tree) -> Iterator[str]:
    """Every metric has a row, with its type and its labels; no document names another."""
    code: dict[str, tuple[str, str]] = {}
    for name in tree.like("src/*metrics.cpp"):
        text = tree.text(name)
        families = re.findall(r'(\w+)\s*=\s*(gauge|counter|histogram)\(\s*"(\w+)"', text)
        for variable, kind, metric in families:
            labels = {label for use in re.findall(rf"\b{variable}\s*\.Add\(\{{((?:\{{[^}}]*\}}(?:,\s*)?)*)\}}", text)
                      for label in re.findall(r'\{"(\w+)"', use)}
            code[metric] = (kind, ",".join(sorted(labels)))
    rows: dict[str, tuple[str, str]] = {}
    for row in table(tree.text(METRICS), "| metric |"):
        if match := re.fullmatch(r"`(\w+)(?:\{([\w,]+)\})?`", row[0]):
            rows[match[1]] = (row[1], ",".join(sorted((match[2] or "").split(","))))
    for metric in sorted(code.keys() | rows.keys()):
        if metric not in rows:
            yield f"{METRICS}: no row for {metric}"
        elif metric not in code:
            yield f"{METRICS}: {metric} is not in the code"
        elif code[metric] != rows[metric]:
            yield f"{METRICS}: {metric} is {' with labels '.join(code[metric])}, the table says {' with labels '.join(rows[metric])}"
    series = ("", "_bucket", "_sum", "_count")
    for name in tree.documents:
        for metric in set(re.findall(r"\bdeployra_builder_\w+[a-z]\b", tree.text(name))):
            if not any(metric.removesuffix(suffix) in code for suffix in series):
                yield f"{name}: {metric} is not in the code"


def scripts(tree: Tree) -> Iterator[str]:
    """Every script of the queue has a row, and is in the build."""
    files = {PurePosixPath(name).stem: name for name in tree.like("src/adapters/redis/*.lua")}
    lists = {match[1] for name in tree.like("src/adapters/redis/*CMakeLists.txt")
             for match in re.finditer(r"foreach\(script ([^)]*)\)", tree.text(name))}
    built = {script for words in lists for script in words.split()}
    rows = {match[1] for row in table(tree.text(SCRIPTS), "| script |") if (match := re.fullmatch(r"`(\w+)`", row[0]))}
    for script in sorted((files.keys() - {"common"}) | built | rows):
        for what, there in (("file", files.keys()), ("place in the build", built), (f"row in {SCRIPTS}", rows)):
            if script not in there:
                yield f"{files.get(script, SCRIPTS)}: {script} has no {what}"


def settings(tree: Tree) -> Iterator[str]:
    """README's table and env.example have every setting, once. (test_packaging.py compares defaults, which the binary tells.)"""
    code = set(re.findall(r'^ +\{"([A-Z][A-Z0-9_]+|[a-z]+_proxy)",', tree.text(SETTINGS), re.M))
    readme = Counter(name for row in table(tree.text("README.md"), "| variable |") for name in re.findall(r"`([A-Za-z][A-Za-z0-9_]+)`", row[0]))
    example = Counter(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", tree.text("packaging/env.example"), re.M))
    proxies = {name for name in readme if name.endswith("_proxy")}
    for place, names in (("README.md", readme), ("packaging/env.example", example)):
        for name in sorted(code | names.keys()):
            if name in proxies:
                continue
            if name not in code:
                yield f"{place}: {name} is no setting"
            elif names[name] != 1:
                yield f"{place}: {name} is there {names[name]} times"
    # What a text calls by a name in capitals is somewhere in the product.
    product = tree.like("src/*", "packaging/*", "cmake/*", "tests/kit/*.py", "tests/system/*.py", "tools/*", "test", "CMake*")
    known = {name for file in product for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", tree.text(file))}
    for document in tree.documents:
        if document == "CHANGELOG.md":  # It may speak of what is gone.
            continue
        for name in sorted(set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", tree.text(document))) - known):
            yield f"{document}: {name} is nowhere in the code"


def knobs(tree: Tree) -> Iterator[str]:
    """Every knob of customers has a row, with its variable."""
    code = set(re.findall(r'\bRow\{"(\w+)", "(\w+)"', tree.text(KNOBS_CODE)))
    rows = {(match[1], variable[1]) for row in table(tree.text(KNOBS), "| key |")
            if (match := re.fullmatch(r"`(\w+)`", row[0])) and (variable := re.fullmatch(r"`(\w+)`", row[1]))}
    for name, variable in sorted(code ^ rows):
        yield f"{KNOBS}: {'no row for' if (name, variable) in code else 'the code has no'} {name}, {variable}"


# -- what documents point at --------------------------------------------------------------------------------------------

def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return names


def pointers(tree: Tree) -> Iterator[str]:
    """Links lead to a file and a heading of it; paths in code letters are there."""
    names = set(tree.names)
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    made = tuple(f"build/{preset}" for preset in re.findall(r'"name": "(\w+)"', tree.text("CMakePresets.json")))
    for document in tree.documents:
        prose = re.sub(r"^```.*?^```", "", tree.text(document), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = document if not path else str(PurePosixPath(*_normal(PurePosixPath(document).parent / path)))
            if file not in names and file not in folders:
                yield f"{document}: {target} leads to no file"
            elif anchor and anchor not in anchors(tree.text(file)):
                yield f"{document}: {target} leads to no heading"
        if document == "CHANGELOG.md":
            continue
        for target in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)(?:::\w*)?[^`]*`", prose):
            if _is_ours(target, folders, made) and not _exists(target, names, folders):
                yield f"{document}: there is no {target}"
        for target, test in re.findall(r"`((?:[\w.-]+/)+[\w-]+\.py)::(\w+)", prose):
            if (file := f"tests/{target}") in names and f"def {test}" not in tree.text(file):
                yield f"{document}: there is no {test} in {target}"


def _normal(path: PurePosixPath) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return parts


ROOTS = ("", "src/", "tests/")


def _is_ours(path: str, folders: set[str], made: tuple[str, ...]) -> bool:
    first = path.split("/")[0]
    return first not in (".", "..") and not path.startswith(made) and any(f"{root}{first}" in folders for root in ROOTS)


def _exists(path: str, names: set[str], folders: set[str]) -> bool:
    plain = path.rstrip("/")
    return any(f"{root}{plain}" in folders or any(f"{root}{plain}{end}" in names for end in ("", ".hpp", ".cpp", ".py"))
               for root in ROOTS)


def failures(tree: Tree) -> Iterator[str]:
    """The page about failures is what its rules make of it."""
    if tree.text(failure_page.PAGE) != failure_page.page(tree.text(failure_page.RULES)):
        yield f"{failure_page.PAGE}: differs from {failure_page.RULES}; run tools/check --fix"


# -- constants ------------------------------------------------------------------------------------------------------------

def constants(tree: Tree) -> Iterator[str]:
    """No file's own constant has the name of one in a header for its namespace: where several files are compiled as one, those
    behind it would take its value, and the compiler says nothing."""
    declared: dict[str, list[tuple[str, str]]] = {}
    for name in tree.like("src/*.hpp"):
        for constant in _constants(tree.text(name)):
            declared.setdefault(constant, []).append((name, _namespace(tree.text(name))))
    for name in tree.like("src/*.cpp"):
        space = _namespace(tree.text(name)) + "::"
        for constant in _constants(tree.text(name)):
            for header, outer in declared.get(constant, []):
                if space.startswith(f"{outer}::"):
                    yield f"{name}: {constant} hides the one of {header}; name them apart"


def _constants(text: str) -> list[str]:
    return re.findall(r"^(?:inline )?(?:constexpr|const) [^=;({]*?\b(k_\w+)\b", text, re.M)


def _namespace(text: str) -> str:
    found = re.search(r"^namespace ([\w:]+) \{", text, re.M)
    return found[1] if found else ""


# -- versions and decisions -----------------------------------------------------------------------------------------------

def version(tree: Tree) -> Iterator[str]:
    """The newest version of the changelog is the one that is built."""
    built = re.search(r"^project\(\S+ VERSION (\S+)", tree.text("CMakeLists.txt"), re.M)
    newest = re.search(r"^## (\S+)", tree.text("CHANGELOG.md"), re.M)
    if not built or not newest or built[1] != newest[1]:
        yield f"CHANGELOG.md: begins with {newest and newest[1]}, CMakeLists.txt builds {built and built[1]}"


def decisions(tree: Tree) -> Iterator[str]:
    """Each has a number of its own, a status and a date."""
    numbers: set[int] = set()
    for name in tree.like("docs/adr/*.md"):
        number = int(PurePosixPath(name).name[:4])
        if number in numbers:
            yield f"{name}: another decision has the number {number}"
        numbers.add(number)
        form = rf"# {number}\. .+\n\nStatus: (accepted|superseded by \[\d+\]\([\w-]+\.md\).*) · \d{{4}}-\d\d-\d\d\n\n"
        if not re.match(form, tree.text(name)):
            yield f"{name}: must begin with '# {number}. TITLE', then 'Status: accepted · YYYY-MM-DD' or 'superseded by [N](FILE)'"


ALL = (includes, links, threads, metrics, scripts, settings, knobs, pointers, failures, constants, version, decisions)
