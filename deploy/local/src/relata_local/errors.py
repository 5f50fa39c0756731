"""What can go wrong on one machine, said in one line that a person can act on."""


class LocalError(Exception):
    """A failure that the user can act on: one line, and sometimes the lines of a log that explain it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class PortTaken(LocalError):
    """A port that a server needs is in use."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(f"port {port}, which {name} needs, is taken: stop what uses it or choose another")
        self.port = port
        self.name = name


class StartFailed(LocalError):
    """A server did not become ready; `details` holds the end of its log."""

    def __init__(self, name: str, reason: str, details: str) -> None:
        super().__init__(f"{name} {reason}", details)
        self.name = name


class StartCancelled(LocalError):
    """The user asked to stop while servers were starting."""

    def __init__(self) -> None:
        super().__init__("stopped before everything had started")
