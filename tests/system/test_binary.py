"""The built file itself: what cmake/hardening.cmake asks for is in it, what is in it is listed, and it can be built again."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from kit.worker import BINARY, ROOT

BUILD = BINARY.parent
# Calls that come with FORTIFY, from a buffer's end to a descriptor's number in a set.
GUARDED = r"__\w+_chk"
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="endbr64 and the probes are x86's")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=BUILD).stdout


@functools.cache
def elf(what: str, path: Path = BINARY) -> str:
    return output("readelf", what, "--wide", str(path))


def sections() -> dict[str, tuple[int, int, int]]:
    """Address, offset and size."""
    found = re.findall(r"\] (\S+) +\w+ +([0-9a-f]{16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) ", elf("-S"))
    return {name: tuple(int(number, 16) for number in numbers) for name, *numbers in found}  # type: ignore[misc]


def code() -> bytes:
    _, offset, size = sections()[".text"]
    return BINARY.read_bytes()[offset:offset + size]


def test_it_is_loaded_anywhere_bound_at_the_start_and_read_only_from_then_on():
    assert "DYN (Position-Independent Executable file)" in elf("-h")
    dynamic = elf("-d")
    assert re.search(r"\(FLAGS\) +.*BIND_NOW", dynamic) and re.search(r"\(FLAGS_1\) +.*NOW PIE", dynamic)
    assert "(TEXTREL)" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic
    segments = elf("-l")
    relro = re.search(r"GNU_RELRO +\S+ 0x(\w+) \S+ \S+ 0x(\w+)", segments)
    assert relro
    begin, end = int(relro[1], 16), int(relro[1], 16) + int(relro[2], 16)
    for name in (".init_array", ".data.rel.ro", ".dynamic", ".got"):
        address, _, size = sections()[name]
        assert begin <= address and address + size <= end, name
    assert ".got.plt" not in sections()


def test_nothing_can_be_both_written_and_run():
    segments = re.findall(r"^  (LOAD|GNU_STACK) +(?:0x\w+ +){5}([R ][W ][E ])", elf("-l"), re.M)
    assert len(segments) > 4
    assert {flags for kind, flags in segments if kind == "GNU_STACK"} == {"RW "}
    assert {flags for _, flags in segments} == {"R  ", "R E", "RW "}
    # Code is alone in its pages: what is constant has segments of its own.
    mapped = elf("-l").split("Section to Segment mapping:")[1]
    executable = [line for line in mapped.splitlines() if " .text " in line]
    assert len(executable) == 1 and not re.search(r"\.(rodata|eh_frame|dynsym|data|got)\b", executable[0].replace(".plt.got", ""))


def test_buffers_frames_and_indices_are_checked():
    imported = re.findall(r" UND (\w+)", elf("--dyn-syms"))
    assert "__stack_chk_fail" in imported
    assert len({name for name in imported if re.fullmatch(GUARDED, name)} - {"__stack_chk_fail"}) >= 10
    assert any("glibcxx_assert_fail" in name for name in imported)


@X86
def test_large_frames_touch_each_of_their_pages():
    # orq $0, (%rsp); Debian's archives have none.
    assert code().count(bytes.fromhex("48830c2400")) > 0


@X86
def test_every_function_of_ours_is_a_place_to_jump_to():
    """The file has no symbols any more, its objects have: whatever another object can name begins with one. What is local
    and called by name only needs none."""
    endbr64, functions, without = bytes.fromhex("f30f1efa"), set(), []
    for archive in sorted((BUILD / "src").rglob("*.a")):
        named = set(re.findall(r" [TW] (\S+)$", output("nm", "--defined-only", str(archive)), re.M))
        first = re.findall(r"^<(\S+)>:\n\t(\w+)", output("objdump", "-d", "--no-addresses", "--no-show-raw-insn", str(archive)), re.M)
        functions |= {name for name, _ in first if name in named}
        without += [name for name, instruction in first if name in named and instruction != "endbr64"]
    assert without == [] and len(functions) > 3000
    assert code().count(endbr64) > len(functions) / 3  # What is inline is there once, or not at all.


def test_every_source_is_compiled_as_cmake_says():
    """What leaves no mark in the file, and that no folder goes its own way."""
    wanted = {"-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS", "-fstack-protector-strong", "-fstack-clash-protection",
              "-ftrivial-auto-var-init=zero", "-O2", "-fPIC"}
    commands = {entry["file"]: shlex.split(entry["command"]) for entry in json.loads((BUILD / "compile_commands.json").read_text())}
    ours = {name: command for name, command in commands.items() if name.startswith((f"{ROOT}/src/", f"{BUILD}/src/"))}
    assert len(ours) > 100
    for name, command in ours.items():
        assert wanted - {"-fPIC"} <= set(command) and {"-fPIC", "-fPIE"} & set(command), name
        assert not [word for word in command if re.match("-U_FORTIFY|-fno-stack|-fcf-protection=none|-O[013s]", word)], name


def test_it_tells_nothing_of_where_it_was_built():
    raw = BINARY.read_bytes()
    assert str(ROOT).encode() not in raw and b"../../src/" not in raw
    assert re.search(r"Build ID: [0-9a-f]{40}\n", elf("-n"))


def test_a_backtrace_names_functions_files_and_lines(tmp_path):
    """The binary has nothing of it, and names the installed file that has: by its checksum and by one identity."""
    assert not {".symtab", ".debug_info", ".debug_line"} & set(sections())
    output("cmake", "--install", str(BUILD), "--prefix", str(tmp_path))
    debug = tmp_path / "lib" / "debug" / "usr" / "bin" / "deployra-builder.debug"
    assert debuglink() == (debug.name, zlib.crc32(debug.read_bytes()))
    identity = re.search(r"Build ID: (\w+)", elf("-n"))
    assert identity and identity[1] in elf("-n", debug)

    symbols = output("nm", "--defined-only", str(debug))
    address = re.search(r"^(\w+) T _ZN7builder3app3cli11run_program\w*$", symbols, re.M)
    assert address
    assert re.fullmatch(r"builder::app::cli::run_program\(int, char\*\*\)\n(\./)?src/app/cli/program\.cpp:\d+\n",
                        output("addr2line", "-Cfe", str(debug), f"0x{address[1]}"))


def debuglink() -> tuple[str, int]:
    """The file's name, padded to four bytes, then its CRC-32."""
    _, offset, size = sections()[".gnu_debuglink"]
    raw = BINARY.read_bytes()[offset:offset + size]
    return raw.split(b"\0")[0].decode(), int.from_bytes(raw[-4:], "little")


