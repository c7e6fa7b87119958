#!/usr/bin/env python3
"""An ECR-like endpoint for tests: control plane and data plane on one port.

  POST /            ECR JSON API, and KMS's. The SigV4 signature is verified (see
                    sigv4_verifier.py), the call goes to moto, and the answer is
                    corrected where moto differs from ECR: registry host, token
                    value and expiry, error for immutable tags.
  /v2/...           Docker registry. Basic auth with the token handed out above,
                    ECR's error answers (missing repository, expired token,
                    immutable tag), the rest goes to a plain registry. A pushed
                    manifest is reported to moto (PutImage), so DescribeImages
                    and BatchGetImage see it. What a manifest refers to as its
                    subject is listed (OCI 1.1), which the plain registry
                    cannot do.
  POST /__lifecycle run the lifecycle policies now (imageCountMoreThan only), as
                    ECR does within 24 hours; answers what was expired. What
                    refers to an image goes with it.
  POST /__expire    every token handed out so far is expired from now on.
  GET  /__stats     counters.

  ecr_front.py --port 21520 --moto http://127.0.0.1:21500 \
     --registry http://127.0.0.1:21510 [--registry-auth user:pass] --key ID:SECRET[:TOKEN]
"""
import argparse
import base64
import fnmatch
import http.client
import json
import re
import secrets
import time
import urllib.parse
from http.server import ThreadingHTTPServer

import sigv4_verifier as sv
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

A = None
TOKENS = {}          # password -> expiry (epoch)
DATA_FAULTS = []     # statuses the next data-plane requests get
DELAY = [0]          # seconds every upload request waits
REFUSE = [""]        # requests answered with 503: "METHOD path", a pattern
PAGE = [503]         # and with a page and this status, when it is another
DENY = [""]          # the operation of ECR's API that the identity may not use
DENY_PUSH = [""]     # the repository it may not push to
SUBJECTS = ["listed"]  # or "ignored", as a registry before OCI 1.1 does; or "refused"
REFERRERS = {}       # (repository, digest of the subject) -> descriptors
KMS_KEYS = {}  # By id.
PUSHES = []          # (time, repository, reference, digest)
ACCOUNT = "123456789012"
MANIFEST = re.compile(r"^/v2/(.+)/manifests/([^/]+)$")
LIST = re.compile(r"^/v2/(.+)/referrers/([^/]+)$")
REPO = re.compile(r"^/v2/(.+?)/(?:manifests|blobs|tags|referrers)/")


def raw(base, method, path, body=b"", headers=None):
    u = urllib.parse.urlsplit(base)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=120)
    c.request(method, path, body, headers or {})
    r = c.getresponse()
    return r.status, r.getheaders(), r.read()


