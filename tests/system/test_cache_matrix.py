"""What the plain tools find in the engine's cache, a deployment finds as well: every shape, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit import cache_matrix, cnb
from kit.cache_matrix import Cell
from kit.images import RegistryClient
from kit.plain_tools import PlainTools
from kit.shapes import SHAPES, push_onbuild_base
from kit.stack import Stack
from kit.worker import Worker

AT_ONCE = 2


def too_new(stack: Stack) -> list[str]:
    """Shapes that the engine's own frontend cannot read."""
    return [shape.name for shape in SHAPES if stack.engine is stack.docker and shape.since > (0, 8)]


@pytest.mark.parametrize("stack", ["docker", "docker29", "buildkitd", "buildkitd-tcp"], indirect=True, scope="session")
def test_as_much_is_cached_as_with_the_plain_tools(stack: Stack, make_worker: Callable[..., Worker], tmp_path: Path) -> None:
    registry = RegistryClient(stack.registry.host)
    push_onbuild_base(registry)
    builder = cnb.push_builder(registry, cnb.Builder())
    make_worker(MAX_PARALLEL_BUILDS=str(AT_ONCE), CNB_BUILDER=builder, CNB_NETWORK="host",
                BUILD_NETWORK_POLICY="any")
    plain = PlainTools(stack, tmp_path / "plain")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        buildpacks = pool.submit(cache_matrix.measure_buildpacks, stack, plain, builder)
        cells: list[Cell] = [*pool.map(lambda shape: cache_matrix.measure(stack, plain, shape), SHAPES), buildpacks.result()]
    differences = [difference for cell in cells for difference in cell.differences()]
    assert not differences, "\n".join(differences)
    for cell in cells:
        # A comparison of failures, or of builds that cache nothing, would prove little.
        assert cell.ours[0].ok or cell.shape in too_new(stack), cell.ours[0].text
        assert not cell.ours[0].ok or len(cell.ours[-1].cached) > len(cell.ours[0].cached), cell.ours[-1].text
