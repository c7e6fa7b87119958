"""Decides from the platform's record and a dump of Redis whether the promises of the queue were kept; knows
nothing of how the history was made. `python -m kit.checker record.json dump.json` prints what it found."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ATTEMPTS_USED = "the worker that ran it was lost each time"
FINALS = ("BUILDED", "FAILED", "CANCELLED")
MAX_ATTEMPTS = 3


@dataclass
class Verdict:
    breaches: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def breach(self, invariant: str, deployment: str, what: object) -> None:
        self.breaches.append(f"{invariant}: {deployment}: {what}")


def judge(record: dict, dump: dict) -> Verdict:  # type: ignore[type-arg]
    """`record`: queue; pushed ids; cancelled ids; `disturbed`, by id: how often its worker was killed or paused, or an
    answer was broken, while it was under way; `once`: of these, ids that may have one end only; `runs`, by
    id: how often the engine ran its step, where that was counted; `behind_push`: ids killed when their image had been
    pushed, and of these `built_again`: ids that the engine was asked to build; failures' texts; posts in their order as
    [deployment, kind, status or text, answer]. `dump`: what our keys hold in the end, and the queue."""
    verdict = Verdict()
    posts: dict[str, list[tuple[str, str, int]]] = {}
    for deployment, kind, what, answer in record["posts"]:
        posts.setdefault(deployment, []).append((kind, what, answer))
    for deployment in record["pushed"]:
        one(verdict, record, deployment, posts.get(deployment, []))
    tag = "{%s}:" % record["queue"]
    for key, content in dump.items():
        if (key.startswith(tag) and key.split(":")[-1] in ("own", "pay", "svc", "wait", "out")) or key == record["queue"]:
            verdict.breach("I1", key, f"is left: {str(content)[:100]}")
    for deployment, status in dump.get(tag + "fin", {}).items():
        ends = [what for kind, what, answer in posts.get(deployment, []) if kind == "status" and what in FINALS]
        if ends and ends[-1] != status:
            verdict.breach("I3", deployment, f"Redis says {status}, the platform {ends}")
    return verdict


def one(verdict: Verdict, record: dict, deployment: str, posts: list[tuple[str, str, int]]) -> None:  # type: ignore[type-arg]
    disturbed, cancelled = record["disturbed"].get(deployment, 0), deployment in record["cancelled"]
    statuses = [what for kind, what, answer in posts if kind == "status" and answer == 200]
    ends = [status for status in statuses if status in FINALS]
    if not ends:
        return verdict.breach("I1", deployment, "has no end")
    verdict.figures[ends[-1]] += 1
    reason = record["failures"].get(deployment, "")
    if "FAILED" in ends and not (ATTEMPTS_USED in reason and disturbed >= MAX_ATTEMPTS):
        verdict.breach("I1", deployment, f"failed although the build is sound: {reason}")
    if len(set(ends)) > 1 and not (cancelled and ends[-1] == "CANCELLED"):
        verdict.breach("I3", deployment, f"ends {ends}")
    if len(ends) > 1 + (disturbed if deployment not in record.get("once", []) else 0) + cancelled:
        verdict.breach("I4", deployment, f"ends {ends}, disturbed {disturbed} times")
    first_end = next(i for i, (kind, what, _) in enumerate(posts) if kind == "status" and what in FINALS)
    for kind, what, _ in posts[first_end + 1:]:
        if kind == "logs" or what == "BUILDING":
            verdict.breach("I5", deployment, f"{kind} {what[:40]!r} after the end")
    if statuses.count("BUILDING") > 1 + disturbed:
        verdict.breach("I6", deployment, f"{statuses.count('BUILDING')} builds, disturbed {disturbed} times")
    if "runs" in record:
        runs = record["runs"].get(deployment, 0)
        if runs > 1 + disturbed or (runs == 0 and ends[-1] == "BUILDED"):
            verdict.breach("I6", deployment, f"the engine ran it {runs} times, disturbed {disturbed} times")
        if deployment in record["built_again"] or (runs > 1 and deployment in record["behind_push"]):
            verdict.breach("I6", deployment, f"built again although its image was pushed, ran {runs} times")
        verdict.figures["repeated runs"] += max(0, runs - 1)
    verdict.figures["repeated ends"] += len(ends) - 1
    verdict.figures["repeated builds"] += max(0, statuses.count("BUILDING") - 1)


if __name__ == "__main__":
    found = judge(*(json.loads(Path(path).read_text()) for path in sys.argv[1:3]))
    print(dict(found.figures))
    print("\n".join(found.breaches) or "every promise was kept")
    sys.exit(1 if found.breaches else 0)
