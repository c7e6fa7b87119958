"""docker-registry, moto, and in front of both an endpoint that behaves as ECR does."""

from __future__ import annotations

import base64
import crypt
import json
import os
import sys
import urllib.request
from pathlib import Path

import botocore.session
from botocore.client import BaseClient

from .process import Server, free_port, port_open

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class PlainRegistry:
    """Debian's docker-registry; with a user it wants a login for everything."""

    def __init__(self, folder: Path, user: str = "", password: str = "", token_realm: str = "",
                 token_roots: Path | None = None) -> None:
        """With `token_realm` and the authority of its signer it wants the tokens of a TokenService."""
        self.server = Server("registry", folder / "registry")
        self.port = free_port()
        self.user, self.password = user, password
        self.token_realm, self.token_roots = token_realm, token_roots

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _auth(self) -> str:
        if self.token_realm:
            return (f"auth:\n  token: {{realm: {json.dumps(self.token_realm)}, service: registry of the tests, "
                    f"issuer: issuer of the tests, rootcertbundle: {self.token_roots}}}\n")
        if not self.user:
            return ""
        file = self.server.folder / "htpasswd"
        file.write_text(f"{self.user}:{crypt.crypt(self.password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
        return f"auth:\n  htpasswd: {{realm: tests, path: {file}}}\n"

    def start(self) -> PlainRegistry:
        folder = self.server.folder
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
            f"http:\n  addr: 127.0.0.1:{self.port}\n  relativeurls: true\n" + self._auth())
        self.server.launch(["docker-registry", "serve", str(config)], lambda: port_open(self.port))
        return self

    def stop(self) -> None:
        self.server.end()


class Moto:
    def __init__(self, folder: Path) -> None:
        self.server = Server("moto", folder / "moto")
        self.port = free_port()

    def start(self) -> Moto:
        self.server.launch([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                           lambda: port_open(self.port), env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        return self

    def stop(self) -> None:
        self.server.end()


class EcrFront:
    """See ecr_front.py: verified signatures, ECR's token and errors, faults on demand."""

    def __init__(self, folder: Path, moto: Moto, registry: PlainRegistry) -> None:
        self.server = Server("ecr-front", folder / "ecr")
        self.port = free_port()
        self.moto, self.registry = moto, registry
        self.outer_host = ""  # Where clients shall reach it, when not directly.

    def start(self) -> EcrFront:
        front = Path(__file__).with_name("ecr_front.py")
        self.server.launch(
            [sys.executable, str(front), "--port", str(self.port),
             "--moto", f"http://127.0.0.1:{self.moto.port}",
             "--registry", f"http://127.0.0.1:{self.registry.port}", "--key", f"{KEY_ID}:{SECRET}",
             *(["--host", self.outer_host] if self.outer_host else [])],
            lambda: port_open(self.port), env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        return self

    def stop(self) -> None:
        self.server.end()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def control(self, path: str, body: object = None) -> object:
        request = urllib.request.Request(f"http://{self.host}{path}", json.dumps(body or {}).encode(),
                                         method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def api(self, operation: str, **arguments: object) -> dict[str, object]:
        """A call to the ECR API behind the front, unsigned."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.moto.port}/", json.dumps(arguments).encode(),
            {"Content-Type": "application/x-amz-json-1.1",
             "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
             "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ecr/aws4_request, "
                              "SignedHeaders=host, Signature=0"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def kms_key(self) -> tuple[str, bytes]:
        """A new key's id, and its public half in DER."""
        client = self._client("kms")
        key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        return key, client.get_public_key(KeyId=key)["PublicKey"]

    def token(self) -> str:
        """The password of a docker login, asked for with a signed call as any client does."""
        data = self._client("ecr").get_authorization_token()["authorizationData"][0]
        return base64.b64decode(data["authorizationToken"]).decode().split(":", 1)[1]

    def _client(self, service: str) -> BaseClient:
        return botocore.session.get_session().create_client(
            service, region_name="us-east-1", endpoint_url=f"http://{self.host}", aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET)

    def pushes(self, repository: str) -> list[list[object]]:
        return [push for push in self.control("/__stats")["pushes"] if push[1] == repository]  # type: ignore

    def digest_of(self, repository: str, tag: str) -> str | None:
        digests = [push[3] for push in self.pushes(repository) if push[2] == tag]
        return digests[-1] if digests else None  # type: ignore[return-value]

    def referrers(self, repository: str, digest: str) -> list[str]:
        """Digests of what refers to an image."""
        request = urllib.request.Request(f"http://{self.host}/v2/{repository}/referrers/{digest}", headers={
            "Authorization": "Basic " + base64.b64encode(f"AWS:{self.token()}".encode()).decode()})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [one["digest"] for one in json.load(answer)["manifests"]]

    def copy_tag(self, repository: str, source: str, target: str) -> str:
        """Behind the front, as another push would have; returns the digest."""
        url = f"http://127.0.0.1:{self.registry.port}/v2/{repository}/manifests"
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{source}", headers=accept), timeout=30) as answer:
            body, kind = answer.read(), answer.headers["Content-Type"]
        put = urllib.request.Request(f"{url}/{target}", body, {"Content-Type": kind}, method="PUT")
        with urllib.request.urlopen(put, timeout=30) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def manifest(self, repository: str, reference: str) -> dict[str, object]:
        return json.loads(self.blob_url(f"{repository}/manifests/{reference}"))

    def blob_url(self, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.registry.port}/v2/{path}", headers={
            "Accept": "application/vnd.docker.distribution.manifest.v2+json, "
                      "application/vnd.oci.image.manifest.v1+json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL_ECR": f"http://{self.host}", "AWS_EC2_METADATA_DISABLED": "true"}
