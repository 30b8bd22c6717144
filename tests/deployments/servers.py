"""A real PostgreSQL with its extensions (Prefect's schema needs pg_trgm) and a real Redis, as processes on loopback.

`started_postgresql` of the ledger's tests is quicker to come up and has no extensions: it can't hold Prefect's database.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from debian import libraries, program, unpacked

READY_SECONDS = 60.0
ADMIN = "postgres"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgreSQL:
    """A server in a folder of its own on 127.0.0.1, password authentication, durability off. `start` and `stop` as often as wanted."""

    def __init__(self) -> None:
        self.port, self.password = free_port(), secrets.token_hex(12)
        self._bin, self._environment = _postgresql()
        self._folder = Path(tempfile.mkdtemp(prefix="ffe-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    def url(self, database: str = ADMIN, user: str = ADMIN, password: str | None = None, driver: str = "") -> str:
        """`driver`: "+psycopg" for the ledger, "+asyncpg" for Prefect, "" for psycopg itself."""
        return f"postgresql{driver}://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """Creates a database; its URL without a driver."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def run_script(self, script: Path, variables: Mapping[str, str]) -> None:
        """A file of psql commands as the administrator, as the official image runs those of its initdb folder."""
        command = [str(self._bin / "psql"), "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-d", self.url(), "-f", str(script)]
        subprocess.run(
            command, env=self._environment | dict(variables), check=True, capture_output=True, timeout=READY_SECONDS
        )

    def start(self) -> None:
        """Returns once it answers."""
        command = [str(self._bin / "postgres"), "-D", str(self._folder / "data")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **_unprivileged(),
            )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL: {(self._folder / 'log').read_text()}") from error
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """A fast shutdown: connections are cut, what was committed stays."""
        if self._process is not None:
            _ended(self._process, signal.SIGINT)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        user = _unprivileged()
        if user:
            os.chown(self._folder, user["user"], user["group"])
        secret = self._folder / "password"
        secret.write_text(self.password)
        command = [str(self._bin / "initdb"), "-D", str(self._folder / "data"), "-U", ADMIN, "-E", "UTF8", "--no-sync"]
        command += ["--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        subprocess.run(
            command,
            env=self._environment,
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=READY_SECONDS,
            **user,
        )
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self._folder}'",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
            "shared_buffers": "'64MB'",
            "jit": "off",
        }
        with (self._folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def redis(folder: Path, password: str = "") -> Iterator[str]:
    """URL of a Redis on 127.0.0.1 that keeps nothing on disk."""
    binary, environment = program("redis-server", "redis-server")
    port = free_port()
    configuration = folder / "redis.conf"
    configuration.write_text(f'bind 127.0.0.1\nport {port}\nsave ""\nappendonly no\ndir "{folder}"\n')
    if password:
        with configuration.open("a") as file:
            file.write(f"requirepass {password}\n")
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            [str(binary), str(configuration)],
            env=os.environ | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_port(port, process)
        yield f"redis://:{password}@127.0.0.1:{port}" if password else f"redis://127.0.0.1:{port}"
    finally:
        _ended(process, signal.SIGTERM)


def _postgresql() -> tuple[Path, dict[str, str]]:
    """The folder of the server's programs, newest first, and the environment to run them in."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    found = [Path(path).resolve().parent for path in (shutil.which("initdb"),) if path is not None]
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    installed.sort(key=lambda path: int(path.parent.name), reverse=True)
    for folder in (*found, *installed):
        if all((folder / name).exists() for name in ("postgres", "psql")):
            return folder, clean
    root = unpacked("postgresql")
    unpacked_bins = [path.parent for path in root.glob("usr/lib/postgresql/*/bin/initdb")]
    return unpacked_bins[0], clean | dict(libraries(root))


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: root lends it the account `nobody`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}; exit code {process.poll()}")


def _ended(process: "subprocess.Popen[bytes]", number: int) -> None:
    process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
