"""Sending the log: hello where anything is in doubt, appends otherwise; every answer is checked against our own chain."""

import logging
from uuid import UUID

from runtime_agent.clock import Clock
from runtime_agent.http import Refused, Unreachable
from runtime_agent.outbox import Outbox, epochs, log, pruning, quarantine
from runtime_agent.outbox.position import position
from runtime_agent.outbox.quarantine import Reason
from runtime_agent.server import Server, packed
from runtime_agent.wire.content import ContentPolicy
from runtime_agent.wire.problems import Problem
from runtime_agent.wire.sync import MAX_RECORDS, Ack, Credit, Durable, Hello, Limits, Welcome

HELLO_AGAIN = {"fenced", "diverged", "store-changed"}
"""What the server holds is not what we thought."""

logger = logging.getLogger(__name__)


class Sync:
    """Brings the log to the server, one call a step.

    Safe to stop and to crash anywhere: what is not noted as acknowledged is sent again, and the server appends a
    record once. Everything that a restart must know is in the outbox; what is kept here starts with a hello.
    """

    def __init__(self, outbox: Outbox, server: Server, *, boot_id: UUID, clock: Clock) -> None:
        self.boot_id = boot_id
        self.store_id: UUID | None = None
        """Learned at the last hello; None: hello is needed."""
        self.credit = Credit()
        self.durable: Durable | None = None
        self.content = ContentPolicy()
        """What the project wants of checkpoints."""
        self._limits = Limits()
        self._most = MAX_RECORDS
        self._diverged = False
        self._outbox = outbox
        self._server = server
        self._clock = clock

    def doubt(self) -> None:
        """Something does not fit: the next step is a hello, and an answer on its way counts for nothing."""
        self.store_id = None

    def unsent(self) -> bool:
        """Whether the log has something to say, which goes before everything else."""
        where = position(self._outbox)
        return where.acked < where.last_seq

    async def step(self) -> bool:
        """Make one call, if there is anything to say; False when the server holds everything.

        Raises:
            Unreachable, Busy: Try again later, nothing has changed.
            Refused: For a reason that sending differently cannot mend.
        """
        if self.store_id is None:
            await self._hello()
            return True
        most = min(self._most, self._limits.max_records, self.credit.max_records)
        batch = log.next_batch(self._outbox, most, self._limits.max_inflated_bytes)
        if batch is None:
            return False
        body = packed(batch.lines)
        if len(body) > min(self._limits.max_compressed_bytes, self.credit.max_bytes) and len(batch.lines) > 1:
            self._most = len(batch.lines) // 2
            return True
        try:
            ack = await self._server.append(self.store_id, batch, body)
        except Refused as refused:
            self._refused(batch, refused)
        else:
            self._appended(batch, ack)
        return True

    def _appended(self, batch: log.Batch, ack: Ack) -> None:
        self.credit, self.durable = ack.credit, ack.durable
        self._most = min(self._most * 2, MAX_RECORDS)
        if self.store_id is None:  # doubted while the answer was on its way
            return
        if not log.acknowledge(self._outbox, batch.epoch, ack.acked, ack.head, self._clock()):
            self.doubt()

    def _refused(self, batch: log.Batch, refused: Refused) -> None:
        problem = refused.problem
        if problem.code in HELLO_AGAIN:
            self.doubt()
        elif problem.code == "gap":
            if not (problem.expected and log.rewind(self._outbox, batch.epoch, problem.expected - 1)):
                self.doubt()
        elif problem.status == 413:
            self._too_large(batch, refused)
        elif problem.code.startswith("record-") and problem.seq is not None:
            self._poisoned(batch, problem, refused)
        else:
            raise refused

    def _too_large(self, batch: log.Batch, refused: Refused) -> None:
        if len(batch.lines) > 1:
            self._most = len(batch.lines) // 2
        elif not quarantine.replace(
            self._outbox,
            batch.epoch,
            batch.first,
            Reason(refused.problem.code, str(refused), batch.first),
            self._clock(),
        ):
            raise refused

    def _poisoned(self, batch: log.Batch, problem: Problem, refused: Refused) -> None:
        """What came before the record was kept; the record itself makes way, at the same place in the log."""
        assert problem.seq is not None, "asked by the caller"
        now = self._clock()
        kept = problem.acked is not None and problem.head is not None
        if kept and not log.acknowledge(self._outbox, batch.epoch, problem.acked or 0, problem.head or "", now):
            self.doubt()
            return
        reason = Reason(problem.code, problem.detail or problem.title, problem.seq)
        ours = batch.first <= problem.seq < batch.first + len(batch.lines)
        if not ours or not quarantine.replace(self._outbox, batch.epoch, problem.seq, reason, now):
            raise refused
        logger.warning("record.quarantined: seq %d of epoch %d: %s", problem.seq, batch.epoch, refused)

    async def _hello(self) -> None:
        where = position(self._outbox)
        hello = Hello(
            epoch=where.epoch,
            first_retained=where.first_retained,
            last_seq=where.last_seq,
            acked=where.acked,
            head=where.head.hex(),
            boot_id=self.boot_id,
            diverged=self._diverged,
        )
        welcome = await self._server.hello(hello)
        self._limits, self.credit, self.durable = welcome.limits, welcome.credit, welcome.durable
        self.content = welcome.content
        if welcome.mode == "new_epoch":
            await self._begin_epoch(welcome)
        elif self._diverged:
            raise Unreachable("the server resumes a history that is not ours, though told so")
        else:
            self._resume(welcome)

    def _resume(self, welcome: Welcome) -> None:
        held = welcome.from_seq - 1
        ours = log.acknowledge(self._outbox, welcome.epoch, held, welcome.head, self._clock())
        if ours and log.rewind(self._outbox, welcome.epoch, held):
            self.store_id = welcome.store_id
        else:
            self._diverged = True

    async def _begin_epoch(self, welcome: Welcome) -> None:
        """The old epoch is fenced already; ask what is missing, then number that anew in one transaction."""
        for page in epochs.retained_ids(self._outbox, self._limits.max_diff_ids):
            missing = await self._server.diff(page)
            epochs.note_known(self._outbox, [record_id for record_id in page if record_id not in missing])
        if epochs.begin(self._outbox, welcome.epoch, self._clock()):
            self._diverged = False
            self.store_id = welcome.store_id
            logger.info("epoch.begun: %d", welcome.epoch)

    def prune(self) -> int:
        """Drop what the last announced backup covers; return how many records."""
        return pruning.by_mark(self._outbox, self.durable) if self.durable else 0
