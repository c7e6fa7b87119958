"""What each feature costs the warm trivial build: all of them off and one at a time on, alternating in one run.

    $(tools/setup --python) bench/price.py [rounds [engine [of]]]

`of`: `features` (what decides about builds, the default) or `papers` (what makes an image one can trust).

A worker for each way, with a queue and a service of its own, all on one engine. In each round every one of them deploys the same new
commit, in an order that turns from round to round. The commit changes one file that the image does not hold, so every step is cached.
Prints medians, and the median of the ratios to "off" of the same round. Nothing here is a test: quote figures with their conditions.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit.images import RegistryClient  # noqa: E402
from kit.scanner import push_scanner  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402

WARM = 2  # Rounds that fill the caches and are not counted.
PAUSE = 0.7  # Seconds for what a worker does behind the end of a deployment.
OFF = {"ENV_DELIVERY": "file", "SECRET_IN_IMAGE": "off", "REUSE_IMAGES": "0", "CUSTOMER_KNOBS": "none", "QUEUE_ORDER": "fifo"}
KNOBS = "[build]\ntarget = \"app\"\nignored_paths = [\"docs/\"]\n\n[build.args]\nGREETING = \"hello\"\n"
VARIABLES = [{"key": key, "value": value} for key, value in {
    "MODE": "production", "PUBLIC_API_URL": "https://api.example.com", "NPM_TOKEN": "npm_7Hq2LzP9xWv4Tn8RkYb3",
    "DATABASE_URL": "postgres://app:pl4ntedUrlPart77@db.internal/app", "SESSION_SECRET": "Zq7Xw2Vn5Tb8Yc4Mv1Kr6Pd"}.items()]


ON = {"ENV_DELIVERY": "file,secret,arg", "SECRET_IN_IMAGE": "warn", "REUSE_IMAGES": "30d", "CUSTOMER_KNOBS": "all", "QUEUE_ORDER": "fair"}


@dataclass
class Way:
    name: str
    settings: dict[str, str] = field(default_factory=dict)  # Over OFF.
    has_knobs: bool = False
    took: list[float] = field(default_factory=list)

    @property
    def queue(self) -> str:
        return "price-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower())


def features() -> list[Way]:
    return [*(Way(f"{setting}={value}", {setting: value}) for setting, value in ON.items()),
            Way("with a deployra.toml", {"CUSTOMER_KNOBS": "all"}, True), Way("all of them", ON, True)]


def papers(stack: Stack, folder: Path) -> list[Way]:
    key, policy = folder / "key.pem", folder / "policy.toml"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True)
    policy.write_text(f'refuse = ["add-url"]\n[[images]]\nfrom = ["{stack.registry.host}/*"]\n')
    provenance = {"ATTESTATIONS": "on", "BUILDER_ID": "https://builds.example.com"}
    signed = {**provenance, "SIGNING_KEY": str(key)}
    listed = {**signed, "SBOM_SCANNER": push_scanner(RegistryClient(stack.registry.host))}
    others = {"POLICY_FILE": str(policy), "BASE_IMAGES": "pinned", "IMAGE_LABELS": "oci", "IMAGE_EPOCH": "layers"}
    return [Way("provenance", provenance), Way("and downloads", {**provenance, "RECORD_DOWNLOADS": "on"}), Way("and a signature", signed), Way("and an SBOM", listed),
            Way("all three required", {**listed, "ATTESTATIONS": "required"}),
            *(Way(f"{setting}={Path(value).name}", {setting: value}) for setting, value in others.items()),
            Way("IMAGE_COMPRESSION=zstd", {"IMAGE_COMPRESSION": "zstd"}), Way("IMAGE_COMPRESSION=estargz", {"IMAGE_COMPRESSION": "estargz"}),
            Way("all but required and compression", {**listed, **others})]


def measure(stack: Stack, base: str, rounds: int, of: list[Way]) -> list[Way]:
    compared = [Way("off"), Way("off again"), *of]  # Off twice: how far two that are the same come apart.
    files: dict[str, str | bytes | None] = {
        "Dockerfile": f"FROM {base} AS app\nARG MODE\nARG GREETING\nCOPY a1.txt /\nCMD [\"sh\"]\n", **{f"a{i}.txt": f"{i}\n" for i in range(19)}}
    repositories = {has_knobs: stack.git.repository(files | ({"deployra.toml": KNOBS} if has_knobs else {})) for has_knobs in (False, True)}
    workers = [stack.worker(way.queue, LOG_LEVEL="info", REDIS_QUEUE_NAME=way.queue, BUILD_NETWORK_POLICY="any",
                            **{**OFF, **way.settings}).start() for way in compared]
    for number in range(rounds + WARM):
        for repository in repositories.values():
            repository.commit({"a0.txt": f"{number}\n"})
        turn = number % len(compared)
        for way in compared[turn:] + compared[:turn]:
            time.sleep(PAUSE)
            took, _ = stack.timed(stack.job(repositories[way.has_knobs].name, serviceId=way.queue, environmentVariables=VARIABLES), way.queue)
            if number >= WARM:
                way.took.append(took)
    for worker in workers:
        worker.stop()
    return compared


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    engine = sys.argv[2] if len(sys.argv) > 2 else "docker"
    before = os.getloadavg()[0]
    with running_stack() as stack:
        stack.use(engine)
        base = f"price-{uuid.uuid4().hex[:8]}/base:1"
        RegistryClient(stack.registry.host).push_base_image(base)
        with tempfile.TemporaryDirectory() as folder:
            of = papers(stack, Path(folder)) if sys.argv[3:] == ["papers"] else features()
            compared = measure(stack, f"{stack.registry.host}/{base}", rounds, of)
    off = compared[0].took
    print(f"{engine}, {rounds} rounds, load {before:.1f} before and {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores")
    for way in compared:
        ratio = statistics.median(took / without for took, without in zip(way.took, off, strict=True))
        print(f"  {way.name:32} {statistics.median(way.took) * 1000:6.0f} ms (fastest {min(way.took) * 1000:.0f}), "
              f"{(statistics.median(way.took) - statistics.median(off)) * 1000:+5.0f} ms, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
