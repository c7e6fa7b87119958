"""git over smart HTTP with a password: nginx and fcgiwrap, as real hosts run it."""

from __future__ import annotations

import contextlib
import crypt
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .large_files import LargeFiles
from .process import Server, free_port, port_open

USER = "us er@x"
PASSWORD = "p@ss:w/rd% 1"

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 128; }}
http {{
  access_log {folder}/access.log;
  client_max_body_size 0; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port};
    if (-f {folder}/unwell) {{ return 503; }}
    location /moved/ {{ return 301 http://localhost:{port}/git/; }}
    location /broken/ {{ return 503; }}
    location /public/ {{ {backend} }}
    location ~ ^/git/.+[.]git/info/lfs/ {{
      auth_basic git; auth_basic_user_file {folder}/htpasswd;
      proxy_set_header Host $http_host;
      proxy_pass http://127.0.0.1:{lfs_port};
    }}
    location /git/ {{
      auth_basic git; auth_basic_user_file {folder}/htpasswd;
      {backend}
    }}
  }}
}}
"""
BACKEND = """
      if ($uri ~ ^/(?:git|public)(/.*)$) {{ set $repo_path $1; }}
      fastcgi_pass unix:{folder}/fcgi.sock; fastcgi_read_timeout 120s;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {folder}/repositories; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol; fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param REMOTE_USER $remote_user; fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param PATH_INFO $repo_path;
"""


class Repository:
    """A repository on the server, with a work tree to commit from."""

    def __init__(self, server: GitServer, name: str) -> None:
        self.server, self.name = server, name
        self.bare = server.root / f"{name}.git"
        self.work = server.folder / "work" / name
        self.work.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare)],
                       check=True, env=self.env)

    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.test", "GIT_COMMITTER_NAME": "Test",
           "GIT_COMMITTER_EMAIL": "test@example.test", "GIT_ALLOW_PROTOCOL": "file:http:https"}

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.work, env=self.env, check=True,
                              capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str | bytes | None], message: str = "change", branch: str = "main") -> str:
        """Writes (or with None removes) files, commits and pushes; the commit's SHA."""
        if self.git("branch", "--show-current") != branch:
            self.git("checkout", "--quiet", "-B", branch)
        for path, content in files.items():
            target = self.work / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.commit_all(message, branch)

    def commit_all(self, message: str = "change", branch: str = "main") -> str:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def delete_branch(self, branch: str) -> None:
        subprocess.run(["git", "update-ref", "-d", f"refs/heads/{branch}"], cwd=self.bare, env=self.env, check=True)


class GitServer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "git"
        self.root = self.folder / "repositories"
        self.root.mkdir(parents=True)
        self.port = free_port()
        self.nginx = Server("nginx", self.folder)
        self.fcgi = Server("fcgiwrap", self.folder)
        self.large_files = LargeFiles()
        self.count = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/git"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> GitServer:
        folder = self.folder
        self.large_files.start()
        # nginx workers run as another user than root; everything here is test data.
        (folder / "htpasswd").write_text(f"{USER}:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_SHA512, rounds=1000))}\n")
        socket = folder / "fcgi.sock"
        socket.unlink(missing_ok=True)
        self.fcgi.launch(["fcgiwrap", "-c", "4", "-s", f"unix:{socket}"], socket.exists,
                         env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_COUNT": "1",
                              "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
        backend = BACKEND.format(folder=folder)
        (folder / "nginx.conf").write_text("user root;\n" + NGINX.format(
            folder=folder, port=self.port, lfs_port=self.large_files.port, backend=backend))
        self.nginx.launch(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-p", str(folder)],
                          lambda: port_open(self.port))
        return self

    def stop(self) -> None:
        self.nginx.end()
        self.fcgi.end()
        self.large_files.stop()

    @contextlib.contextmanager
    def unwell(self) -> Iterator[None]:
        """Every request is answered with 503 inside the block."""
        (self.folder / "unwell").touch()
        try:
            yield
        finally:
            (self.folder / "unwell").unlink()

    def repository(self, files: dict[str, str | bytes | None] | None = None, name: str = "") -> Repository:
        self.count += 1
        repository = Repository(self, name or f"team/app{self.count}")
        if files:
            repository.commit(files, "first")
        return repository

    def requests(self) -> list[str]:
        log = self.folder / "access.log"
        return log.read_text().splitlines() if log.exists() else []

    def provider(self, **changes: object) -> dict[str, object]:
        return {"type": "CUSTOM", "url": self.url, "username": USER, "password": PASSWORD, **changes}

    def clear(self) -> None:
        shutil.rmtree(self.folder / "work", ignore_errors=True)
