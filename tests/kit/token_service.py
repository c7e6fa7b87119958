"""What gives out Bearer tokens for a docker-registry, and notes who asked with which login."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .certificates import Authority

SERVICE, ISSUER = "registry of the tests", "issuer of the tests"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService:
    def __init__(self, folder: Path, user: str, password: str) -> None:
        self.authority = Authority(folder / "tokens")
        certificate, key = self.authority.issue("signer", "DNS:signer.test")
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        self.chain = [base64.b64encode(loaded.public_bytes(serialization.Encoding.DER)).decode()]
        self.key = serialization.load_pem_private_key(key.read_bytes(), None)
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.asked: list[str] = []  # The Authorization headers that came.
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                status, body = service.answer(self.path, self.headers.get("Authorization") or "")
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def start(self) -> TokenService:
        self.thread.start()
        return self

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
        self.server.server_close()

    def answer(self, path: str, login: str) -> tuple[int, bytes]:
        if path == "/asked":
            return 200, json.dumps(self.asked).encode()
        self.asked.append(login)
        if login and login != self.login:
            return 401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong login"}]}'
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":", 2)
            # Nobody who has not said who they are gets in.
            access.append({"type": kind, "name": name, "actions": actions.split(",") if login else []})
        return 200, json.dumps({"token": self.token(access), "expires_in": 60}).encode()

    def token(self, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": self.chain}
        claims = {"iss": ISSUER, "aud": SERVICE, "sub": "tests", "iat": now, "nbf": now - 10, "exp": now + 60,
                  "jti": str(now), "access": access}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
