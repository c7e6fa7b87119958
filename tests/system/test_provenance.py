"""Provenance, SBOMs and signatures of images: attached where a registry keeps lists of referrers and where it does not, and read by
cosign."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from kit import cnb
from kit.buildkitd import Buildkitd
from kit.canary import PlainHandler
from kit.cnb import STATIC_APP
from kit.go_tools import tool
from kit.images import MANIFEST, RegistryClient, digest_of
from kit.process import stopped_at_end, wait_for
from kit.scanner import push_scanner
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

INDEX = "application/vnd.oci.image.index.v1+json"
PROVENANCE = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"
BUILDER = "https://builds.example.com/deployra"
SECRET = "npm_7Hq2LzP9xWv4Tn8RkYb3"


class Keys:
    """Of OpenSSL, which writes the key as it is."""

    def __init__(self, folder: Path) -> None:
        self.private, self.public = str(folder / "key.pem"), str(folder / "key.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.private], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public], check=True)


class CosignKeys:
    """As `cosign generate-key-pair` makes them."""

    def __init__(self, folder: Path) -> None:
        self.private, self.public, self.password = str(folder / "cosign.key"), str(folder / "cosign.pub"), "correct horse"
        subprocess.run([tool("cosign"), "generate-key-pair"], cwd=folder, check=True, capture_output=True,
                       env={**os.environ, "HOME": str(folder), "COSIGN_PASSWORD": self.password})


@pytest.fixture(autouse=True)
def no_faults(stack):
    yield
    stack.ecr.control("/__fail", {})


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


class Cosign:
    """As whoever runs the images would check them."""

    def __init__(self, stack, folder: Path) -> None:
        login = base64.b64encode(f"AWS:{stack.ecr.token()}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {stack.ecr.host: {"auth": login}}}))
        self.environment = {**os.environ, "DOCKER_CONFIG": str(folder), "HOME": str(folder)}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([tool("cosign"), *arguments], env=self.environment, capture_output=True, text=True, timeout=60)

    def accepts(self, image: str, public: str) -> bool:
        """Its signature, and its provenance."""
        told = [self("verify", "--key", public, "--insecure-ignore-tlog", image),
                self("verify-attestation", "--key", public, "--insecure-ignore-tlog", "--type", "slsaprovenance1", image)]
        assert len({one.returncode == 0 for one in told}) == 1, [one.stderr for one in told]
        return told[0].returncode == 0

    def statements(self, image: str, public: str, kind: str) -> list[dict]:
        told = self("verify-attestation", "--key", public, "--insecure-ignore-tlog", "--type", kind, image)
        assert told.returncode == 0, told.stderr
        return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in told.stdout.splitlines()]

    def follows(self, image: str, public: str, builder: str, folder: Path) -> bool:
        """Whether its provenance is what a reader of SLSA asks for: who built it, and how."""
        folder.joinpath("policy.cue").write_text(f"""predicateType: "{PROVENANCE}"
predicate: {{
    buildDefinition: buildType: "https://github.com/deployra/deployra-builder/blob/main/docs/provenance.md#dockerfile-v1"
    runDetails: builder: id: "{builder}"
}}
""")
        return self("verify-attestation", "--key", public, "--insecure-ignore-tlog", "--type", "slsaprovenance1", "--policy",
                    str(folder / "policy.cue"), image).returncode == 0

    def provenance(self, image: str, public: str) -> dict:
        return self.statements(image, public, "slsaprovenance1")[0]


@pytest.fixture
def cosign(stack, tmp_path_factory):
    return Cosign(stack, tmp_path_factory.mktemp("cosign"))


@pytest.fixture
def scanner(stack):
    return push_scanner(RegistryClient(stack.registry.host))


@pytest.fixture
def base(stack):
    """A base image whose digest every engine asks a registry for."""
    RegistryClient(stack.registry.host).push_base_image("provenance/base:1")
    return f"{stack.registry.host}/provenance/base:1"


def deploy(stack, repository, service, end="BUILDED", **changes):
    identity = stack.api.enqueue(stack.job(repository.name, serviceId=service, **changes))
    assert stack.api.wait_end(identity, 120) == end, stack.api.log_text(identity)
    return identity


def read_by_the_framework(stack, image, public):
    """Provenance and signature as in-toto's own libraries read them, which share nothing with cosign or with us."""
    client = RegistryClient(stack.ecr.host, "AWS", stack.ecr.token())
    name, digest = image.split("/", 1)[1].split("@")
    listed = json.loads(client.call("GET", f"/v2/{name}/manifests/{digest.replace(':', '-')}", headers={"Accept": INDEX})[2])
    key, types = SSlibKey.from_crypto(load_pem_public_key(public)), set()
    for one in listed["manifests"]:
        manifest = json.loads(client.call("GET", f"/v2/{name}/manifests/{one['digest']}", headers={"Accept": one["mediaType"]})[2])
        bundle = json.loads(client.call("GET", f"/v2/{name}/blobs/{manifest['layers'][0]['digest']}")[2])["dsseEnvelope"]
        # It wants a name for each signature, which DSSE leaves open.
        signatures = [{"sig": signature["sig"], "keyid": key.keyid} for signature in bundle["signatures"]]
        envelope = Envelope.from_dict({**bundle, "signatures": signatures})
        assert key.keyid in envelope.verify([key], 1)
        statement = Statement.copy_from_pb(json_format.Parse(envelope.payload, statement_pb2.Statement()))
        assert statement.pb.subject[0].digest["sha256"] == digest.removeprefix("sha256:")
        types.add(statement.pb.predicate_type)
        if statement.pb.predicate_type == PROVENANCE:
            statement.validate()
            # What the predicate does not have is an error.
            provenance = json_format.ParseDict(json_format.MessageToDict(statement.pb.predicate), provenance_pb2.Provenance())
            assert provenance.run_details.builder.id == BUILDER and provenance.build_definition.build_type
    assert PROVENANCE in types and SPDX in types and len(types) == 3, types


