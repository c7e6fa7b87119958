"""A Cloud Native Buildpacks builder and its run image, with the real lifecycle and buildpacks of ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..go_tools import tool
from ..images import PATH, Layer, RegistryClient, busybox_layer

HERE = Path(__file__).resolve().parent
UID, GID = 1001, 1002
STACK = "test.stack.busybox"
VERSION = "0.20.11"
PHASES = ["analyzer", "builder", "creator", "detector", "exporter", "extender", "rebaser", "restorer"]
PLATFORM_APIS = ["0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14"]
BUILDPACK_APIS = ["0.7", "0.8", "0.9", "0.10", "0.11"]

NODE_APP: dict[str, str] = {
    "package.json": json.dumps({"name": "sample", "scripts": {
        "start": "httpd -f -p ${PORT:-3000} -h public"}}, indent=1),
    "public/index.html": "<h1>hello from the node sample</h1>\n"}
STATIC_APP: dict[str, str] = {"index.html": "<h1>hello from the static sample</h1>\n"}


def quoted(texts: list[str]) -> str:
    return "[" + ", ".join(json.dumps(text) for text in texts) + "]"


@dataclass
class Builder:
    """What kind of builder to make; the defaults are a well-behaved one."""

    name: str = "cnb/builder"
    run: str = "cnb/run"
    files: tuple[str, ...] = ("run.toml", "stack.toml")  # That name the run image.
    labels: bool = True
    ids: bool = True
    extensions: bool = False
    platform_apis: list[str] = field(default_factory=lambda: list(PLATFORM_APIS))
    run_reference: str = ""  # In place of the real one.
    mirrors: list[str] = field(default_factory=list)
    more_buildpacks: dict[str, Path] = field(default_factory=dict)  # Folder in the image → folder here.
    broken_restore: bool = False  # Its lifecycle fails to restore unless told not to try.
    order: list[str] | None = None  # Ids; default: all of ours, each alone.
    architecture: str = "amd64"  # What both images say that they are for; the programs are this machine's.


def info_of(folder: Path) -> dict[str, str]:
    text = (folder / "buildpack.toml").read_text()

    def value(name: str) -> str:
        found = re.search(rf'^\s*{name}\s*=\s*"([^"]+)"', text, re.M)
        assert found, (folder, name)
        return found[1]

    return {name: value(name) for name in ("id", "version", "api")}


def add_folder(layer: Layer, source: Path, target: str) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            layer.file(f"{target}/{path.relative_to(source)}", path.read_bytes(),
                       0o755 if path.stat().st_mode & 0o100 else 0o644)


BROKEN_CREATOR = """#!/bin/sh
if [ "${CNB_SKIP_RESTORE:-}" != true ]; then
  echo "===> RESTORING"
  echo "ERROR: failed to restore: the cache is broken"
  exit 42
