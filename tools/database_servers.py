"""Database servers of Debian's packages, in a temporary folder, on 127.0.0.1, with a password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "s3cret 'phrase' \\ ü"  # with all that connection strings and SQL quote
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
MARIADB = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("mariadbd", "mariadb")]
_SECONDS_TO_START = 60


class Server:
    """A server with an empty database `mlmd` and a user `ada`; it ends with the `with`."""

    backend = ""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="unet-database-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def start(self) -> None:
        """Starts the server, and waits until it answers."""

    def kill(self) -> None:
        """Ends the server at once, with all its connections."""

    def query(self, text: str, database: str = "mlmd") -> str:
        """Returns the answer to a query, a row a line."""
        raise NotImplementedError

    def table(self, **change: object) -> str:
        """The value of the setting `metadata`."""
        values = {"backend": self.backend, "host": "127.0.0.1", "port": self.port, "database": "mlmd"}
        values |= {"user": "ada", **change}
        return "{ " + ", ".join(f"{k} = {v if k == 'port' else repr(v)}" for k, v in values.items()) + " }"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class PostgreSQL(Server):
    """PostgreSQL."""

    backend = "postgresql"

    def __init__(self, user: str = "ada", database: str = "mlmd") -> None:
        super().__init__()
        self._user = user
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            for path in (self.folder, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        try:
            words = ("-U", user, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
            self._program("initdb", "-D", self.folder / "data", *words)
            self.start()
            self.query(f"CREATE DATABASE {database}", "postgres")
        except BaseException:
            self.__exit__()
            raise

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        # The machine does not go down with it, so nothing need reach the disk.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        words = ("-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options)
        self._program("pg_ctl", *words, "start")

    def kill(self) -> None:
        """Ends the server at once, with all its connections."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._program("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def query(self, text: str, database: str = "mlmd") -> str:
        """Returns the answer to a query, a row a line."""
        address = ("-h", "127.0.0.1", "-p", self.port, "-U", self._user)
        return self._program("psql", *address, "-At", "-c", text, database)

    def _program(self, name: str, *words: object) -> str:
        """Runs a program of PostgreSQL, which refuses to be root."""
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        return _output(
            [*(user if os.getuid() == 0 else []), str(POSTGRESQL[-1].with_name(name)), *map(str, words)],
            PGPASSWORD=PASSWORD,
        )


class MariaDB(Server):
    """MariaDB, which speaks as MySQL does."""

    backend = "mysql"

    def __init__(self) -> None:
        super().__init__()
        self._process: subprocess.Popen[bytes] | None = None
        words = ["--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-name-resolve"]
        words += ["--user=root"] if os.getuid() == 0 else []
        self._server = [str(MARIADB[0]), *words, f"--port={self.port}", "--bind-address=127.0.0.1"]
        self._server += [f"--socket={self.folder / 'socket'}", f"--log-error={self.folder / 'log'}"]
        try:
            _output(["mariadb-install-db", *words, "--auth-root-authentication-method=normal"])
            self.start()
            quoted = PASSWORD.replace("\\", "\\\\").replace("'", "''")
            self.query("CREATE DATABASE mlmd CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "mysql")
            self.query(f"CREATE USER ada@'127.0.0.1' IDENTIFIED BY '{quoted}'", "mysql")
            self.query("GRANT ALL ON mlmd.* TO ada@'127.0.0.1'", "mysql")
        except BaseException:
            self.__exit__()
            raise

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        self._process = subprocess.Popen(self._server, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self.query("SELECT 1", "mysql")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """Ends the server at once, with all its connections."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def query(self, text: str, database: str = "mlmd") -> str:
        """Returns the answer to a query, a row a line."""
        words = ["--no-defaults", f"--socket={self.folder / 'socket'}", "-u", "root", "-N", "-B"]
        return _output([str(MARIADB[1]), *words, "-e", text, database])


def _output(words: list[str], **environment: str) -> str:
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        timeout=120,
        env={**os.environ, **environment},
    )
    return done.stdout
