"""Running a policy: batches of events from Kafka to commands, each with one effect."""

from collections.abc import Mapping, Sequence

from crm_contracts.envelope import PublicEvent
from crm_shared.application.writer import Writer
from crm_shared.policies.policy import Policy
from crm_shared.policies.submitting import Planned, run_planned, submissions
from crm_shared.projections.progress_keeper import Note
from crm_shared.projections.projection import Failure


class PolicyConsumer:
    """Runs the commands of one `Policy`; what a consumer hands events to.

    At least once from Kafka, and each command once by its key. An event of which a command is refused is tried again,
    then parked with its customer. Released, it goes on where it stopped: what had its effect has it no second time.
    """

    generation = 1
    gather_seconds = 0.0

    def __init__(self, service: str, policy: Policy, writer: Writer) -> None:
        self._service = service
        self._policy = policy
        self._writer = writer
        self.name = policy.name
        self.topics = policy.topics
        self.handles = policy.handles

    async def prepare(self, generation: int) -> None:
        """Nothing: a policy keeps nothing of its own."""

    def sealed(self) -> None:
        """Nothing is held in memory."""

    def take_over(self, partitions: frozenset[int]) -> None:
        """Nothing is held in memory."""

    async def work(self) -> None:
        """Nothing beside events."""

    async def apply(self, events: Sequence[PublicEvent], note: Note | None = None) -> Mapping[str, Failure]:
        """Decide about each event and run what follows. Raises `StoreUnavailable`."""
        failures: dict[str, Failure] = {}
        planned: list[Planned] = []
        for event in events:
            if event.key in failures:
                continue
            try:
                commands = self._policy.decide(event)
                submitted = submissions(self._service, self.name, event, commands, once=True)
            except Exception as error:  # whatever it is, it is this event's, and its customer is parked
                failures[event.key] = Failure(event, error)
                continue
            planned += [(event, submission) for submission in submitted]
        return failures | await run_planned(self._writer, planned)
