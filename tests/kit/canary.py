"""Something that must not be reached, and knows whether it was."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class PlainHandler(BaseHTTPRequestHandler):
    """Engines try TLS first. Told that this is HTTP, as real servers tell it, all of them ask again without."""

    def handle_one_request(self) -> None:
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def log_message(self, *_: object) -> None:
        pass


class Canary:
    """A service on this machine's loopback that nobody's build may ask."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.seen: list[str] = []  # Each request with its headers and body.
        self.connections = 0  # Also those that asked nothing that HTTP knows.
        canary = self

        class Handler(PlainHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                canary.asked.append(self.path)
                canary.seen.append(f"{self.command} {self.path}\n{self.headers}\n{body.decode(errors='replace')}")
                # Git shows no login before it is asked for one.
                wants_login = "/login/" in self.path and "Authorization" not in self.headers
                self.send_response(401 if wants_login else 200)
                if wants_login:
                    self.send_header("WWW-Authenticate", 'Basic realm="canary"')
                self.send_header("Content-Length", "6")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"secret")

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request, address):  # type: ignore[no-untyped-def]
                canary.connections += 1
                super().process_request(request, address)

            def handle_error(self, request, address):  # type: ignore[no-untyped-def]
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class GitOnThePath:
    """A `git` for a worker's PATH that notes its arguments and is the real one then: every one is seen, however short it lives."""

    def __init__(self, folder: Path, real: str) -> None:
        self.folder, self.log = folder / "bin", folder / "arguments"
        self.folder.mkdir(parents=True)
        self.log.touch()
        program = self.folder / "git"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{self.log}\nexec {real} "$@"\n')
        program.chmod(0o755)

    def seen(self) -> str:
        return self.log.read_text(errors="replace")
