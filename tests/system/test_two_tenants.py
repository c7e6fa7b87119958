"""All that one customer can observe, with and without another one beside them: it must be the same."""

from __future__ import annotations

import re
import time

import pytest

pytestmark = pytest.mark.both_engines

SHARED = "type=cache,id=common,target=/cache"
LOOK = f"""FROM busybox
ARG NONCE=%s
COPY . /app
RUN --mount={SHARED} echo cache: $(ls -A /cache); echo left-by-%s >/cache/%s
RUN env | sort; cat /app/.env /app/word; ls -A /app /tmp; cat /etc/resolv.conf | wc -l; mount | wc -l
RUN hostname; id; find / -xdev -name '*secret*' | grep -v /sys || true
"""


def observed(stack, repo, who: str, nonce: str, secret: str) -> dict[str, object]:
    """Builds a deployment of a service of its own that looks around, and gives what its customer gets to see."""
    repository = repo({"Dockerfile": LOOK % (nonce, who, who), "word": "neighbours-secret-of-the-day\n"})
    head = repository.git("rev-parse", "HEAD")
    identity = stack.api.enqueue(stack.job(
        repository.name, serviceId=f"two{who}{nonce}", commitSha=head,
        environmentVariables=[{"key": "PASSWORD", "value": secret}, {"key": "MODE", "value": "production"}]))
    status = stack.api.wait_end(identity, 180)
    log = stack.api.log_text(identity)
    # What differs between two builds of one customer, too: names, times, sizes of the nonce, commits.
    for plain, mark in ((identity, "ID"), (f"two{who}{nonce}", "SERVICE"), (repository.name, "REPOSITORY"), (nonce, "NONCE"),
                        (who, "WHO")):
        log = log.replace(plain, mark)
    log = re.sub(head[:7] + "[0-9a-f]*", "COMMIT", log)
    log = re.sub(r"sha256:[0-9a-f]{12,64}|\b[0-9a-f]{12,64}\b", "DIGEST", log)
    log = re.sub(r"\b\d+(\.\d+)? ?(ms|s|B|kB|KiB|MB|MiB)\b", "AMOUNT", log)
    # A step that is equal in two builds at once is one to BuildKit, here the base image: it is there sooner, and has the
    # number of either (docs/security.md). Steps that run side by side may end in any order.
    log = re.sub(r"^#\d+ (CACHED|DONE AMOUNT)\n", "", re.sub(r"^#\d+ (\[stage-0) \d+/\d+\]", r"# \1]", log, flags=re.M), flags=re.M)
    log = re.sub(r"Log complete: \d+", "Log complete: N", re.sub(r"^#\d+ ", "# ", log, flags=re.M))
    log = re.sub(r"^Pushing: .*\n", "", log, flags=re.M)  # Said of a push that lasts.
    log = re.sub(r"^(steps {4}|slowest {2}| {9}).*\n", "", log, flags=re.M)  # What took the time, and what was there sooner.
    return {"status": status, "statuses": stack.api.statuses(identity), "lines": sorted(log.splitlines())}


def neighbour(stack, repo, nonce: str, secret: str) -> str:
    """The same cache name, the same file names, a secret that is in the other's word list; busy all the time."""
    repository = repo({"Dockerfile": (LOOK % (nonce, "neighbour", "neighbour")) +
                       "RUN echo now-running && i=0; while [ $i -lt 40 ]; do echo busy; sleep 0.5; i=$((i+1)); done\n"})
    identity = stack.api.enqueue(stack.job(
        repository.name, serviceId=f"twon{nonce}", environmentVariables=[{"key": "PASSWORD", "value": secret}]))
    stack.api.wait_output(identity, "now-running")
    return identity


def test_what_a_customer_sees_does_not_depend_on_their_neighbour(stack, worker, repo):
    secret = "own-secret-7Gk2mQ9xLw4"
    nonces = [f"n{time.monotonic_ns() + number}" for number in range(3)]
    alone = observed(stack, repo, "observer", nonces[0], secret)
    assert alone["status"] == "BUILDED", "\n".join(alone["lines"])
    busy = neighbour(stack, repo, nonces[1], "neighbours-secret-of-the-day")
    beside = observed(stack, repo, "observer", nonces[2], secret)
    assert beside == alone, set(beside["lines"]) ^ set(alone["lines"])
    stack.api.cancel(busy)
    assert stack.api.wait_end(busy) == "CANCELLED"
    # Nor does either find anything of the other in what it got.
    assert not any("left-by-neighbour" in line or "twon" in line for line in beside["lines"])
    assert "left-by-observer" not in stack.api.log_text(busy)


def test_a_word_list_does_not_tell_the_secrets_of_a_neighbour(stack, worker, repo):
    """What is taken out of a log tells that it is somebody's secret: only one's own may be."""
    words = "neighbours-secret-of-the-day hunter2hunter2 correct-horse-battery"
    nonce = f"n{time.monotonic_ns()}"
    busy = neighbour(stack, repo, nonce, "neighbours-secret-of-the-day")
    identity = stack.api.enqueue(stack.job(
        repo({"Dockerfile": f"FROM busybox\nRUN echo {nonce} {words}\n"}).name,
        environmentVariables=[{"key": "PASSWORD", "value": "correct-horse-battery"}]))
    assert stack.api.wait_end(identity, 120) == "BUILDED"
    log = stack.api.log_text(identity)
    assert "neighbours-secret-of-the-day hunter2hunter2 " in log and "correct-horse-battery" not in log
    stack.api.cancel(busy)
    assert stack.api.wait_end(busy) == "CANCELLED"

