"""A stand-in of the platform's webhook API that keeps the real one's limits and effects, and records
every request. The comments name what was seen at the real one."""

from __future__ import annotations

import contextlib
import codecs
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis.client

from .process import free_port, wait_for
from .redis_server import Redis

API_KEY = "webhook-8f3kQ7vZ2mXw9LtR4cYbN6"
LOG_TYPES = {"STDOUT", "STDERR", "INFO", "WARNING", "ERROR"}
STATUSES = {"PENDING", "BUILDING", "BUILDED", "FAILED", "CANCELLED", "DEPLOYING", "DEPLOYED"}
TEXT_LIMIT = 65_535
BODY_LIMIT = 4 * 1024 * 1024
# Workers ask for this deployment, which there never is, to see who answers and whether their key is right.
PROBE = "/readiness-probe/"
FAULT_WORDS = {404: "Deployment not found"}
# Go's decoder replaces every wrong byte, Python's own "replace" every wrong sequence.
codecs.register_error("fffd-per-byte", lambda error: ("\ufffd" * (error.end - error.start), error.end))


@dataclass
class Deployment:
    id: str
    service: str
    status: str = "PENDING"
    completed_at: str | None = None
    service_deleted: bool = False
    image_uri: str = ""
    registry_type: str = ""
    logs: list[tuple[float, str, str]] = field(default_factory=list)  # time, type, text
    events: list[str] = field(default_factory=list)
    posts: list[tuple[float, str]] = field(default_factory=list)  # time, status
    cut_by_the_engine: bool = False  # A test knows that the end of its output may be missing.


@dataclass
class Recorded:
    at: float
    path: str
    body: bytes
    answer: int


