"""docs/failures.md, made of the rules that explain failures. `tools/check --fix` writes it, tools/claims.py compares it."""

from __future__ import annotations

import re
import tomllib

RULES = "src/domain/failures/rules.toml"
PAGE = "docs/failures.md"

HEAD = f"""# Why a deployment failed

Made of `{RULES}` by `tools/check --fix`; [CONTRIBUTING](../CONTRIBUTING.md#a-rule-for-a-failure) says how to add a rule.

When a deployment fails, the worker compares the end of the failing step's output, and what else is known, with the rules
below. The first one that fits is told to the customer: its sentence in the status and in the log (`Why:`), its suggestion in
the log (`What to do:`). It is counted in `deployra_builder_failures_total` with its category and name, and the service log
names it (`reason=`). Where no rule fits, the status has the last words of the command.

Whose matter it is: **customer** (the repository or the service's settings), **platform** (the build machine), **network** (a
server that the build needs, or the way to it). Words in capitals stand for what the log names.
"""


def shown(form: str) -> str:
    """A sentence as Markdown, with names for what is captured."""
    text = re.sub(r"\{([a-z_]+)[^}]*\}", lambda match: match[1].upper(), form)
    return re.sub(r"([\\*_<`\[])", r"\\\1", text)


def page(rules: str) -> str:
    by_name = {rule["name"]: rule for rule in tomllib.loads(rules).get("rule", [])}
    text = HEAD
    for line in rules.splitlines():
        if section := re.fullmatch(r"# --- (.+)\.", line):
            text += f"\n## {section[1]}\n"
        elif name := re.fullmatch(r'name = "(.+)"', line):
            rule = by_name[name[1]]
            text += f"\n### {rule['name']}\n\n**{rule['category']}** · {shown(rule['sentence'])}.\n{shown(rule['suggestion'])}\n"
    return text
