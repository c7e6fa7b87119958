"""redis-server with an append-only file, optionally with an ACL user as the platform ships it."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import redis

from .process import Server, free_port

DEFAULTS = {"maxmemory": "0", "maxmemory-policy": "noeviction", "busy-reply-threshold": "5000"}


class Redis:
    def __init__(self, folder: Path, user: str = "", password: str = "") -> None:
        self.server = Server("redis", folder / "redis")
        self.port = free_port()
        self.user, self.password = user, password
        self.client = redis.Redis(port=self.port, username=user or None, password=password or None,
                                  decode_responses=True)

    def start(self) -> Redis:
        folder = self.server.folder
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", "appendonly yes", "save ''",
                 "appendfsync everysec"]
        if self.user:
            lines += ["user default off", f"user {self.user} on >{self.password} ~* &* +@all"]
        (folder / "redis.conf").write_text("\n".join(lines).replace("save ''", 'save ""') + "\n")
        self.server.launch(["redis-server", str(folder / "redis.conf")], self._ready)
        return self

    def _ready(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.server.end(how)

    def restart(self, how: int = signal.SIGKILL) -> None:
        self.stop(how)
        self.start()

    def unfinished(self) -> list[str]:
        """Keys that hold a deployment which is built, waits for another or has an undelivered end."""
        return [key for name in ("own", "pay", "svc", "wait", "out")
                for key in self.client.keys(f"{{*}}:{name}")]  # type: ignore[union-attr]

    def dump(self) -> dict[str, object]:
        """Everything that is stored, by key."""
        read = {"list": lambda key: self.client.lrange(key, 0, -1), "hash": self.client.hgetall,
                "zset": lambda key: self.client.zrange(key, 0, -1, withscores=True)}
        return {key: read[kind](key) for key in self.client.keys()  # type: ignore[union-attr]
                if (kind := str(self.client.type(key))) in read}

    def clear(self) -> None:
        self.client.flushdb()

    def mend(self) -> None:
        """Up, writable and empty, whatever a test left."""
        if self.server.running:
            os.kill(self.server.process.pid, signal.SIGCONT)  # type: ignore[union-attr]
        else:
            self.start()
        self.end_script()
        for key, value in DEFAULTS.items():
            self.client.config_set(key, value)
        self.client.execute_command("REPLICAOF", "NO", "ONE")
        self.clear()

    def end_script(self) -> None:
        with contextlib.suppress(redis.ResponseError):  # NOTBUSY: there is none.
            self.client.script_kill()

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port), "REDIS_USERNAME": self.user,
                "REDIS_PASSWORD": self.password}
