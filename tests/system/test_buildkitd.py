"""The kit's own BuildKit builds from its registry: what the tests on that engine rest on."""

from __future__ import annotations

from pathlib import Path

from kit.buildkitd import Buildkitd
from kit.images import RegistryClient
from kit.process import stopped_at_end
from kit.registry import PlainRegistry


def test_a_standalone_buildkit_builds_from_a_mirror_and_pushes(tmp_path: Path) -> None:
    registry = PlainRegistry(tmp_path)
    host = f"127.0.0.1:{registry.port}"
    engine = Buildkitd(tmp_path, mirrors={"docker.io": host})
    with stopped_at_end(registry, engine):
        registry.start()
        RegistryClient(host).push_base_image()
        engine.start()
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "Dockerfile").write_text("FROM busybox\nRUN id -u > /made\n")
        built = engine.buildctl(
            "build", "--frontend=dockerfile.v0", f"--local=context={tmp_path / 'app'}",
            f"--local=dockerfile={tmp_path / 'app'}",
            f"--output=type=image,name={host}/made:1,push=true,registry.insecure=true,oci-mediatypes=false")
        assert built.returncode == 0, built.stderr
        assert len(RegistryClient(host).config("made", "1")["rootfs"]["diff_ids"]) == 2
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