class PlatformApi:
    def __init__(self, server: Redis) -> None:
        self.redis = server
        self.lock = threading.Lock()
        self.deployments: dict[str, Deployment] = {}
        self.deploy_queue: list[tuple[str, str]] = []
        self.record: list[Recorded] = []
        self.delay = 0.0
        self.faults: list[object] = []  # a status, or "drop", for the next posts
        self.has_database = True
        # What stands in front of the API and answers for it: (path, body) -> status, headers, body.
        self.in_front: Callable[[str, bytes], tuple[int, dict[str, str], bytes] | None] = lambda path, body: None
        self.on_status = self.ignore
        self.batch: redis.client.Pipeline | None = None
        self.server: ThreadingHTTPServer | None = None
        self.port = 0

    # Life.

    def start(self) -> PlatformApi:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:  # noqa: N802
                api.handle(self)

            def do_GET(self) -> None:  # noqa: N802
                api.control(self)

        class QuickServer(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def __init__(self) -> None:
                self.open_connections: set[socket.socket] = set()
                self.ending = False
                self.deciding = 0  # requests that are decided but not answered yet
                super().__init__(("127.0.0.1", api.port), Handler)

            def handle_error(self, request, address):  # type: ignore[no-untyped-def]
                pass  # A worker that was killed resets its connections.

            def process_request(self, request, address):  # type: ignore[no-untyped-def]
                self.open_connections.add(request)
                super().process_request(request, address)

            def shutdown_request(self, request):  # type: ignore[no-untyped-def]
                self.open_connections.discard(request)
                super().shutdown_request(request)

        # Not one the kernel gives away: it has to be free at the next start, too.
        self.port = self.port or free_port()
        self.server = QuickServer()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Also how tests take the API down: connections are refused until `start`."""
        if self.server:
            with self.lock:
                self.server.ending = True  # type: ignore[attr-defined]
            # Cut between the two, what was recorded would come again.
            wait_for(lambda: not self.server.deciding, 20, "what is recorded is answered")  # type: ignore[union-attr]
            self.server.shutdown()
            self.server.server_close()
            # Kept-alive connections end as well: a host that is down has none.
            for connection in list(self.server.open_connections):  # type: ignore[attr-defined]
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.server = None

    def mend(self) -> None:
        """Up and well, whatever a test left."""
        self.faults.clear()
        self.delay, self.on_status, self.has_database = 0.0, self.ignore, True
        self.in_front = lambda path, body: None
        if self.server is None:
            self.start()

    @staticmethod
    def ignore(deployment: str, status: str) -> None:
        pass

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        return {"API_URL": self.url, "API_KEY": API_KEY}

    # What the platform does.

    def enqueue(self, job: dict[str, object], queue: str = "builder-queue") -> str:
        identity = str(job.get("deploymentId"))
        with self.lock:
            self.deployments.setdefault(identity, Deployment(identity, str(job.get("serviceId"))))
        self.push(job, queue)
        return identity

    def push(self, job: object, queue: str = "builder-queue") -> None:
        # As Go's encoder writes it.
        text = job if isinstance(job, str) else (
            json.dumps(job, separators=(",", ":"), ensure_ascii=False)
            .replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
            .replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
        (self.batch or self.redis.client).rpush(queue, text)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is pushed meanwhile is in the queue at once."""
        with self.redis.client.pipeline(transaction=True) as self.batch:
            yield
            self.batch.execute()
        self.batch = None

    def cancel(self, identity: str, publish: bool = True) -> None:
        if publish:
            self.redis.client.publish("builder:cancel", json.dumps({"deploymentId": identity}))
        with self.lock:
            deployment = self.deployments[identity]
            deployment.status, deployment.completed_at = "CANCELLED", "2026-01-01T00:00:00Z"

    def github_push(self, identity: str, job: dict[str, object]) -> str:
        """A push while `identity` is active: it is only marked, no message goes out and its job stays queued."""
        with self.lock:
            self.deployments[identity].status = "CANCELLED"
        return self.enqueue(job)

    # What tests ask.

    def wait_status(self, identity: str, *wanted: str, timeout: float = 60) -> str:
        wait_for(lambda: self.deployments[identity].status in wanted, timeout,
                 f"{identity} to be {'/'.join(wanted)}, is {self.deployments[identity].status}")
        return self.deployments[identity].status

    def wait_end(self, identity: str, timeout: float = 60) -> str:
        wait_for(lambda: self.final_posts(identity), timeout, f"a final status of {identity}")
        return self.final_posts(identity)[-1]

    def statuses(self, identity: str) -> list[str]:
        return [status for _, status in self.deployments[identity].posts]

    def final_posts(self, identity: str) -> list[str]:
        return [status for status in self.statuses(identity) if status != "BUILDING"]

    def log_text(self, identity: str) -> str:
        return "\n".join(text for _, _, text in list(self.deployments[identity].logs))

    def wait_log(self, identity: str, text: str, timeout: float = 60) -> None:
        wait_for(lambda: text in self.log_text(identity), timeout, f"{text!r} in the log of {identity}")

    def outputs(self, identity: str, line: str) -> int:
        """How often a step has printed the line. Its command holds it too, but is told before the step runs."""
        return len(re.findall(rf"^(?:#\d+ )?{re.escape(line)}$", self.log_text(identity), re.M))

    def wait_output(self, identity: str, line: str, timeout: float = 60) -> None:
        wait_for(lambda: self.outputs(identity, line), timeout, f"{line!r} printed by a step of {identity}")

    def error_of(self, identity: str) -> str:
        events = self.deployments[identity].events
        assert events, f"{identity} has no failure event: {self.statuses(identity)}"
        return events[-1]

    def all_bytes(self) -> bytes:
        return b"\n".join(entry.body for entry in self.record)

    # The wire.

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            return self.reset(request)
        body = request.rfile.read(length)
        if self.delay:
            time.sleep(self.delay)
        server = request.server
        is_probe = PROBE in request.path
        with self.lock:
            fault = self.faults.pop(0) if self.faults and not is_probe else None
            if server.ending or fault == "drop":
                return self.reset(request)
            server.deciding += 1
        try:
            if stranger := self.in_front(request.path, body):
                return self.send(request, *stranger)
            if isinstance(fault, int):
                status, answer = fault, {"status": "error", "message": FAULT_WORDS.get(fault, "told to fail")}
            else:
                status, answer = self.decide(request, body)
            if not is_probe:
                with self.lock:
                    self.record.append(Recorded(time.monotonic(), request.path, body, status))
            self.answer(request, status, answer)
        finally:
            with self.lock:
                server.deciding -= 1

    def control(self, request: BaseHTTPRequestHandler) -> None:
        """What the C++ contract tests ask and tell: /control/WORD/DEPLOYMENT[/…]; any other GET is unknown, as at the
        real one."""
        found = re.fullmatch(r"/control/(new|look|cancel|delete|faults|delay)/([^/]+)(?:/(.+))?", request.path)
        if not found:
            return self.answer(request, 404, {"status": "error", "message": "Not found"})
        word, identity, more = found.groups()
        with self.lock:
            deployment = self.deployments.setdefault(identity, Deployment(identity, "s")) if word == "new" else (
                self.deployments.get(identity))
            if word == "faults":
                self.faults[:] = [int(fault) if fault.isdigit() else fault for fault in more.split(",")]
            elif word == "delay":
                self.delay = float(more)
            elif deployment and word == "cancel":
                deployment.status, deployment.completed_at = "CANCELLED", "2026-01-01T00:00:00Z"
            elif deployment and word == "delete":
                deployment.service_deleted = True
            seen = {} if deployment is None else {
                **vars(deployment), "rollouts": sum(1 for entry in self.deploy_queue if entry[0] == identity),
                "record": [line for entry in self.record if f"/{identity}/" in entry.path and entry.answer == 200
                           for line in self.lines_of(json.loads(entry.body))]}
        self.answer(request, 200, seen)

    @staticmethod
    def lines_of(body: dict) -> list[str]:  # type: ignore[type-arg]
        """A post in short: its status, then its log line."""
        log = body.get("logs") or (body if "text" in body else None)
        return [body[name] for name in ("status",) if name in body] + ([f"{log['type']} {log['text']}"] if log else [])

    @staticmethod
    def reset(request: BaseHTTPRequestHandler) -> None:
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = True
        request.connection.close()

    @classmethod
    def answer(cls, request: BaseHTTPRequestHandler, status: int, body: object) -> None:
        headers = {"Content-Type": "application/json", **({"Retry-After": "1"} if status == 429 else {})}
        cls.send(request, status, headers, json.dumps(body).encode())

    @staticmethod
    def send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items()),
                 f"Content-Length: {len(body)}", "", ""]
        try:
            request.wfile.write("\r\n".join(lines).encode() + body)
        except OSError:
            request.close_connection = True

    def decide(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, object]]:
        def error(status: int, message: str) -> tuple[int, dict[str, object]]:
            return status, {"status": "error", "message": message}

        key = request.headers.get("X-Api-Key")
        if key is None:
            return error(401, "Missing API key header")
        if key != API_KEY:
            return error(401, "Invalid API key")
        match = re.fullmatch(r"/api/webhooks/deployments/([^/?#]+)/(status|logs)", request.path)
        if not match:
            return error(404, "Not found")
        try:
            data = json.loads(body.decode(errors="fffd-per-byte"))
        except ValueError:
            return error(400, "Invalid request body")
        if not isinstance(data, dict) or "application/json" not in request.headers.get("Content-Type", ""):
            return error(400, "Invalid request body")
        with self.lock:
            # Whatever the database answers, an error is taken for a row that is not there.
            deployment = self.deployments.get(match[1]) if self.has_database else None
            if deployment is None:
                return error(404, "Deployment not found")
            if match[2] == "logs":
                return self.take_log(deployment, data, error)
            return self.take_status(deployment, data, error)

    def take_log(self, deployment: Deployment, data: dict[str, object], error) -> tuple[int, dict[str, object]]:  # type: ignore[no-untyped-def]
        text, kind = data.get("text"), data.get("type") or "STDOUT"
        if not isinstance(text, str) or not isinstance(kind, str) or text == "":
            return error(400, "Invalid request body")
        if len(text.encode("utf-8", "replace")) > TEXT_LIMIT or kind not in LOG_TYPES:
            return error(500, "database error")
        deployment.logs.append((time.monotonic(), kind, text))
        return 200, {"status": "success", "data": {}}

    def take_status(self, deployment: Deployment, data: dict[str, object], error) -> tuple[int, dict[str, object]]:  # type: ignore[no-untyped-def]
        status, logs, image = data.get("status"), data.get("logs"), data.get("data")
        objects = [value for value in (logs, image) if value is not None]
        if not isinstance(status, str) or not all(isinstance(value, dict) for value in objects):
            return error(400, "Invalid request body")
        fields = [(data, "error"), *[(value, name) for value in objects for name in
                                     ("text", "type", "containerImageUri", "containerRegistryType")]]
        if not all(isinstance(holder.get(name), (str, type(None))) for holder, name in fields):
            return error(400, "Invalid request body")
        if status not in STATUSES:
            return error(500, "database error")
        answered_completed = deployment.completed_at
        deployment.posts.append((time.monotonic(), status))
        deployment.status = "DEPLOYING" if status == "BUILDED" else status
        if logs:
            # Too long or of a wrong type: the status is stored, the line is lost, the answer is 200.
            text, kind = str(logs.get("text") or ""), logs.get("type") or "STDOUT"
            if text and len(text.encode()) <= TEXT_LIMIT and kind in LOG_TYPES:
                deployment.logs.append((time.monotonic(), str(kind), text))
        if status == "BUILDED":
            if image and image.get("containerImageUri"):
                deployment.image_uri = str(image["containerImageUri"])
                deployment.registry_type = str(image.get("containerRegistryType") or "")
            deployment.logs.append((time.monotonic(), "INFO", "Awaiting deploy…"))
            self.deploy_queue.append((deployment.id, deployment.image_uri))
        if status in ("FAILED", "CANCELLED"):
            deployment.completed_at = "2026-01-01T00:00:00Z"
        if status == "FAILED":
            message = str(data.get("error") or "Deployment failed")
            if len(message) <= 191:  # Else the event is lost and the answer is 200 all the same.
                deployment.events.append(message)
        self.on_status(deployment.id, status)
        body: dict[str, object] = {"id": deployment.id, "status": deployment.status, "service": {"id": deployment.service}}
        if answered_completed:
            body["completedAt"] = answered_completed
        if deployment.service_deleted:
            body["service"] = {"id": deployment.service, "deletedAt": "2026-01-01T00:00:00Z"}
        return 200, {"status": "success", "data": {"deployment": body, "padding": "x" * 2500}}
