"""Time travel by the real programs: a home goes back to a checkpoint that only the control plane still has, and forth again."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.agent.programs import daemon
from tests.e2e.conftest import Site
from tests.e2e.test_commands import Desk

ALLOWED = "rescan,drain,rollback,undo"


@pytest.fixture
def site(up, place):
    made = Site(up, place, Shape(sessions=8, zone=UTC), datetime.now(UTC), RUNTIME_AGENT_CONTENT="plain")
    made.decide("plain")
    made.once()
    return made


def everything(folder):
    """Every name below *folder*, and what stands there."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def travelled(site):
    """The folder of a session that has ended, its checkpoints there are contents of, oldest first."""
    agent, _, name = site.ended().partition("/")
    [session] = [row for row in site.listing("sessions") if row["source"]["id"] == name]
    rows = [row for row in site.listing("checkpoints") if row["session"] == session["id"] and row["restorable"]]
    rows.sort(key=lambda row: row["created_at"])
    return site.source / "agents" / agent / "sessions" / name, session["id"], rows


def test_a_home_goes_back_to_a_checkpoint_that_is_not_on_its_disk_any_more_and_the_undo_is_exact(up, site):
    desk, (folder, session, rows) = Desk(up, site), travelled(site)
    oldest = rows[0]
    held = json.loads(site.content(oldest["id"]))
    file = folder / "checkpoints" / f"{oldest['source']['id']}.json"
    file.unlink()
    before = everything(folder)

    with daemon(site.agent, RUNTIME_AGENT_COMMANDS=ALLOWED, RUNTIME_AGENT_CONTENT="plain"):
        asked = desk.post("/commands", kind="rollback", session=session, checkpoint=oldest["id"])["id"]
        assert desk.stands_at(asked, "succeeded", "failed")
        assert (desk.get(f"/commands/{asked}")["state"], desk.get(f"/commands/{asked}")["code"]) == ("succeeded", "")

        state = json.loads((folder / "state.json").read_text())
        assert (state["memory"], state["progress"]["path"]) == (held["shared_memory"], held["execution_path"])
        assert file.read_bytes() == site.content(oldest["id"])
        assert [path.name for path in (folder / "checkpoints").glob("cp_*")] == [file.name]
        shown = desk.get(f"/sessions/{session}")
        assert (shown["status"], shown["waiting_for"], shown["path"]) == ("waiting", "resume", held["execution_path"])

        undone = programs.told(up.home, "command", "send", "undo", session, "--tenant", site.slug)
        assert desk.stands_at(undone, "succeeded", "failed")

    assert everything(folder) == before
    assert desk.get(f"/commands/{undone}")["undoes"] == asked
    assert desk.get(f"/sessions/{session}")["status"] in {"succeeded", "failed"}
