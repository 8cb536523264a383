"""Checkpoint content by the real programs: out of a home, into the store, and back as the file that was on the disk."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.e2e.conftest import Site


@pytest.fixture
def made(up, place):
    """A site whose project and agent both let content leave as *policy* says."""

    def make(policy, **more):
        site = Site(up, place, Shape(sessions=6, zone=UTC), datetime.now(UTC), RUNTIME_AGENT_CONTENT=policy)
        site.decide(policy, **more)
        return site

    return make


def files(site):
    """What is on the disk, by session and the checkpoint's own id."""
    return {(path.parts[-3], path.stem): path.read_bytes() for path in site.source.rglob("checkpoints/cp_*.json")}


def shown(site):
    rows = {row["id"]: row for row in site.listing("sessions")}
    return [(rows[row["session"]]["source"]["id"], row) for row in site.listing("checkpoints")]


def test_every_checkpoint_that_is_still_on_the_disk_can_be_restored_and_is_what_it_was(made, up, tmp_path):
    site = made("plain")
    site.once()
    disk = files(site)

    whole = [(session, row) for session, row in shown(site) if row["restorable"]]

    assert {(session, row["source"]["id"]) for session, row in whole} == disk.keys()
    for session, row in whole[:5]:
        assert site.content(row["id"]) == disk[session, row["source"]["id"]]
    out = tmp_path / "checkpoint.json"
    programs.told(up.home, "checkpoint", "export", "--tenant", site.slug, "--out", str(out), whole[0][1]["id"])
    assert out.read_bytes() == site.content(whole[0][1]["id"])
    compare = ("checkpoint", "compare", "--tenant", site.slug, "--json", whole[0][1]["id"], whole[1][1]["id"])
    found = json.loads(programs.told(up.home, *compare))
    assert "/checkpoint_id" in {each["path"] for each in found["differences"]}
    assert site.once() == 0


def test_a_sealed_checkpoint_is_opened_by_the_tenants_key_alone(made, up, tmp_path, place):
    key, other = tmp_path / "tenant.key", tmp_path / "other.key"
    public = programs.agent(tmp_path, "content", "keygen", key).stdout.strip()
    programs.agent(tmp_path, "content", "keygen", other)
    site = Site(
        up,
        place,
        Shape(sessions=6, zone=UTC),
        datetime.now(UTC),
        RUNTIME_AGENT_CONTENT="sealed",
        RUNTIME_AGENT_CONTENT_KEY=public,
    )
    site.decide("sealed", public_key=public)
    site.once()
    disk = files(site)
    session, row = next((session, row) for session, row in shown(site) if row["restorable"])
    export = tmp_path / "export.json"
    export.write_bytes(site.content(row["id"]))

    opened = programs.agent(tmp_path, "content", "open", export, "--key", key)
    refused = programs.agent(tmp_path, "content", "open", export, "--key", other)

    assert opened.stdout.encode() == disk[session, row["source"]["id"]]
    assert (refused.returncode, "content-not-opened" in refused.stderr or "sealed to" in refused.stderr) == (1, True)
    held = b"".join(path.read_bytes() for path in (up.home / "blobs").rglob("*") if path.is_file())
    assert row["source"]["id"].encode() not in held