def image_of(stack, service, identity):
    return f"{stack.ecr.host}/deployra/{service}@{stack.ecr.digest_of(f'deployra/{service}', identity)}"


def check_sbom(statements, image):
    """What the scanner of the tests said, and of what."""
    (said,) = statements
    assert said["predicateType"] == SPDX
    assert said["subject"] == [{"name": image.split("@")[0], "digest": {"sha256": image.split(":")[-1]}}]
    document = said["predicate"]
    assert [package["name"] for package in document["packages"]] == ["app/a.txt"]
    assert document["comment"] == "networks lo " and document["creationInfo"]["creators"] == ["Tool: kit entry"]


def test_cosign_accepts_what_was_built_here_and_nothing_else(stack, make_worker, repo, base, cosign, scanner, tmp_path):
    keys = CosignKeys(tmp_path)
    worker = make_worker(BUILD_NETWORK_POLICY="any", ATTESTATIONS="required", BUILDER_ID=BUILDER, SIGNING_KEY=keys.private,
                         SIGNING_KEY_PASSWORD=keys.password, SBOM_SCANNER=scanner, LOG_LEVEL="debug")
    repository = repo({"Dockerfile": f"FROM {base} AS web\nARG VERSION\nCOPY . /app\n", "a.txt": "one\n"})
    variables = [{"key": "TOKEN", "value": SECRET}, {"key": "DEPLOYRA_BUILD_TARGET", "value": "web"},
                 {"key": "DEPLOYRA_BUILD_ARGS", "value": "VERSION=" + SECRET}]
    commit = repository.git("rev-parse", "HEAD").strip()
    for service, subjects in (("listed", "listed"), ("unlisted", "ignored")):
        stack.ecr.control("/__fail", {"subjects": subjects})
        identity = deploy(stack, repository, service, environmentVariables=variables)
        image = image_of(stack, service, identity)
        assert cosign.accepts(image, keys.public)
        other = tmp_path / service
        other.mkdir()
        assert not cosign.accepts(image, Keys(other).public)
        check_sbom(cosign.statements(image, keys.public, "spdxjson"), image)
        assert cosign.follows(image, keys.public, BUILDER, tmp_path)
        assert not cosign.follows(image, keys.public, "https://somebody.example.com/else", tmp_path)

    said = cosign.provenance(image, keys.public)
    assert said["predicateType"] == PROVENANCE and said["subject"][0]["digest"]["sha256"] == image.split(":")[-1]
    definition, run = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert definition["externalParameters"] == {
        "arguments": ["VERSION"], "dockerfile": "Dockerfile", "platform": "linux/amd64", "target": "web",
        "variables": ["TOKEN", "DEPLOYRA_BUILD_TARGET", "DEPLOYRA_BUILD_ARGS"],
        "source": {"branch": "main", "commit": commit, "repository": f"{stack.git.url}/{repository.name}.git"}}
    git, image_base = definition["resolvedDependencies"]
    assert git["digest"] == {"gitCommit": commit}
    digest = RegistryClient(stack.registry.host).push_base_image("provenance/base:1")  # As the fixture did.
    assert image_base == {"uri": f"pkg:docker/{base.removesuffix(':1')}@1", "digest": {"sha256": digest.removeprefix("sha256:")}}
    assert definition["internalParameters"]["allBaseImages"]
    assert run["builder"]["id"] == BUILDER and run["metadata"]["invocationId"] == identity
    assert run["metadata"]["startedOn"] <= run["metadata"]["finishedOn"]
    assert SECRET not in json.dumps(said)
    assert Path(keys.private).read_text().splitlines()[1] not in worker.text() and keys.password not in worker.text()
    read_by_the_framework(stack, image, Path(keys.public).read_bytes())

    # Another image under the same papers: what they are attached to is not what they speak of.
    client = RegistryClient(stack.ecr.host, "AWS", stack.ecr.token())
    client.push_base_image("deployra/unlisted:tampered")
    tampered = stack.ecr.digest_of("deployra/unlisted", "tampered")
    listed = "/v2/deployra/unlisted/manifests/"
    status, _, index = client.call("GET", listed + image.split("@")[1].replace(":", "-"), headers={"Accept": INDEX})
    assert status == 200 and len(json.loads(index)["manifests"]) == 3, index
    assert client.call("PUT", listed + tampered.replace(":", "-"), index, {"Content-Type": INDEX})[0] == 201
    assert not cosign.accepts(f"{stack.ecr.host}/deployra/unlisted@{tampered}", keys.public)


