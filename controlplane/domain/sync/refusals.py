"""How the log lane says no. The codes are the protocol's: agents switch on them."""

from controlplane.kit.problems import Refusal


class Gap(Refusal):
    """The batch starts after what is held: something between is missing."""

    code, status, title = "gap", 409, "Records are missing before this batch"
    hint = "The agent sends again from `expected` by itself; no action is needed unless this repeats."

    def __init__(self, expected: int) -> None:
        super().__init__(f"the next record wanted is {expected}")
        self.expected = expected

    def facts(self) -> dict[str, object]:
        return {"expected": self.expected}


class Fenced(Refusal):
    """A newer epoch exists: whoever writes in the old one must introduce itself again."""

    code, status, title = "fenced", 409, "This epoch is not the current one"
    hint = "The agent says hello by itself. Where this repeats, two agents share one identity."

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the current epoch is {epoch}")
        self.epoch = epoch

    def facts(self) -> dict[str, object]:
        return {"epoch": self.epoch}


class EpochSpent(Refusal):
    """There is no next epoch: the agent claims one that nobody can have come to by counting."""

    code, status, title = "epoch-spent", 409, "The epoch cannot be counted any further"
    hint = "Join again: a new runtime has a new log."


class Diverged(Refusal):
    """The chain before the first new line is not the chain that is held."""

    code, status, title = "diverged", 409, "This history is not the one that is held"
    hint = "The agent says hello by itself and sends what is missing in a new epoch."


class StoreChanged(Refusal):
    """The agent speaks to an earlier incarnation of the database."""

    code, status, title = "store-changed", 412, "The database is not the one this agent knew"
    hint = "The agent says hello by itself; this follows a restore."


class BatchTooLarge(Refusal):
    """More records or bytes than one batch may have."""

    code, status, title = "too-large", 413, "The batch is too large"
    hint = "Send fewer records at once; the limits are in the answer to hello."

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"more than {limit} {what}")
        self.what, self.limit = what, limit

    def facts(self) -> dict[str, object]:
        return {"limit": self.limit, "unit": self.what}


class BatchUnreadable(Refusal):
    """The body as a whole is not what its headers say."""

    status, title = 400, "The batch cannot be read"
    hint = "Send it again; where this repeats, something between changes the bytes."


class BadHeader(BatchUnreadable):
    code = "sync-header-invalid"
    hint = "See the protocol: Sync-Store, Sync-Epoch, Sync-First, Sync-Prev, Sync-Count, Content-Digest."


class DigestMismatch(BatchUnreadable):
    code = "digest-mismatch"


class NotZstd(BatchUnreadable):
    code = "batch-not-zstd"


class Truncated(BatchUnreadable):
    code = "batch-truncated"


class UnsupportedProtocol(Refusal):
    """The agent speaks a protocol that this release has never heard of, or has forgotten."""

    code, status, title = "unsupported-protocol", 400, "This protocol number is not spoken here"
    hint = "Upgrade the agent, or the control plane."


class RecordRefused(Refusal):
    """One record of the batch is not acceptable; everything before it has been kept."""

    status, title = 400, "A record was refused"
    hint = "The agent quarantines the record at its place and goes on; it is shown with the runtime."

    def __init__(self, seq: int, why: str, *, acked: int, head: bytes) -> None:
        super().__init__(f"record {seq}: {why}")
        self.seq, self.acked, self.head = seq, acked, head

    def facts(self) -> dict[str, object]:
        return {"seq": self.seq, "acked": self.acked, "head": self.head.hex()}


class RecordMalformed(RecordRefused):
    code = "record-malformed"


class RecordUnknownKind(RecordRefused):
    code = "record-unknown-kind"


class RecordIncomplete(RecordRefused):
    code = "record-incomplete"


class RecordInvalid(RecordRefused):
    code = "record-invalid"


class RecordTooLarge(RecordRefused):
    code = "record-too-large"


class RecordAbsurdTime(RecordRefused):
    code = "record-absurd-time"
