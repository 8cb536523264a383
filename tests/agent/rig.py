"""An agent on a folder of its own, beside the reference server."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from runtime_agent import identity
from runtime_agent.http import Busy, Http, Refused, Unreachable
from runtime_agent.outbox import Outbox, log, open_outbox
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.outbox.position import position
from runtime_agent.server import Server
from runtime_agent.sync import Sync
from runtime_agent.tokens import Tokens
from runtime_agent.wire.records import CheckpointSeen
from tests.agent.reference import NOW_MS, RUNTIME, Network, ReferenceServer

START = datetime.fromtimestamp(NOW_MS / 1000, UTC)


class Clock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by) -> None:
        self.now += timedelta(**by)


def joined(folder: Path, server: str = "http://reference") -> identity.Identity:
    """An identity on disk, as joining leaves it."""
    made = msgspec.structs.replace(
        identity.fresh(server), runtime_id=RUNTIME, runtime="rt_reference", tenant="acme", join_state="state-0"
    )
    identity.save(folder, made)
    return made


def record(number: int, at: datetime = START, node: str | None = None) -> CheckpointSeen:
    return CheckpointSeen(
        record_id=new_record_id(at),
        occurred_at=at,
        agent="invoice_review",
        session="session_20261109_134125_40151023",
        checkpoint=f"cp_node_start_{number}",
        created_at=at,
        created_raw=at.isoformat(),
        type="node_start",
        node=node,
    )


class Rig:
    """Outbox, sync and network, that can be crashed, copied and rolled back."""

    def __init__(self, folder: Path, server: ReferenceServer | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "outbox.db"
        self.clock = Clock()
        self.server = server or ReferenceServer()
        self.network = Network(self.server)
        self.runner = asyncio.Runner()
        self.written = 0
        joined(folder)
        self.boot()

    outbox: Outbox
    sync: Sync

    def boot(self) -> None:
        """Start the program: what is not on disk is not known."""
        self.outbox = open_outbox(self.path, RUNTIME)
        self.http = Http("http://reference", self.clock, self.network)
        self.tokens = Tokens(self.http, self.folder, identity.load(self.folder), self.clock)
        self.remote = Server(self.http, self.tokens)
        self.sync = Sync(self.outbox, self.remote, boot_id=uuid4(), clock=self.clock)

    def crash(self) -> None:
        self.outbox.close()
        self.boot()

    def write(self, count: int = 1) -> list[UUID]:
        """Commit records locally, and return their ids."""
        records = [record(self.written + number) for number in range(count)]
        log.append(self.outbox, records, self.clock())
        self.written += count
        return [made.record_id for made in records]

    def step(self, fate: str = "deliver") -> bool | None:
        """One call; None when it did not come through."""
        self.network.fate = fate
        try:
            return self.runner.run(self.sync.step())
        except (Unreachable, Busy, Refused):
            return None
        finally:
            self.network.fate = "deliver"

    def settle(self, rounds: int = 60) -> bool:
        """Go on without faults; whether it came to rest."""
        return any(self.step() is False for _ in range(rounds))

    def held(self) -> set[UUID]:
        """Ids of records in the log, leftovers included."""
        return {UUID(bytes=row[0]) for row in self.outbox.rows("SELECT record_id FROM log")}

    def acknowledged(self) -> set[UUID]:
        where = position(self.outbox)
        rows = self.outbox.rows("SELECT record_id FROM log WHERE epoch = ? AND seq <= ?", [where.epoch, where.acked])
        return {UUID(bytes=row[0]) for row in rows}

    def copy_disk(self) -> Path:
        """What a snapshot of the volume would hold now: nothing is closed for it."""
        copy = self.folder / f"copy-{uuid4()}"
        copy.mkdir()
        for path in self.folder.glob("outbox.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        return copy

    def roll_back(self, copy: Path) -> None:
        self.outbox.close()
        for path in self.folder.glob("outbox.db*"):
            path.unlink()
        for path in copy.iterdir():
            shutil.copy(path, self.folder)
        self.boot()

    def close(self) -> None:
        self.outbox.close()
        self.runner.run(self.http.__aexit__())
        self.runner.close()
