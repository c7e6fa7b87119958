"""Every shape of Dockerfile on every engine: steps cached and wall time, ours beside the plain tools, alternating in one run.

    $(tools/setup --python) bench/cache_matrix.py [engine …]

A cell is `cached steps ours/theirs, seconds ours/theirs` of the second and third deployment, each with one unrelated file
changed. Ours is timed from the job in the queue to BUILDED at the platform; theirs is `git clone --depth 1` and `buildctl`
or `docker buildx build` with a push. Nothing here is a test: quote figures with their conditions.
"""

from __future__ import annotations

import itertools
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from kit import cache_matrix, cnb  # noqa: E402
from kit.images import RegistryClient  # noqa: E402
from kit.plain_tools import PlainTools  # noqa: E402
from kit.shapes import SHAPES, push_onbuild_base  # noqa: E402
from kit.stack import Stack, running_stack  # noqa: E402

ENGINES = ["docker", "docker29", "docker29-graph", "buildkitd", "buildkitd-tcp"]


def run(stack: Stack, engine: str, folder: Path) -> None:
    stack.use(engine)
    builder = cnb.push_builder(RegistryClient(stack.registry.host), cnb.Builder())
    worker = stack.worker(f"bench-{engine}", LOG_LEVEL="info", CNB_BUILDER=builder, CNB_NETWORK="host",
                          BUILD_NETWORK_POLICY="any").start()
    plain = PlainTools(stack, folder / f"plain-{engine}")
    ratios = []
    names = re.findall(r"engine: (?!it lacks)(.+)", worker.text())
    print(f"\n{engine}: {names[-1]}")
    cells = (cache_matrix.measure(stack, plain, shape) for shape in SHAPES)
    for cell in itertools.chain(cells, (cache_matrix.measure_buildpacks(stack, plain, builder) for _ in range(1))):
        if not cell.ours[0].ok:
            print(f"  {cell.shape:16} fails with both: this engine's own frontend is too old" if not cell.theirs[0].ok
                  else f"  {cell.shape:16} FAILS with ours alone")
            continue
        warm = list(zip(cell.ours[1:], cell.theirs[1:], strict=True))
        ratio = statistics.median(ours.seconds / theirs.seconds for ours, theirs in warm)
        ratios.append(ratio)
        print(f"  {cell.shape:16} cached {' '.join(f'{len(o.cached)}/{len(t.cached)}' for o, t in warm)}, "
              f"{statistics.median(o.seconds for o, _ in warm):.2f} s / {statistics.median(t.seconds for _, t in warm):.2f} s, "
              f"ratio {ratio:.2f}", flush=True)
    print(f"  median ratio {statistics.median(ratios):.2f}")
    worker.stop()


def main() -> None:
    with running_stack() as stack:
        push_onbuild_base(RegistryClient(stack.registry.host))
        for engine in sys.argv[1:] or ENGINES:
            run(stack, engine, stack.folder)


if __name__ == "__main__":
    main()
