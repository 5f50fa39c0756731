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
    kafka_version = ElementTree.parse(POM).getroot().findtext(_VERSION)
    if not kafka_version:
        raise LocalError(f"{POM} pins no kafka.version")
    return kafka_version


def classpath() -> str:
    """What `java -cp` takes; the jars are fetched at the first call on a machine. Raises `LocalError` in one line."""
    folder = cache_folder()
    if not folder.exists():
        _resolve(folder)
    return f"{folder}/*"


def cache_folder() -> Path:
    """Where the jars of this very pom are kept: within the virtual environment, else in the user's cache."""
    if sys.prefix != sys.base_prefix:
        parent = Path(sys.prefix) / "share"
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / "relata" / f"kafka-{version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"


def java() -> str:
    """The program that runs Java 17 or later; raises `LocalError` when there is none."""
    program = _program("java", "JAVA_HOME")
    if program is None:
        raise LocalError(f"Apache Kafka needs Java {LOWEST_JAVA} or later: put java on the PATH, or set JAVA_HOME")
    output = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', output)
    if major is None or int(major.group(1)) < LOWEST_JAVA:
        reported = output.splitlines()[0] if output else "an unknown version"
        raise LocalError(f"Apache Kafka needs Java {LOWEST_JAVA} or later; {program} is {reported}")
    return program


def maven() -> str:
    """The program that resolves the jars; raises `LocalError` when there is none."""
    program = _program("mvn", "MAVEN_HOME")
    if program is None:
        raise LocalError("Apache Kafka's jars are resolved by Maven: put mvn on the PATH, or set MAVEN_HOME")
    return program


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
            run = subprocess.run(
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
        if run.returncode != 0 or not jars.is_dir():
            lines = [line for line in run.stdout.splitlines() if "ERROR" in line]
            raise LocalError(f"Maven cannot resolve {POM}: {lines[0] if lines else run.stderr}", run.stdout)
        try:
            jars.rename(folder)
        except OSError:
            # Another process has just resolved the same jars.
            if not folder.exists():
                raise