def moto(op, **args):
    st, _, data = raw(A.moto, "POST", "/", json.dumps(args).encode(), {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921." + op,
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/%s/ecr/aws4_request, SignedHeaders=host, Signature=0" % A.region})
    return st, json.loads(data or b"{}")


def repository(name):
    st, d = moto("DescribeRepositories", repositoryNames=[name])
    return d["repositories"][0] if st == 200 else None


def run_lifecycle():
    out = []
    for repo in moto("DescribeRepositories")[1].get("repositories", []):
        name = repo["repositoryName"]
        st, pol = moto("GetLifecyclePolicy", repositoryName=name)
        if st != 200:
            continue
        images = moto("DescribeImages", repositoryName=name)[1].get("imageDetails", [])
        order = {d: t for t, r, _, d in PUSHES if r == name}
        images.sort(key=lambda i: order.get(i["imageDigest"], i["imagePushedAt"]), reverse=True)
        taken, expired = set(), set()
        for rule in sorted(json.loads(pol["lifecyclePolicyText"])["rules"], key=lambda r: r["rulePriority"]):
            s = rule["selection"]
            if s["countType"] != "imageCountMoreThan":
                continue

            def match(i):
                tags = i.get("imageTags") or []
                if s["tagStatus"] == "untagged":
                    return not tags
                if s["tagStatus"] == "tagged":
                    wanted = [p + "*" for p in s.get("tagPrefixList", [])] + s.get("tagPatternList", [])
                    return bool(tags) and all(fnmatch.filter(tags, p) for p in wanted)
                return True
            hits = [i for i in images if match(i)]
            # An image a rule with a lower number selects is out of reach for later rules,
            # though it still counts there.
            for i in hits[s["countNumber"]:]:
                if i["imageDigest"] not in taken:
                    expired.add(i["imageDigest"])
            if s["tagStatus"] != "any":
                taken |= {i["imageDigest"] for i in hits}
        for d in sorted(expired):  # What refers to them goes as well; a list of it may be a referrer's subject in turn.
            expired |= {r["digest"] for r in REFERRERS.pop((name, d), [])}
        for d in expired:
            tags = next((i.get("imageTags") for i in images if i["imageDigest"] == d), None)
            moto("BatchDeleteImage", repositoryName=name, imageIds=[{"imageDigest": d}])
            raw(A.registry, "DELETE", "/v2/%s/manifests/%s" % (name, d), headers=backend_auth())
            out.append({"repository": name, "digest": d, "tags": tags})
    return out


def backend_auth():
    return {"Authorization": "Basic " + base64.b64encode(A.registry_auth.encode()).decode()} if A.registry_auth else {}


def as_kms(target, asked, answer):
    """moto takes a digest for a message and hashes it once more; KMS signs it as it is. Keys are ours for that, on P-256."""
    if (answer.get("CustomerMasterKeySpec") or answer.get("SigningAlgorithm")) in ("ECC_NIST_P256", "ECDSA_SHA_256"):
        key = KMS_KEYS.setdefault(answer["KeyId"].split("/")[-1], ec.generate_private_key(ec.SECP256R1()))
        if target == "GetPublicKey":
            answer["PublicKey"] = base64.b64encode(key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).decode()
        else:
            kind = utils.Prehashed(hashes.SHA256()) if asked.get("MessageType") == "DIGEST" else hashes.SHA256()
            answer["Signature"] = base64.b64encode(key.sign(base64.b64decode(asked["Message"]), ec.ECDSA(kind))).decode()
    return json.dumps(answer).encode()


class Front(sv.Handler):
    def handle_one_request(self):
        # An Engine with containerd's store tries TLS first, and speaks plainly only after an answer in HTTP.
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def body(self):
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            out = []
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                if n == 0:
                    while self.rfile.readline().strip():
                        pass
                    return b"".join(out)
                out.append(self.rfile.read(n))
                self.rfile.readline()
        n = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(n) if n else b""

    def oci_error(self, status, code, message, extra=()):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(),
                    "application/json; charset=utf-8", extra)

    def handle_any(self):
        if self.path.startswith("/v2"):
            return self.data_plane()
        if self.path == "/__stats":
            self.body()  # What is not read resets the connection when that is closed, and the answer with it.
            return self.answer(200, json.dumps({**sv.STATS, "pushes": PUSHES}).encode(), "application/json")
        # {"api": ["throttle", "500", …], "data": [503, …], "delay": seconds, "refuse": "PUT .*/latest",
        #  "page": 404, "deny": "CreateRepository", "deny_push": "deployra/x", "subjects": "ignored"}
        if self.path == "/__fail":
            faults = json.loads(self.body() or b"{}")
            sv.PENDING_FAILS[:] = faults.get("api", [])
            DATA_FAULTS[:] = faults.get("data", [])
            DELAY[0] = faults.get("delay", 0)
            REFUSE[0] = faults.get("refuse", "")
            PAGE[0] = faults.get("page", 503)
            DENY[0] = faults.get("deny", "")
            DENY_PUSH[0] = faults.get("deny_push", "")
            SUBJECTS[0] = faults.get("subjects", "listed")
            return self.answer(200, b"{}", "application/json")
        if self.path == "/__lifecycle":
            self.body()
            return self.answer(200, json.dumps(run_lifecycle()).encode(), "application/json")
        if self.path == "/__expire":
            self.body()
            for t in TOKENS:
                TOKENS[t] = 0
            return self.answer(200, b"{}", "application/json")
        body = self.body()
        sv.STATS["requests"] += 1
        ok, code, msg, d = sv.verify(self.command, self.path, self.headers, body)
        sv.STATS["ok" if ok else "bad"] += 1
        if not ok:
            return self.error(400, code, msg)
        api = (self.headers.get("X-Amz-Target") or "").split(".")[0]
        if d["service"] != ("kms" if api == "TrentService" else "ecr"):
            return self.error(400, "InvalidSignatureException", f"A signature for '{d['service']}' is none for {api}.")
        if sv.PENDING_FAILS:
            f = sv.PENDING_FAILS.pop(0)
            if f == "throttle":
                return self.error(400, "ThrottlingException", "Rate exceeded")
            if f == "expired":
                return self.error(400, "ExpiredTokenException", "The security token included in the request is expired")
            return self.answer(int(f), b"unavailable", "text/plain")
        target = (self.headers.get("X-Amz-Target") or "").split(".")[-1]
        if target == DENY[0]:
            return self.error(400, "AccessDeniedException", f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: ecr:{target}")
        if target == "GetAuthorizationToken":
            password = base64.b64encode(secrets.token_bytes(96)).decode() + ":x/y+z=="
            TOKENS[password] = time.time() + A.token_seconds
            return self.answer(200, json.dumps({"authorizationData": [{
                "authorizationToken": base64.b64encode(("AWS:" + password).encode()).decode(),
                "expiresAt": round(TOKENS[password], 3), "proxyEndpoint": "https://" + A.host}]}).encode())
        hdrs = {k: v for k, v in self.headers.items() if k.lower() not in ("content-length", "connection", "host")}
        st, _, data = raw(A.moto, "POST", "/", body, hdrs)
        if st == 200 and target in ("GetPublicKey", "Sign"):
            data = as_kms(target, json.loads(body), json.loads(data))
        data = re.sub(rb"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com", A.host.encode(), data)
        return self.answer(st, data)

    def data_plane(self):
        body = self.body()
        if DELAY[0] and self.command in ("PUT", "PATCH", "POST"):
            until = time.monotonic() + DELAY[0]
            while DELAY[0] and time.monotonic() < until:  # It ends with the fault.
                time.sleep(0.02)
        if REFUSE[0] and re.fullmatch(REFUSE[0], f"{self.command} {urllib.parse.urlsplit(self.path).path}"):
            if PAGE[0] != 503:
                return self.answer(PAGE[0], b"<html>told to fail</html>", "text/html")
            return self.answer(503, b"told to fail", "text/plain")
        if DATA_FAULTS:
            return self.answer(DATA_FAULTS.pop(0), b"told to fail", "text/plain")
        auth = self.headers.get("Authorization") or ""
        try:
            user, _, password = base64.b64decode(auth.partition(" ")[2]).decode().partition(":")
        except (ValueError, UnicodeDecodeError):
            user = password = ""
        challenge = [("Www-Authenticate", 'Basic realm="https://%s/",service="ecr.amazonaws.com"' % A.host),
                     ("Docker-Distribution-Api-Version", "registry/2.0")]
        if not auth:
            return self.answer(401, b"Not Authorized\n", "text/plain; charset=utf-8", challenge)
        if user != "AWS" or password not in TOKENS:
            return self.answer(401, b"Not Authorized\n", "text/plain; charset=utf-8", challenge)
        if TOKENS[password] < time.time():
            return self.oci_error(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
        path = urllib.parse.urlsplit(self.path).path
        m = REPO.match(path)
        repo = repository(m.group(1)) if m else None
        if m and not repo:
            return self.oci_error(404, "NAME_UNKNOWN", "The repository with name '%s' does not exist in the registry with id '%s'" % (m.group(1), ACCOUNT))
        if m and m.group(1) == DENY_PUSH[0] and self.command in ("POST", "PUT", "PATCH"):
            return self.oci_error(403, "DENIED", f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: ecr:InitiateLayerUpload")
        mm = MANIFEST.match(path)
        if mm and self.command == "PUT" and not mm.group(2).startswith("sha256:") and repo["imageTagMutability"] == "IMMUTABLE":
            st, _, _ = raw(A.registry, "HEAD", path, headers={"Accept": "*/*", **backend_auth()})
            if st == 200:
                return self.oci_error(400, "TAG_INVALID", "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable." % (mm.group(2), mm.group(1)))
        ml = LIST.match(path)
        if ml and self.command == "GET" and SUBJECTS[0] == "listed":
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                     "manifests": REFERRERS.get(ml.groups(), [])}
            return self.answer(200, json.dumps(index).encode(), index["mediaType"])
        subject = (json.loads(body).get("subject") or {}).get("digest") if mm and self.command == "PUT" else None
        if subject and SUBJECTS[0] == "refused":
            return self.oci_error(400, "MANIFEST_INVALID", "manifests with a subject are not taken here")
        # An Engine sends one Accept for every type it knows.
        hdrs = {k: ", ".join(self.headers.get_all(k)) for k in self.headers
                if k.lower() not in ("content-length", "connection", "transfer-encoding", "authorization")}
        hdrs.update(backend_auth())
        st, rh, data = raw(A.registry, self.command, self.path, body, hdrs)
        if mm and self.command == "PUT" and st == 201:
            digest = dict((k.lower(), v) for k, v in rh)["docker-content-digest"]
            PUSHES.append((time.time(), mm.group(1), mm.group(2), digest))
            args = {} if mm.group(2).startswith("sha256:") else {"imageTag": mm.group(2)}
            moto("PutImage", repositoryName=mm.group(1), imageManifest=body.decode(),
                 imageManifestMediaType=self.headers.get("Content-Type", ""), imageDigest=digest, **args)
            if subject and SUBJECTS[0] == "listed":
                content = json.loads(body)
                listed = REFERRERS.setdefault((mm.group(1), subject), [])
                if all(one["digest"] != digest for one in listed):
                    listed.append({"mediaType": self.headers.get("Content-Type", ""), "digest": digest, "size": len(body),
                                   "artifactType": content.get("artifactType", ""), "annotations": content.get("annotations", {})})
                rh = [*rh, ("OCI-Subject", subject)]
        self.send_response(st)
        for k, v in rh:
            if k.lower() not in ("connection", "date", "transfer-encoding", "content-length"):
                self.send_header(k, v)
        length = next((v for k, v in rh if k.lower() == "content-length"), None) if self.command == "HEAD" else str(len(data))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any


class Server(ThreadingHTTPServer):
    # Connections beyond this, before they are accepted, may be reset by the kernel (SYN cookies); a push and those
    # who look at it open many at once.
    request_queue_size = 128


def main():
    global A
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--moto", required=True)
    p.add_argument("--registry", required=True)
    p.add_argument("--registry-auth", default="")
    p.add_argument("--host", help="registry host[:port] to hand out; default 127.0.0.1:<port>")
    p.add_argument("--region", default="us-east-1")
    p.add_argument("--token-seconds", type=int, default=43200)
    p.add_argument("--key", action="append", default=[])
    p.add_argument("--skew", type=int, default=0)
    p.add_argument("--fail", default="")
    A = p.parse_args()
    sv.ARGS = argparse.Namespace(skew=A.skew, region=A.region, service="ecr,kms", status403=False, log=None, forward=None)
    for k in A.key or ["AKIDEXAMPLE:secret"]:
        i, s, *t = k.split(":")
        sv.KEYS[i] = (s, t[0] if t else None)
    sv.PENDING_FAILS.extend(x for x in A.fail.split(",") if x)
    srv = Server(("127.0.0.1", A.port), Front)
    A.host = A.host or "127.0.0.1:%d" % srv.server_address[1]
    print("listening 127.0.0.1:%d" % srv.server_address[1], flush=True)
    srv.serve_forever()


if __name__ == "__main__":
    main()
