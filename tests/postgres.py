"""A real PostgreSQL server for the tests: Debian's binaries, a socket in a temporary directory, a database a test."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

#: Its data need not outlive the machine; a killed server loses nothing all the same.
_FAST = "fsync=off full_page_writes=off shared_buffers=64MB max_connections=60"
_PASSWORD = "open-sesame"


def binaries() -> Path | None:
    """Where the newest installed server is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """A server that can be stopped, killed and started again."""

    def __init__(self, directory: Path) -> None:
        found = binaries()
        assert found is not None
        self._bin, self._home, self._n = found, directory, 0
        directory.chmod(0o755)
        self._run = [] if os.geteuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        if not os.geteuid():
            shutil.chown(directory, "nobody")
        password = directory / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)
        self._call("initdb", "-D", f"{directory}/data", "-U", "tomoe", "-A", "scram-sha-256", f"--pwfile={password}",
                   "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        self.start()

    def _call(self, name: str, *arguments: str) -> None:
        command = [*self._run, str(self._bin / name), *arguments]
        # a log, not a pipe: the server would keep the pipe open, and its reader waiting
        with open(self._home / "log.txt", "a") as log:
            done = subprocess.run(command, stdout=log, stderr=log, cwd="/", timeout=60, check=False)
        assert done.returncode == 0, (self._home / "log.txt").read_text()

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self._home}"
        options += "".join(f" -c {option}" for option in _FAST.split())
        self._call("pg_ctl", "-D", f"{self._home}/data", "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """End it: ``fast`` ends its connections in order, ``immediate`` is a crash."""
        self._call("pg_ctl", "-D", f"{self._home}/data", "-m", mode, "-w", "stop")

    def url(self, database: str, user: str = "tomoe") -> str:
        return f"postgresql+psycopg://{user}:{_PASSWORD}@/{database}?host={self._home}"

    def new_database(self, like: str | None = None) -> str:
        """URL of a new database; ``like``: a copy of the one with this URL."""
        self._n += 1
        name, template = f"test_{self._n}_{secrets.token_hex(3)}", "template0"
        if like:
            template = str(sa.make_url(like).database)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")

    def execute(self, statement: str, url: str | None = None) -> None:
        engine = sa.create_engine(url or self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
