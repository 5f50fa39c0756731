"""Kafka's jars: resolved once by Maven into a cache folder, and the Java that runs them."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from relata_local.errors import LocalError

POM = Path(__file__).parents[2] / "pom.xml"
LOWEST_JAVA = 17
# A slow mirror may take its time over some 40 MB.
RESOLVE_SECONDS = 600
_VERSION = "{http://maven.apache.org/POM/4.0.0}properties/{http://maven.apache.org/POM/4.0.0}kafka.version"


def version() -> str:
    """The version of Kafka that the pom pins."""
    found = ElementTree.parse(POM).getroot().findtext(_VERSION)
    if not found:
        raise LocalError(f"{POM} pins no kafka.version")
    return found


def classpath() -> str:
    """What `java -cp` takes; the jars are fetched at the first call on a machine. Raises `LocalError` in one line."""
    folder = cache_folder()
    if not folder.exists():
        _resolve(folder)
    return f"{folder}/*"


def cache_folder() -> Path:
    """Where the jars of this very pom are kept: within the virtual environment, else in the user's cache."""
    if sys.prefix != sys.base_prefix:
        kept = Path(sys.prefix) / "share"
    else:
        kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return kept / "relata" / f"kafka-{version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"


def java() -> str:
    """The program that runs Java 17 or later; raises `LocalError` when there is none."""
    found = _program("java", "JAVA_HOME")
    if found is None:
        raise LocalError(f"Apache Kafka needs Java {LOWEST_JAVA} or later: put java on the PATH, or set JAVA_HOME")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', said)
    if major is None or int(major.group(1)) < LOWEST_JAVA:
        seen = said.splitlines()[0] if said else "an unknown version"
        raise LocalError(f"Apache Kafka needs Java {LOWEST_JAVA} or later; {found} is {seen}")
    return found


def maven() -> str:
    """The program that resolves the jars; raises `LocalError` when there is none."""
    found = _program("mvn", "MAVEN_HOME")
    if found is None:
        raise LocalError("Apache Kafka's jars are resolved by Maven: put mvn on the PATH, or set MAVEN_HOME")
    return found


def require() -> None:
    """Raise `LocalError`, in one line, when the broker cannot be run on this machine."""
    java()
    if not cache_folder().exists():
        maven()


def _program(name: str, home: str) -> str | None:
    if os.environ.get(home):
        return shutil.which(name, path=str(Path(os.environ[home]) / "bin"))
    return shutil.which(name)


def _resolve(folder: Path) -> None:
    print(f"Resolving the jars of Apache Kafka {version()} by Maven, once", file=sys.stderr, flush=True)
    # Quiet, without questions or colours, and strict about checksums.
    command = [maven(), "-q", "-B", "-Dstyle.color=never", "-C", "-f", str(POM), "dependency:copy-dependencies"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        jars = Path(unfinished) / "jars"
        try:
            done = subprocess.run(
                # A repository of its own, so that nothing is left in the user's home.
                [
                    *command,
                    "-DincludeScope=runtime",
                    f"-DoutputDirectory={jars}",
                    f"-Dmaven.repo.local={unfinished}/repository",
                ],
                capture_output=True,
                text=True,
                check=False,
                timeout=RESOLVE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise LocalError(f"Maven has not resolved Apache Kafka's jars within {RESOLVE_SECONDS} s") from None
        if done.returncode != 0 or not jars.is_dir():
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise LocalError(f"Maven cannot resolve {POM}: {lines[0] if lines else done.stderr}", done.stdout)
        try:
            jars.rename(folder)
        except OSError:
            # Another run has just finished the same.
            if not folder.exists():
                raise