@pytest.mark.parametrize("name", ["subprocess.cpp", "membership.cpp", "solve.cpp"])
def test_two_folders_give_one_object(tmp_path, name):
    """A file that names itself, and two that include what the build has generated: compiled in another folder and without
    ccache, as this one's build has compiled it."""
    other, [source] = tmp_path / "in" / "another" / "place", (ROOT / "src").rglob(name)
    shutil.copytree(ROOT / "src", other / "src")
    for folder in ("generated", "proto"):
        for made in (BUILD / "src").rglob(folder):
            shutil.copytree(made, other / made.relative_to(ROOT))
    [command] = [entry["command"] for entry in json.loads((BUILD / "compile_commands.json").read_text()) if entry["file"] == str(source)]
    words = shlex.split(command.replace(str(ROOT), str(other)))
    words = words[next(at for at, word in enumerate(words) if re.search(r"/(c|g|clang)\+\+[^/]*$", word)):]
    made = BUILD / words[words.index("-o") + 1]
    words[words.index("-o") + 1] = str(tmp_path / "made.o")
    subprocess.run(words, check=True, cwd=other / "build" / "release")
    assert (tmp_path / "made.o").read_bytes() == made.read_bytes()


if os.environ.get("REPRODUCIBLE") == "all":  # It takes as long as two builds.
    def test_two_folders_give_one_binary():
        assert output(str(ROOT / "tools" / "reproducible")).split() == [hashlib.sha256(BINARY.read_bytes()).hexdigest()]


def test_everything_that_is_linked_is_listed(tmp_path):
    output("cmake", "--install", str(BUILD), "--prefix", str(tmp_path))
    listed = json.loads((tmp_path / "share" / "doc" / "deployra-builder" / "deployra-builder.spdx.json").read_text())
    assert listed["spdxVersion"] == "SPDX-2.3"
    packages = {package["SPDXID"]: package for package in listed["packages"]}
    assert len(packages) == len(listed["packages"])
    worker = packages["SPDXRef-worker"]
    assert worker["checksums"] == [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(BINARY.read_bytes()).hexdigest()}]
    assert f"deployra-builder {worker['versionInfo']}\n" == output(str(BINARY), "--version")

    related = {}
    for relation in listed["relationships"]:
        ends = {relation["spdxElementId"], relation["relatedSpdxElement"]}
        assert ends <= {*packages, "SPDXRef-DOCUMENT"}
        for end in ends - {"SPDXRef-worker", "SPDXRef-DOCUMENT"}:
            related[packages[end]["name"]] = relation["relationshipType"]
    assert set(related) == {package["name"] for package in packages.values()} - {"deployra-builder"}

    # Every file that the loader finds, and every archive that the linker was told of.
    files = {how: {file for package in packages.values() if related.get(package["name"]) == how for file in package["comment"].split()}
             for how in set(related.values())}
    found = set(re.findall(r"/(\S+) \(0x", output("ldd", str(BINARY))))
    assert {Path(name).name for name in found} == files["DYNAMIC_LINK"] | files["RUNTIME_DEPENDENCY_OF"]
    assert set(re.findall(r"\(NEEDED\).*\[(\S+)\]", elf("-d"))) <= files["DYNAMIC_LINK"]
    link = output("ninja", "-t", "commands", "deployra-builder").splitlines()[-1]
    archives = {Path(word).name for word in shlex.split(link) if re.fullmatch(r"/usr/\S+\.a", word)}
    assert len(archives) > 10
    assert {name for name in archives if taken_from(name)} <= files["STATIC_LINK"]

    for name in ("libssl3", "libgrpc++-dev", "nlohmann-json3-dev"):
        assert name in related
        [package] = [package for package in packages.values() if package["name"] == name]
        assert package["versionInfo"] == output("dpkg-query", "-W", "-f", "${Version}", name)
        assert package["licenseDeclared"] in ("Apache-2.0", "MIT")


def taken_from(archive: str) -> bool:
    """Whether the linker's map places anything of it."""
    return f"/{archive}(" in (BUILD / "deployra-builder.map").read_text(errors="replace")
