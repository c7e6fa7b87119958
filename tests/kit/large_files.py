"""Git LFS: the batch API and the objects, in memory. nginx stands before it and asks for the password."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
JSON = "application/vnd.git-lfs+json"


class LargeFiles:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusal: tuple[int, str] | None = None  # Status and words of every batch answer.
        self.elsewhere = ""  # Where every object is said to be.
        store = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if store.refusal is not None:
                    status, words = store.refusal
                    self.answer(status, json.dumps({"message": words}).encode(), JSON)
                    return
                base = f"http://{self.headers['Host']}{self.path.removesuffix('/batch')}"
                self.answer(200, json.dumps(store.batch(body, base)).encode(), JSON)

            def do_GET(self) -> None:  # noqa: N802
                content = store.objects.get(self.path.rsplit("/", 1)[1])
                self.answer(404 if content is None else 200, content or b"", "application/octet-stream")

            def answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, content: bytes) -> str:
        """Stores a file; the pointer to commit in its place."""
        oid = hashlib.sha256(content).hexdigest()
        self.objects[oid] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"

    def batch(self, request: dict[str, object], base: str) -> dict[str, object]:
        def entry(wanted: dict[str, object]) -> dict[str, object]:
            if wanted["oid"] not in self.objects:
                return {**wanted, "error": {"code": 404, "message": "Object does not exist"}}
            return {**wanted, "actions": {"download": {"href": self.elsewhere or f"{base}/{wanted['oid']}"}}}

        return {"transfer": "basic", "objects": [entry(wanted) for wanted in request["objects"]]}  # type: ignore
