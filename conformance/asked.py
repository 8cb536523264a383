"""What the runtimes of a furnished tenant were asked, what came of it, and one of which something is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from conformance.furnisher import LONG, Furnisher
from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.demo.home import Shape, write_home
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import new_id, parse_id
from tests import programs
from tests.programs import eventually

LOSSES: Final = (
    ("lost", 1, 1841, 1913, "outbox-lost", "The agent came back with an older disk, and no longer had them."),
    ("gap", 2, 77, 77, "disk-full", "There was no room for it."),
    ("quarantined", 2, 204, 206, "record-invalid", "sessions.current_node: expected a text of at most 200 characters"),
)
"""What is known to be missing of a runtime: how, epoch, first and last number, why."""


def commanded(here: Furnisher) -> dict[str, str]:
    """Two rollbacks that the demo's runtime has carried out, and an undo; and a decision that it may not carry out."""
    assert eventually(lambda: _travelled(here)), "no content has come"
    session, checkpoints = _travelled(here)[0]
    ids = []
    for checkpoint in checkpoints[:2]:
        body = {"kind": "rollback", "session": session, "checkpoint": checkpoint, "comment": "The clause was misread."}
        ids.append(here.make("commands", **body)["id"])
        assert eventually(lambda: here.see(f"commands/{ids[-1]}")["ended_at"]), "nothing is carried out"
    here.make("commands", kind="undo", session=session)
    [asks] = here.see("approvals?limit=1")["data"]
    here.make(f"approvals/{asks['id']}/approve", comment=f"{LONG}. " * 3)
    older, newer = checkpoints[:2]
    return {
        "commands": "commands",
        "command": f"commands/{ids[0]}",
        "session-rolled-back": f"sessions/{session}",
        "compare": f"checkpoints/{older}/compare/{newer}",
        "approval-decided": f"approvals/{asks['id']}",
    }


def _travelled(here: Furnisher) -> list[tuple[str, list[str]]]:
    """Sessions that have failed and at least two checkpoints whose content is here, oldest first."""
    found = []
    for session in here.see("sessions?status=failed&limit=20")["data"]:
        rows = here.see(f"checkpoints?session={session['id']}&limit=100")["data"]
        there = [row["id"] for row in sorted(rows, key=lambda row: row["created_at"]) if row["restorable"]]
        if len(there) > 1:
            found.append((session["id"], there))
    return found


def behind(up: programs.Up, here: Furnisher) -> str:
    """The id of another runtime, with a long name, that has sent a little and was not heard of again."""
    folder = up.home / "demo" / "behind"
    write_home(folder / "engine", Shape(sessions=3, zone=UTC), now=datetime.now(UTC))
    token = here.make("join-tokens", project="default")["token"]
    who = ("--token-stdin", "--name", LONG, "--source", f"engine:{folder / 'engine'}")
    for words, stdin in ((("join", up.url, *who), token), (("once",), "")):
        done = programs.agent(folder / "agent", *words, stdin=stdin, RUNTIME_AGENT_SOURCE_TIMEZONE="UTC")
        assert done.returncode == 0, done.stderr
    [found] = [row["id"] for row in here.see("runtimes")["data"] if row["name"] == LONG]
    here.make("commands", kind="drain", runtime=found)
    return str(found)


class Lost:
    """Has a runtime miss :data:`LOSSES`."""

    def __init__(self, slug: str, runtime: str) -> None:
        self._slug, self._runtime = slug, parse_id("rt", runtime)

    async def __call__(self, db: Database, keyring: Keyring) -> None:
        tenant_id = await db.tenant_of("slug", self._slug.encode())
        assert tenant_id is not None
        async with db.tenant(tenant_id) as tx:
            tx.audited = True
            for each in LOSSES:
                await tx.run(tx.insert(t.sync_losses).values(**_loss(tx.now, self._runtime, *each)))


def _loss(  # noqa: PLR0913 a row has columns
    now: datetime, runtime: UUID | None, kind: str, epoch: int, first: int, last: int, reason: str, detail: str
) -> dict[str, Any]:
    told = {"kind": kind, "epoch": epoch, "first_seq": first, "last_seq": last, "reason": reason, "detail": detail}
    when = {"noticed_at": now, "first_at": now - timedelta(hours=7), "last_at": now - timedelta(hours=6)}
    return {"id": new_id(now), "runtime_id": runtime, "records": last - first + 1, **told, **when}