def test_a_registry_that_takes_no_papers(stack, make_worker, repo, keys):
    stack.ecr.control("/__fail", {"subjects": "refused"})
    make_worker(ATTESTATIONS="on", BUILDER_ID=BUILDER, SIGNING_KEY=keys.private)
    identity = deploy(stack, repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", "a.txt": "one\n"}), "refused")
    assert "The image has no provenance" in stack.api.log_text(identity)
    assert stack.ecr.digest_of("deployra/refused", "latest")


def test_required_papers(stack, make_worker, repo, base):
    repository = repo({"Dockerfile": f"FROM {base}\nCOPY . /app\n", "a.txt": "one\n"})
    without = make_worker(BUILD_NETWORK_POLICY="any")
    deploy(stack, repository, "required")
    without.stop()
    worker = make_worker(BUILD_NETWORK_POLICY="any", ATTESTATIONS="required", BUILDER_ID=BUILDER)
    latest = stack.ecr.digest_of("deployra/required", "latest")
    repository.commit({"a.txt": "two\n"})
    stack.ecr.control("/__fail", {"subjects": "refused"})
    identity = deploy(stack, repository, "required", "FAILED")
    assert "could not be attached" in stack.api.error_of(identity)
    assert stack.ecr.digest_of("deployra/required", "latest") == latest
    assert "ATTESTATIONS=required" in worker.text() and "manifests with a subject are not taken here" in worker.text()
    # The image of the first one is known; it is not used again, since nothing is attached to it.
    stack.ecr.control("/__fail", {})
    repository.commit({"a.txt": "one\n"})
    for times in range(2):
        identity = deploy(stack, repository, "required")
        assert ("using that image again" in stack.api.log_text(identity)) == (times == 1), stack.api.log_text(identity)


def test_the_lifecycle_policy_keeps_images_and_their_papers_together(stack, make_worker, repo):
    make_worker(ATTESTATIONS="on", BUILDER_ID=BUILDER, ECR_KEEP_IMAGES="2")
    repository = repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", "a.txt": "0\n"})
    identities = []
    for number in range(10):
        repository.commit({"a.txt": f"{number}\n"})
        identities.append(deploy(stack, repository, "kept"))
    digests = [stack.ecr.digest_of("deployra/kept", identity) for identity in identities]
    papers = {digest: stack.ecr.referrers("deployra/kept", digest) for digest in digests}
    assert all(len(of_one) == 1 for of_one in papers.values()), papers
    expired = {one["digest"] for one in stack.ecr.control("/__lifecycle") if one["repository"] == "deployra/kept"}
    assert expired == {*digests[:8], *(paper for digest in digests[:8] for paper in papers[digest])}


def test_a_scan_that_goes_wrong_is_nobodys_failure(stack, make_worker, repo, scanner):
    worker = make_worker(ATTESTATIONS="on", BUILDER_ID=BUILDER, SBOM_SCANNER=scanner, DRAIN_TIMEOUT="1s")
    repository = repo({"Dockerfile": "FROM busybox\nCOPY . /app\n"})
    for behave, told in (("fail", "exit code 3"), ("large", "too large"), ("link", "not JSON"), ("", "SBOM of the image: attached")):
        repository.commit({"behave": behave})
        identity = deploy(stack, repository, "scanned")
        wait_for(lambda told=told: told in worker.text(), 30, told)
    digest = stack.ecr.digest_of("deployra/scanned", identity)
    assert len(stack.ecr.referrers("deployra/scanned", digest)) == 2
    repository.commit({"behave": "hang"})
    deploy(stack, repository, "scanned")
    worker.stop()
    assert "no SBOM is attached to the image: scanning the image: the build was stopped" in worker.text(), worker.text()


@pytest.mark.every_buildkit
def test_images_that_buildpacks_make_have_provenance_and_what_buildpacks_wrote(stack, make_worker, repo, cosign, scanner, tmp_path):
    """Signed by KMS."""
    client = RegistryClient(stack.registry.host)
    builder = cnb.push_builder(client, cnb.Builder())
    key, der = stack.ecr.kms_key()
    public = tmp_path / "kms.pub"
    public.write_bytes(b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n")
    make_worker(CNB_BUILDER=builder, CNB_NETWORK="host", ATTESTATIONS="required", BUILDER_ID=BUILDER, SIGNING_KEY=f"awskms:///{key}",
                AWS_ENDPOINT_URL_KMS=f"http://{stack.ecr.host}", SBOM_SCANNER=scanner)
    identity = deploy(stack, repo({**STATIC_APP, "sbom": "yes\n"}), "packed")
    image = image_of(stack, "packed", identity)
    assert cosign.accepts(image, str(public))
    definition = cosign.provenance(image, str(public))["predicate"]["buildDefinition"]
    assert definition["buildType"].endswith("#buildpacks-v1")
    assert definition["externalParameters"]["builder"] == builder and definition["internalParameters"]["buildpacks"]
    for name, taken in zip(("builder", "run"), definition["resolvedDependencies"][1:], strict=True):
        manifest = client.call("GET", f"/v2/cnb/{name}/manifests/latest", headers={"Accept": MANIFEST})[2]
        assert taken == {"uri": f"pkg:docker/{client.host}/cnb/{name}@latest", "digest": {"sha256": digest_of(manifest)[7:]}}
    assert definition["internalParameters"]["allBaseImages"]
    assert [one["predicate"]["name"] for one in cosign.statements(image, str(public), "spdxjson")] == ["of test/static"]
    # The lifecycle describes its launcher in the same way.
    assert [{"name": "of test/static"}] in [one["predicate"].get("components") for one in cosign.statements(image, str(public), "cyclonedx")]

    # Every other image is scanned.
    identity = deploy(stack, repo({"Dockerfile": "FROM busybox\nCOPY . /app\n", "a.txt": "one\n"}), "other")
    image = image_of(stack, "other", identity)
    check_sbom(cosign.statements(image, str(public), "spdxjson"), image)


@pytest.fixture
def files() -> Iterator[str]:
    """A server of files: each holds its own path. What is below /missing is not there."""

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            body = self.path.split("?")[0].encode()
            self.send_response(404 if body.startswith(b"/missing") else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def wget(files: str, *paths: str) -> str:
    """A script: the name of the step does not tell what it asks for."""
    return "set -e\n" + "".join(f"wget -O /got '{files}{path}'\n" for path in paths)


def downloads_in(statement: dict) -> tuple[str | None, list[dict]]:
    """What provenance says of them, beside the commit and the base image."""
    definition = statement["predicate"]["buildDefinition"]
    files = [one for one in definition["resolvedDependencies"] if one["uri"].startswith("http")]
    return definition["internalParameters"].get("downloads"), files


def file_of(files: str, path: str) -> dict:
    return {"uri": files + path, "digest": {"sha256": digest_of(path.encode()).removeprefix("sha256:")}}


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_provenance_tells_what_steps_downloaded(stack, make_worker, repo, base, cosign, keys, files):
    settings = {"BUILD_NETWORK_POLICY": "any", "ATTESTATIONS": "required", "BUILDER_ID": BUILDER, "SIGNING_KEY": keys.private}
    worker = make_worker(**settings, RECORD_DOWNLOADS="on")
    dockerfile = f"FROM {base}\nADD {files}/added /\nCOPY get /\nRUN sh /get\nCOPY a.txt /\n"
    repository = repo({"Dockerfile": dockerfile, "a.txt": "1\n",
                       "get": wget(files, "/one?sig=s1gnature", f"/{SECRET}/two").replace("//", "//user:pa55word@")})

    def deployed(end="BUILDED", **changes: str) -> tuple[str | None, list[dict]]:
        if changes:
            repository.commit(changes)
        identity = deploy(stack, repository, "downloads", end, environmentVariables=[{"key": "TOKEN", "value": SECRET}])
        log = stack.api.log_text(identity)
        assert not [word for word in ("s1gnature", "proxy network", SECRET) if word in log], log
        if end != "BUILDED":
            return stack.api.error_of(identity), []
        image = image_of(stack, "downloads", identity)
        assert cosign.accepts(image, keys.public)
        said = cosign.provenance(image, keys.public)
        assert not [word for word in ("s1gnature", "pa55word", SECRET) if word in json.dumps(said)], said
        return downloads_in(said)

    told, got = deployed()
    assert told == "complete" and [one for one in got if "REDACTED" not in one["uri"]] == [file_of(files, "/added"), file_of(files, "/one")], got
    assert file_of(files, f"/{SECRET}/two")["digest"] in [one["digest"] for one in got if "REDACTED" in one["uri"]], got
    # The step is not run again, and its downloads are not known any more.
    assert deployed(**{"a.txt": "2\n"}) == ("partial", [file_of(files, "/added")])
    # One that fails is not recorded.
    script = wget(files, "/three") + f"wget -O /none {files}/missing || true\n"
    assert deployed(get=script) == ("partial", [file_of(files, "/added"), file_of(files, "/three")])
    assert deployed(get=wget(files, "/four")) == ("complete", [file_of(files, "/added"), file_of(files, "/four")])
    # What the engine adds to the output is no last word of a step.
    error, _ = deployed("FAILED", get=wget(files, "/five") + "echo the last word >&2\nexit 3\n")
    assert "exit code 3" in error and "GET " not in error, error
    # Without a command there is nothing to download.
    assert deployed(Dockerfile=f"FROM {base}\nCOPY a.txt /\n") == ("complete", [])
    assert "RECORD_DOWNLOADS" not in worker.text()

    # Nothing is left at the engine of what the addresses held: neither of a build that is stopped, nor hidden until the engine's next start.
    repository.commit({"Dockerfile": dockerfile, "get": wget(files, "/six") + "echo waits\nsleep 100\n"})
    stopped = stack.api.enqueue(stack.job(repository.name, serviceId="downloads"))
    wait_for(lambda: stack.api.outputs(stopped, "waits"), 60, "the step")
    stack.api.cancel(stopped)
    assert stack.api.wait_end(stopped) == "CANCELLED"
    worker.stop()
    for _ in range(2):
        head, *records = stack.engine.buildctl("debug", "histories").stdout.splitlines()
        assert head.startswith("TYPE") and records == []
        stack.engine.stop()
        stack.engine.start()

    make_worker(**settings)
    assert deployed(get=wget(files, "/seven")) == (None, [])


@pytest.mark.parametrize("stack", ["buildkitd"], indirect=True, scope="session")
def test_steps_whose_downloads_are_recorded_reach_only_what_a_dockerfile_may(stack, make_worker, repo, files):
    """Though the engine's own network has this machine's loopback."""
    make_worker(ATTESTATIONS="on", BUILDER_ID=BUILDER, RECORD_DOWNLOADS="on")
    repository = repo({"Dockerfile": "FROM busybox\nCOPY get /\nRUN sh /get\n", "get": wget(files, "/one")})
    identity = deploy(stack, repository, "bounded", "FAILED")
    assert "403" in stack.api.log_text(identity), stack.api.log_text(identity)
    # By no other way either.
    repository.commit({"get": f"unset http_proxy\n{wget(files, '/one')}"})
    identity = deploy(stack, repository, "bounded", "FAILED")
    assert "onnection refused" in stack.api.log_text(identity), stack.api.log_text(identity)


def test_an_engine_that_keeps_no_record_builds_all_the_same(stack, make_worker, repo, base, cosign, keys, files, tmp_path):
    engine = Buildkitd(tmp_path, name="forgetful", http=(stack.registry.host,), history=False)
    with stopped_at_end(engine):
        engine.start()
        worker = make_worker(BUILDKIT_HOST=engine.host, BUILD_NETWORK_POLICY="any", ATTESTATIONS="required", BUILDER_ID=BUILDER,
                             SIGNING_KEY=keys.private, RECORD_DOWNLOADS="on")
        identity = deploy(stack, repo({"Dockerfile": f"FROM {base}\nCOPY get /\nRUN sh /get\n", "get": wget(files, "/one")}), "forgotten")
        assert downloads_in(cosign.provenance(image_of(stack, "forgotten", identity), keys.public)) == (None, [])
        assert worker.text().count("RECORD_DOWNLOADS: what the build downloaded is not known") == 1, worker.text()
        worker.stop()
