"""A server of a stranger: a forge, its store of large files and a registry, each of which answers as the path asks for.

    /git/KIND/…           a forge: `canary`, `stranger`: sends on to that one; `loop`: to itself
    /lfs/KIND/KEY/…       the batch API: `href-…`, `redirect-…`
    /v2/KEY/KIND/…        a registry: see `registry`
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import ThreadingHTTPServer

from .canary import Canary, PlainHandler

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LFS = "application/vnd.git-lfs+json"
ENDLESS = 256 * 1024 * 1024  # More than anybody may keep of an answer.


class Hostile:
    def __init__(self, canary: Canary, stranger: Canary) -> None:
        self.targets = {"canary": f"http://127.0.0.1:{canary.port}", "stranger": f"http://localhost:{stranger.port}"}
        self.seen: list[str] = []
        hostile = self

        class Handler(PlainHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hostile.seen.append(f"{self.command} {self.path}\n{self.headers}")
                words = self.path.strip("/").split("/")
                {"git": self.git, "lfs": self.lfs, "v2": self.registry}.get(words[0], self.nothing)(words)

            do_GET = do_HEAD = do_POST = handle_one  # noqa: N815

            def send(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def nothing(self, words: list[str]) -> None:
                self.send(404)

            def git(self, words: list[str]) -> None:
                target = hostile.targets.get(words[1], f"http://localhost:{hostile.port}")
                self.send(302, Location=target + self.path)

            def lfs(self, words: list[str]) -> None:
                kind, _, where = words[1].partition("-")
                target = f"{hostile.targets[where]}/{words[2]}"
                if kind == "redirect":
                    self.send(307, Location=f"{target}/containers/prune")
                    return
                content = {"oid": hostile.large_file(words[2])[0], "size": 5}
                entry = {**content, "actions": {"download": {"href": f"{target}/latest/meta-data", "header": {"Metadata-Flavor": "Google"}}}}
                self.send(200, json.dumps({"transfer": "basic", "objects": [entry]}).encode(), Content_Type=LFS)

            def registry(self, words: list[str]) -> None:
                """`realm`: a token service elsewhere; `loop`: a login that is never enough; `digest`: another manifest than
                was asked for; `blob`: another blob; `endless`: a manifest without end; `elsewhere`: blobs lie there."""
                if len(words) < 3:
                    self.send(200, b"{}", Docker_Distribution_Api_Version="registry/2.0")
                    return
                key, kind = words[1], words[2]
                layer = hashlib.sha256(key.encode()).hexdigest()
                config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' % layer.encode()
                named = hashlib.sha256(config).hexdigest()
                manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": f"sha256:{named}"},
                    "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 5, "digest": f"sha256:{layer}"}]}).encode()
                if kind == "realm":
                    self.send(401, WWW_Authenticate=f'Bearer realm="{hostile.targets["stranger"]}/{key}/token",service="x"')
                elif kind == "loop":
                    self.send(401, WWW_Authenticate='Basic realm="again"')
                elif kind == "endless" and "manifests" in words:
                    self.endless()
                elif "manifests" in words:
                    digest = "0" * 64 if kind == "digest" else hashlib.sha256(manifest).hexdigest()
                    self.send(200, manifest, Content_Type=MANIFEST, Docker_Content_Digest=f"sha256:{digest}")
                elif kind == "elsewhere":
                    self.send(307, Location=f"{hostile.targets['stranger']}/{key}/blob")
                else:
                    self.send(200, config if words[-1].endswith(named) and kind != "blob" else b"other")

            def endless(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", MANIFEST)
                self.send_header("Docker-Content-Digest", "sha256:" + "1" * 64)
                self.send_header("Content-Length", str(ENDLESS))
                self.end_headers()
                self.close_connection = True
                for _ in range(0 if self.command == "HEAD" else ENDLESS >> 20):
                    self.wfile.write(b" " * (1 << 20))

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):  # type: ignore[no-untyped-def]
                pass  # Who was told enough hangs up.

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def large_file(key: str) -> tuple[str, str]:
        """What the store is asked for: its name, and the pointer to commit."""
        oid = hashlib.sha256(f"of {key}".encode()).hexdigest()
        return oid, f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
