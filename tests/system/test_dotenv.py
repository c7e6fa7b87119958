"""A job's variables, read back from the .env of its image by the real readers."""

from __future__ import annotations

import base64
import random
import re

from kit.dotenv_readers import read_all

TABLE = [
    "", "plain", "a b", " lead", "trail ", "  ", "\t", "a #b", "#", "$", "a$HOME", "a$1", "a$$b", "${HOME}", "${NOPE:-x}",
    "$(echo x)", "`echo x`", '"', "'", '"quoted"', "'quoted'", "it's", 'say "hi"', "it's \"both\"", "it's $5", "it's ${HOME}",
    "it's `x`", "a`'\"b", "a\\b", "C:\\dir\\new", "C:\\dir\\", "a\\", "\\", "a b\\", "\\\\", "a\\\\b", 'a\\"b', "a\\'b", "it's \\n",
    "a\\$b", "'\\$x'", "a\nb", "a\n", "\n", "\r", "a\r\nb\r\n", "l1\nEVIL=1\nl3", "l1\nexport EVIL=1", "a\n#b", "x\n$y", "x\n${HOME}",
    '{\n "key": "-----BEGIN\\nMII=\\n"\n}', '{"a":"b\\nc"}', "export A=1", "A=B", "key: value", "=", "==", "a=b&c=d?e", "ü€😀",
    "\ufeffbom", "a\u2028b\u0085c", "\x01\x1b[31m", "\x0b\x0c", "null", "true", "$2b$10$abc/def.ghi", "postgres://u:p%40@h:1/d?x=y#z",
    "x" * 65_536, "é'" * 10_000, "line\n" * 2_000, '<>&"', "~", "*", "!", "{a,b}", "[1]", "%PATH%", ";|", "a,b", "-n", "\\n", "\\t\\r",
]


def dotenv_of(stack, repo, tmp_path, variables):
    """The .env as the image has it, and what the customer was warned of, by name."""
    identity = stack.api.enqueue(stack.job(repo().name, environmentVariables=variables))
    assert stack.api.wait_end(identity) == "BUILDED", stack.api.log_text(identity)
    file = tmp_path / ".env"
    file.write_bytes(base64.b64decode(stack.output_of(identity, ["base64", "/app/.env"])))
    warnings: dict[str, str] = {}
    for name, text in re.findall(r"^Variable '([^']*)' (.*)$", stack.api.log_text(identity), re.M):
        warnings[name] = warnings.get(name, "") + text
    return file, warnings


def breaches(file, sent, warnings):
    """A value that is not warned of is read back exactly; one that is, by all readers but the named ones;
    one that is left out by none. No reader sees any other variable."""
    found = []
    for reader, values in read_all(file).items():
        found += [f"{reader} sees {name!r}" for name in values.keys() - sent.keys()]
        for name, value in sent.items():
            warning = warnings.get(name, "")
            wanted = None if "not written" in warning else value
            if values.get(name) != wanted and reader not in warning:
                found.append(f"{reader}: {value[:60]!r} is read as {(values.get(name) or '')[:60]!r}; {warning!r}")
    return found


def test_the_common_readers_read_back_the_values_sent(stack, worker, repo, tmp_path):
    chooser = random.Random(20260101)
    pieces = ["a", "B", "1", " ", "'", '"', "`", "\\", "\\n", "$", "${", "}", "$(", ")", "#", "\n", "\r", "=", "\t", "é", "!", "EVIL=1", "%"]
    fuzz = ["".join(chooser.choices(pieces, k=chooser.randint(1, 7))) for _ in range(600)]
    sent = {f"K{number}": value for number, value in enumerate(TABLE + fuzz)}
    file, warnings = dotenv_of(stack, repo, tmp_path, [{"key": key, "value": value} for key, value in sent.items()])
    assert breaches(file, sent, warnings) == []
    # Only values no form suits are warned of.
    warned = [value for key, value in sent.items() if key in warnings and value in TABLE]
    assert len(warned) < len(TABLE) / 4, warned


def test_names_that_some_reader_refuses_are_warned_of(stack, worker, repo, tmp_path):
    sent = {"GOOD": "1", "export": "2", "_U": "3"}
    hurt = {"A-B": "Go", "A.B": "Symfony", "1A": "Symfony", "__A": "Symfony"}
    bad = ["a b", "A=B", "export X", "Ä", "", "A\nB", "A" * 300]
    variables = [{"key": key, "value": value} for key, value in
                 [("GOOD", "first"), ("NUL", "x\0y"), *sent.items(), *((key, "h") for key in [*hurt, *bad])]]
    file, warnings = dotenv_of(stack, repo, tmp_path, variables)
    assert file.read_text() == "GOOD=1\nexport=2\n_U=3\n" + "".join(f"{key}=h\n" for key in hurt)
    assert all(reader in warnings[key] for key, reader in hurt.items())
    left_out = {"NUL", "a b", "A=B", "export X", "??", "", "A?B", "A" * 60}  # As they are shown.
    assert warnings.keys() == hurt.keys() | left_out
    assert all("not written" in warnings[key] for key in left_out)
    file.write_text("".join(line for line in file.read_text().splitlines(True) if line.split("=")[0] in sent))
    assert breaches(file, sent, {}) == []
