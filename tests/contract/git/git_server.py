"""A git host over HTTP with basic authentication, for the tests: wraps `git http-backend`.

Usage: git_server.py ROOT USER PASSWORD. Prints its port. The first part of a URL's path chooses the
behaviour: `private` (asks for the credentials), `public`, `flaky` (503 to the first request), `stall`
(never answers), `slow` (stalls in the pack), `moved` (redirects to MOVED_TO), `v0` (no protocol v2),
`cut-N-P-…` (the connection closes once, after P percent of the answer to request N), `renamed-N` (redirects with
status N to the repository of that name below `private` that ROOT/renamed names), `dumb` (plain files), `zipped`
(answers compressed).
ROOT/lfs_faults is a list of answers that LFS requests get first: [where ("batch" or "object"), status, body];
status 0 closes the connection, and the body of a redirection is its Location. ROOT/lfs_action is the action of every
object, in JSON. A request for another host is answered as a proxy would, if it has the
login in ROOT/proxy_login.
Every answered request is one line in ROOT/requests: method, path, Authorization, bytes sent, names of the headers.
"""

import base64
import collections
import contextlib
import gzip
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time

ROOT, USER, PASSWORD = sys.argv[1:4]
EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BACKEND = subprocess.check_output(["git", "--exec-path"], text=True).strip() + "/git-http-backend"
LOCK = threading.Lock()
failed_once = set()
asked = collections.Counter()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    proxied = ""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer_request()

    do_POST = do_GET

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def reply(self, status, headers=(), body=b""):
        with LOCK, open(ROOT + "/requests", "a") as log:
            auth = self.headers.get("Authorization", "-").replace(" ", "_")
            names = ",".join(sorted(name.lower() for name in self.headers))
            log.write(f"{self.command} {self.proxied}{self.path} {auth} {len(body)} {names}\n")
        connection, self.wfile = self.wfile, io.BytesIO()
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        answer, self.wfile = self.wfile.getvalue() + body, connection
        with contextlib.suppress(ConnectionError):  # Who asked has heard enough.
            self.wfile.write(answer[: self.cut(len(answer))])

    def cut(self, size):
        mode = self.path.split("/")[1]
        if not mode.startswith("cut-"):
            return size
        number, percent = map(int, mode.split("-")[1:3])
        with LOCK:
            asked[mode] += 1
            if asked[mode] != number:
                return size
        self.close_connection = True
        return size * percent // 100

    def answer_request(self):
        data = self.body()
        self.proxied = "proxied:" if self.path.startswith("http://") else ""
        if self.proxied:  # We are its proxy, and every host.
            if os.path.exists(ROOT + "/proxy_login"):
                with open(ROOT + "/proxy_login") as file:
                    if self.headers.get("Proxy-Authorization") != "Basic " + base64.b64encode(file.read().encode()).decode():
                        return self.reply(407, [("Proxy-Authenticate", 'Basic realm="proxy"')])
            self.path = "/" + self.path.split("/", 3)[3]
        mode, _, path = self.path.lstrip("/").partition("/")
        if mode == "stall" or (mode == "slow" and self.command == "POST"):
            time.sleep(600)
        if mode == "moved":
            with open(ROOT + "/moved_to") as file:
                return self.reply(302, [("Location", file.read() + "/" + path)])
        if mode.startswith("renamed-"):
            with open(ROOT + "/renamed") as file:
                name = file.read() + path[path.index(".git"):]
            return self.reply(int(mode[8:]), [("Location", f"/private/{name}")])
        if mode == "dumb":
            return self.plain_file(path)
        if mode == "flaky" and mode not in failed_once:
            failed_once.add(mode)
            return self.reply(503)
        if mode == "broken":
            return self.reply(500)
        if mode == "private" and self.headers.get("Authorization") != EXPECTED:
            return self.reply(401, [("WWW-Authenticate", 'Basic realm="git"')])
        if "/objects/batch" in path:
            return self.lfs_fault("batch") or self.lfs_batch(mode, json.loads(data))
        if path.startswith("lfs-object/"):
            if self.lfs_fault("object"):
                return None
            try:
                with open(f"{ROOT}/lfs/{path.rpartition('/')[2]}", "rb") as file:
                    return self.reply(200, [], file.read())
            except FileNotFoundError:
                return self.reply(404)
        self.git(mode, path, data)

    def plain_file(self, path):
        try:
            with open(f"{ROOT}/repositories/{path.partition('?')[0]}", "rb") as file:
                self.reply(200, [("Content-Type", "text/plain")], file.read())
        except OSError:
            self.reply(404)

    def lfs_fault(self, where):
        try:
            with LOCK, open(ROOT + "/lfs_faults", "r+") as file:
                faults = json.load(file)
                if not faults or faults[0][0] != where:
                    return False
                _, status, body = faults.pop(0)
                file.seek(0)
                file.truncate()
                json.dump(faults, file)
        except FileNotFoundError:
            return False
        if status == 0:
            self.close_connection = True
            return True
        if 300 <= status < 400:
            self.reply(status, [("Location", body)])
        else:
            self.reply(status, [("Content-Type", "application/vnd.git-lfs+json")], body.encode())
        return True

    def lfs_batch(self, mode, wanted):
        objects = []
        for item in wanted["objects"]:
            host = self.headers["Host"]
            action = {"href": f"http://{host}/{mode}/lfs-object/{item['oid']}"}
            if mode == "private":
                action["header"] = {"Authorization": EXPECTED}
            if os.path.exists(ROOT + "/lfs_href"):
                with open(ROOT + "/lfs_href") as file:
                    action = {"href": file.read() + "/" + item["oid"]}
            if os.path.exists(ROOT + "/lfs_action"):
                with open(ROOT + "/lfs_action") as file:
                    action = json.load(file)
            objects.append({**item, "actions": {"download": action}})
        body = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self.reply(200, [("Content-Type", "application/vnd.git-lfs+json")], body)

    def git(self, mode, path, data):
        path, _, query = path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": ROOT + "/repositories",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH_INFO": "/" + path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        if mode != "v0":
            env["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        out = subprocess.run([BACKEND], input=data, env=env, capture_output=True).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            key, _, value = line.partition(": ")
            if key == "Status":
                status = int(value.split()[0])
            else:
                headers.append((key, value))
        if mode == "zipped":
            headers.append(("Content-Encoding", "gzip"))
            body = gzip.compress(body)
        self.reply(status, headers, body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
