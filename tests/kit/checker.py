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


@dataclass
class Verdict:
    breaches: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def breach(self, invariant: str, deployment: str, what: object) -> None:
        self.breaches.append(f"{invariant}: {deployment}: {what}")


def judge(record: dict[str, object], dump: dict[str, object]) -> Verdict:
    """`record`: pushed ids, cancelled ids, kills, pauses, failures' texts, posts in order as [deployment, kind,
    status or text, answer]. `dump`: what our keys hold in the end, and the queue."""
    verdict = Verdict()
    kills, pauses = int(record["kills"]), int(record["pauses"])  # type: ignore[call-overload]
    cancelled = set(record["cancelled"])  # type: ignore[call-overload]
    posts: dict[str, list[tuple[str, str, int]]] = {}
    for deployment, kind, what, answer in record["posts"]:  # type: ignore[attr-defined]
        posts.setdefault(deployment, []).append((kind, what, answer))
    repeated_ends = repeated_builds = 0
    for deployment in record["pushed"]:  # type: ignore[attr-defined]
        mine = posts.get(deployment, [])
        statuses = [what for kind, what, answer in mine if kind == "status" and answer == 200]
        ends = [status for status in statuses if status in FINALS]
        if not ends:
            verdict.breach("I1", deployment, "has no end")
            continue
        verdict.figures[ends[-1]] += 1
        reason = dict(record["failures"]).get(deployment, "")  # type: ignore[call-overload]
        if "FAILED" in ends and ATTEMPTS_USED not in reason:
            verdict.breach("I1", deployment, f"failed although the build is sound: {reason}")
        if len(set(ends)) > 1 and not (deployment in cancelled and ends[-1] == "CANCELLED"):
            verdict.breach("I3", deployment, f"ends {ends}")
        first_end = next(i for i, (kind, what, _) in enumerate(mine) if kind == "status" and what in FINALS)
        for kind, what, _ in mine[first_end + 1:]:
            if kind == "logs" or what == "BUILDING":
                verdict.breach("I5", deployment, f"{kind} {what[:40]!r} after the end")
        if statuses.count("BUILDING") > 3 + kills + pauses:
            verdict.breach("I6", deployment, f"{statuses.count('BUILDING')} builds")
        repeated_ends += len(ends) - 1
        repeated_builds += max(0, statuses.count("BUILDING") - 1)
    if repeated_ends > kills + pauses + len(cancelled):
        verdict.breach("I4", "all", f"{repeated_ends} repeated ends, {kills} kills, {pauses} pauses")
    if repeated_builds > 2 * (kills + pauses):
        verdict.breach("I6", "all", f"{repeated_builds} repeated builds, {kills} kills, {pauses} pauses")
    for key, content in dump.items():
        if key.split(":")[-1] in ("own", "pay", "svc", "wait", "out") or key == record["queue"]:
            verdict.breach("I1", key, f"is left: {str(content)[:100]}")
    for deployment, status in dict(dump.get("{%s}:fin" % record["queue"], {})).items():  # type: ignore[call-overload]
        ends = [what for kind, what, answer in posts.get(deployment, []) if kind == "status" and what in FINALS]
        if ends and ends[-1] != status and "404" not in str(ends):
            verdict.breach("I3", deployment, f"Redis says {status}, the platform {ends}")
    verdict.figures["repeated ends"] = repeated_ends
    verdict.figures["repeated builds"] = repeated_builds
    return verdict


if __name__ == "__main__":
    found = judge(*(json.loads(Path(path).read_text()) for path in sys.argv[1:3]))
    print(dict(found.figures))
    print("\n".join(found.breaches) or "every promise was kept")
    sys.exit(1 if found.breaches else 0)
