"""The embedded document store: SecantusDB, which speaks MongoDB's protocol on WiredTiger."""

import shutil
import sys
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from relata_local.errors import LocalError
from relata_local.ports import HOST, accepts
from relata_local.processes import ManagedServer, inherited_environment

# Standalone, or it would write an oplog that nobody reads: a third of what a write costs.
_CONFIGURATION = """\
[server]
standalone = true

[storage]
cache_size = "{cache_size}"
ttl_sweep_seconds = 60
sync_on_commit = false
"""


class DocumentServer(ManagedServer):
    """SecantusDB from the `secantusdb` wheel: always a process of its own, because its licence is the GPL."""

    def __init__(self, data: Path, port: int, cache_size: str = "256M") -> None:
        super().__init__("mongodb", port, data)
        self._folder = data / "mongodb"
        self._cache_size = cache_size

    @property
    def address(self) -> str:
        return f"mongodb://{HOST}:{self.port}/?directConnection=true"

    def environment(self) -> dict[str, str]:
        """The variables that point a service at this store."""
        return {"MONGODB_URI": self.address}

    def launch(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # An explicit file, because SecantusDB would otherwise read settings from the user's home or from /etc.
        configuration = self._folder / "secantusd.toml"
        configuration.write_text(_CONFIGURATION.format(cache_size=self._cache_size))
        self._spawn(
            [
                self._program(),
                *("--config", configuration),
                *("--host", HOST, "--port", str(self.port)),
                *("--storage-path", self._folder / "store"),
                *("--log-level", "WARNING"),
            ],
            env=inherited_environment("SECANTUS_"),
            cwd=self._folder,
        )

    def answers(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            with MongoClient[dict[str, object]](self.address, serverSelectionTimeoutMS=1000) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    @staticmethod
    def _program() -> Path:
        beside_python = Path(sys.executable).with_name("secantusd-py")
        program = beside_python if beside_python.exists() else shutil.which("secantusd-py")
        if not program:
            raise LocalError("the document store's program secantusd-py is not installed: pip install secantusdb")
        return Path(program)
