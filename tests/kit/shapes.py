"""The shapes of Dockerfiles whose caching is compared with the plain tools' (test_cache_matrix.py, bench/cache_matrix.py).

Every file holds a salt: two builds with different salts share no step, whoever runs them.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass

from .images import PATH, RegistryClient, busybox_layer

# Changed before every deployment; what a shape takes from the context first does not depend on it.
UNRELATED = "notes.txt"

# It makes a step that runs again visible in the wall time. What it prints is never the same: two runs with the same
# output would share the COPY of it, which BuildKit looks up by content.
STEP = "sleep 0.3 && cat /proc/sys/kernel/random/uuid"


@dataclass(frozen=True)
class Shape:
    name: str
    dockerfile: str
    since: tuple[int, int] = (0, 8)  # The first BuildKit whose own frontend can read it.
    archive: bool = False

    def files(self, salt: str, registry: str) -> dict[str, str | bytes | None]:
        files: dict[str, str | bytes | None] = {
            "Dockerfile": self.dockerfile.replace("@SALT@", salt).replace("@REGISTRY@", registry),
            "package.json": f'{{"name": "{salt}"}}\n', "src/main.c": f"// {salt}\n", UNRELATED: f"{salt} 0\n"}
        if self.archive:
            files["vendor.tar.gz"] = archive(salt)
        return files


def archive(salt: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("vendor/lib.txt")
        info.size = len(salt)
        tar.addfile(info, io.BytesIO(salt.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


SHAPES = [
    Shape("run-after-copy", f"FROM busybox\nWORKDIR /app/@SALT@\nCOPY package.json ./\nRUN {STEP} > installed\nCOPY . .\n"),
    Shape("multi-stage", f"""FROM busybox AS build
COPY src /src
RUN {STEP} > /out.txt
FROM busybox
COPY --from=build /out.txt /
COPY {UNRELATED} /
"""),
    Shape("args", f"""ARG BASE=busybox
FROM ${{BASE}}
ARG SALT=@SALT@
RUN echo "$SALT" && {STEP} > /stamp
COPY . /app
"""),
    Shape("cache-mount", f"""FROM busybox
COPY package.json /app/
RUN --mount=type=cache,target=/root/.npm date >> /root/.npm/log && {STEP} > /app/installed
COPY . /app
"""),
    Shape("secret-mount", f"""FROM busybox
COPY package.json /app/
RUN --mount=type=secret,id=token {STEP} > /app/installed
COPY . /app
"""),
    Shape("bind-mount", f"""FROM busybox
RUN --mount=type=bind,source=src,target=/src cat /src/main.c && {STEP} > /built
COPY . /app
"""),
    Shape("add-archive", f"FROM busybox\nADD vendor.tar.gz /\nRUN cat /vendor/lib.txt && {STEP} > /linked\nCOPY . /app\n",
          archive=True),
    Shape("heredoc", f"""FROM busybox
COPY <<EOF /salt
@SALT@
EOF
RUN <<EOF
cat /salt
{STEP} > /stamp
EOF
COPY . /app
""", since=(0, 10)),
    Shape("link", f"""FROM busybox
COPY --link package.json /app/
RUN cat /app/package.json && {STEP} > /stamp
COPY --link . /app/
""", since=(0, 10)),
    Shape("onbuild", f"FROM @REGISTRY@/kit/onbuild\nRUN cat /app/package.json && {STEP} > /stamp\nCOPY . /app/\n"),
    Shape("settings-only", "FROM busybox\nENV SALT=@SALT@\nWORKDIR /srv/@SALT@\nCMD [\"sh\"]\n"),
]


def push_onbuild_base(client: RegistryClient) -> None:
    """A base image that copies and runs in whoever builds upon it."""
    client.push_image("kit/onbuild:latest", [busybox_layer()], {
        "Env": [PATH], "OnBuild": ["COPY package.json /app/", f"RUN {STEP} > /onbuild"]})