fi
exec /cnb/real/creator "$@"
"""


def lifecycle_layer(platform_apis: list[str], broken_restore: bool = False) -> Layer:
    layer = Layer()
    layer.file("/cnb/lifecycle/lifecycle", tool("lifecycle").read_bytes(), 0o755)
    layer.file("/cnb/lifecycle/launcher", tool("launcher").read_bytes(), 0o755)
    for phase in PHASES:
        if phase == "creator" and broken_restore:
            layer.file("/cnb/lifecycle/creator", BROKEN_CREATOR, 0o755)
            layer.link("/cnb/real/creator", "/cnb/lifecycle/lifecycle")
        else:
            layer.link(f"/cnb/lifecycle/{phase}", "lifecycle")
    layer.file("/cnb/lifecycle/lifecycle.toml",
               f'[apis.buildpack]\nsupported = {quoted(BUILDPACK_APIS)}\n'
               f'[apis.platform]\nsupported = {quoted(platform_apis)}\n[lifecycle]\nversion = "{VERSION}"\n')
    return layer


def push_lifecycle(client: RegistryClient, name: str = "cnb/lifecycle:" + VERSION) -> str:
    """An image that holds nothing but the lifecycle, as the published one: no shell."""
    layer = lifecycle_layer(PLATFORM_APIS)
    layer.folder("/layers", 0o755, UID, GID).folder("/workspace", 0o755, UID, GID).folder("/tmp", 0o1777)
    client.push_image(name, [layer], {"Env": [PATH], "User": f"{UID}:{GID}", "WorkingDir": "/layers"})
    return f"{client.host}/{name}"


def push_builder(client: RegistryClient, builder: Builder) -> str:
    """Pushes the run image and the builder; gives the builder's reference."""
    run = builder.run_reference or f"{client.host}/{builder.run}"
    client.push_image(builder.run, [busybox_layer(UID, GID)], {
        "User": f"{UID}:{GID}", "Env": [PATH], "Labels": {
            "io.buildpacks.base.distro.name": "tiny", "io.buildpacks.base.distro.version": "1",
            "io.buildpacks.stack.id": STACK, "io.buildpacks.rebasable": "true"}}, builder.architecture)
    buildpacks = Layer()
    folders = [path for path in sorted((HERE / "buildpacks").iterdir()) if path.is_dir()]
    infos = []
    for folder in [*folders, *builder.more_buildpacks.values()]:
        info = info_of(folder)
        infos.append(info)
        add_folder(buildpacks, folder, f"/cnb/buildpacks/{info['id'].replace('/', '_')}/{info['version']}")
    versions = {info["id"]: info["version"] for info in infos}
    order = [[{"id": name, "version": versions[name]}] for name in builder.order or list(versions)]
    config = Layer().file("/cnb/order.toml", "".join(
        "[[order]]\n" + "".join(f'[[order.group]]\nid = "{entry["id"]}"\nversion = "{entry["version"]}"\n'
                                for entry in group) for group in order))
    if "run.toml" in builder.files:
        config.file("/cnb/run.toml", f'[[images]]\nimage = "{run}"\nmirrors = {quoted(builder.mirrors)}\n')
    if "stack.toml" in builder.files:
        config.file("/cnb/stack.toml", f'[run-image]\nimage = "{run}"\nmirrors = {quoted(builder.mirrors)}\n')
    config.folder("/platform/env").folder("/cnb/build-config/env")
    config.folder("/layers", 0o755, UID, GID).folder("/workspace", 0o755, UID, GID)
    env = [PATH, f"CNB_STACK_ID={STACK}"]
    if builder.ids:
        env += [f"CNB_USER_ID={UID}", f"CNB_GROUP_ID={GID}"]
    client.push_image(builder.name, [busybox_layer(UID, GID), lifecycle_layer(builder.platform_apis, builder.broken_restore),
                                     buildpacks,
                                     config],
                      {"User": f"{UID}:{GID}", "WorkingDir": "/layers", "Env": env,
                       "Labels": labels_of(builder, run, infos, order) if builder.labels else {}}, builder.architecture)
    return f"{client.host}/{builder.name}"


def labels_of(builder: Builder, run: str, infos: list[dict[str, str]], order: object) -> dict[str, str]:
    image = {"image": run, "mirrors": builder.mirrors}
    apis = {"buildpack": {"deprecated": [], "supported": BUILDPACK_APIS},
            "platform": {"deprecated": [], "supported": builder.platform_apis}}
    labels = {
        "io.buildpacks.builder.metadata": json.dumps({
            "description": "test builder", "buildpacks": [
                {"id": info["id"], "version": info["version"]} for info in infos],
            "stack": {"runImage": image}, "images": [image],
            "lifecycle": {"version": VERSION, "api": {"buildpack": "0.7", "platform": "0.7"}, "apis": apis},
            "createdBy": {"name": "kit", "version": "1"}}),
        "io.buildpacks.buildpack.order": json.dumps([{"group": group} for group in order]),  # type: ignore[attr-defined]
        "io.buildpacks.buildpack.layers": json.dumps(
            {info["id"]: {info["version"]: {"api": info["api"], "layerDiffID": ""}} for info in infos}),
        "io.buildpacks.lifecycle.version": VERSION,
        "io.buildpacks.lifecycle.apis": json.dumps(apis),
        "io.buildpacks.stack.id": STACK}
    if builder.extensions:
        labels["io.buildpacks.buildpack.order-extensions"] = json.dumps(
            [{"group": [{"id": "test/extension", "version": "1"}]}])
    return labels
