"""What checkpoints hold: whether it can be restored, export, comparison, and what goes when its time is over."""

import base64
import json
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from controlplane.chores.content import collect_content
from controlplane.domain.content.chunks import name_of
from controlplane.domain.content.differences import differences
from controlplane.domain.content.pruning import GRACE, REST
from controlplane.kit.blobs import Absent
from runtime_agent.content import sealing
from runtime_agent.content.cutting import cut
from runtime_agent.content.sealing import Plain, Sealed
from runtime_agent.identity import decoded, encoded
from runtime_agent.wire.content import Chunk, Content, SealedContent
from tests.http.agents import code
from tests.http.test_blobs import allow, commit, put, states
from tests.logs import checkpoint, session

PRIVATE = X25519PrivateKey.generate()
BEFORE = {"checkpoint_id": "cp_1", "shared_memory": {"a/b": 1, "list": [1, 2, 3], "gone": "x"}}
AFTER = {"checkpoint_id": "cp_2", "shared_memory": {"a/b": 2, "list": [1, 9, 2, 3], "new": True}}


@pytest.fixture
async def owner(make, tenant):
    return await make.api_key(tenant)


class Lane:
    """An agent that tells of checkpoints with content, and brings it."""

    def __init__(self, client, agent, tenant, owner):
        self.client, self.agent, self.tenant, self.owner = client, agent, tenant, owner
        self.log, self.bodies = None, {}

    async def tell(self, n, document, form=None, **more):
        form = form or Plain()
        bodies = [form.chunk(piece) for piece in cut(document)]
        self.bodies[n] = bodies
        sealed = {}
        if isinstance(form, Sealed):
            sealed = {"suite": 1, "kid": form.envelope.kid, "sealed_key": encoded(form.envelope.sealed)}
        content = Content(
            policy="sealed" if sealed else "plain",
            size=len(document),
            digest=form.digest(document),
            chunks=[Chunk(sha256=sha256(body).hexdigest(), size=len(body)) for body in bodies],
            **sealed,
        )
        self.log = self.log or await self.agent.log()
        whose = {"session": more["session"]} if "session" in more else {}
        self.log.write(session(n, **more), checkpoint(n, content=content, **whose))
        last = len(self.log.lines)
        assert (await self.agent.send(self.log, last - 1, last)).status_code == 200

    async def bring(self, n):
        asked = {"chunks": [{"sha256": sha256(body).hexdigest(), "size": len(body)} for body in self.bodies[n]]}
        found = states(await self.agent.post("/v1/runtime/sync/blobs/check", asked))
        for body, state in zip(self.bodies[n], found, strict=True):
            if state == "put":
                assert (await put(self.agent, body)).status_code == 200
        assert (await commit(self.agent, *self.bodies[n])).status_code == 200
        return found

    async def get(self, path, headers=None):
        return await self.client.get(f"/v1/tenants/{self.tenant.slug}/{path}", headers=headers or self.owner)

    async def shown(self):
        rows = (await self.get("checkpoints")).json()["data"]
        return sorted(rows, key=lambda row: row["created_at"])


@pytest.fixture
async def lane(client, agent, tenant, owner):
    await allow(client, tenant, owner, "plain")
    return Lane(client, agent, tenant, owner)


def document(value):
    return json.dumps(value, indent=2).encode()


async def test_a_checkpoint_is_restorable_once_all_of_it_is_here(lane):
    await lane.tell(1, document(BEFORE))

    [row] = await lane.shown()
    assert (row["restorable"], row["content"]["state"]) == (False, "arriving")
    assert code(await lane.get(f"checkpoints/{row['id']}/content")) == (409, "content-incomplete")

    await lane.bring(1)

    row = (await lane.get(f"checkpoints/{row['id']}")).json()
    assert (row["restorable"], row["content"]["state"]) == (True, "complete")
    assert row["content"]["size_bytes"] == len(document(BEFORE))


async def test_what_is_exported_is_the_file_byte_for_byte_and_is_in_the_audit_log(lane):
    await lane.tell(1, document(BEFORE))
    await lane.bring(1)
    [row] = await lane.shown()

    reply = await lane.get(f"checkpoints/{row['id']}/content")

    assert (reply.status_code, reply.content) == (200, document(BEFORE))
    [event] = (await lane.get("audit-events?action=checkpoint.exported")).json()["data"]
    assert event["target"]["id"] == row["id"]


async def test_what_never_came_is_said_to_be_absent(lane):
    lane.log = await lane.agent.log()
    lane.log.write(session(1), checkpoint(1))
    await lane.agent.send(lane.log, 1, 2)
    [row] = await lane.shown()

    assert (row["restorable"], row["content"]) == (False, None)
    assert code(await lane.get(f"checkpoints/{row['id']}/content")) == (409, "content-absent")


async def test_two_checkpoints_are_compared_place_by_place(lane):
    for n, value in ((1, BEFORE), (2, AFTER)):
        await lane.tell(n, document(value))
        await lane.bring(n)
    before, after = [row["id"] for row in await lane.shown()]

    found = (await lane.get(f"checkpoints/{before}/compare/{after}")).json()

    told = {each["path"]: (each["change"], each["before"], each["after"]) for each in found["differences"]}
    assert told == {
        "/checkpoint_id": ("changed", '"cp_1"', '"cp_2"'),
        "/shared_memory/a~1b": ("changed", "1", "2"),
        "/shared_memory/list/1": ("added", None, "9"),
        "/shared_memory/gone": ("removed", '"x"', None),
        "/shared_memory/new": ("added", None, "true"),
    }
    assert (await lane.get(f"checkpoints/{before}/compare/{before}")).json()["identical"] is True


async def test_the_console_offers_the_file_and_shows_what_changed(lane, make, client):
    for n, value in ((1, BEFORE), (2, AFTER)):
        await lane.tell(n, document(value), session=checkpoint(1).session)
        await lane.bring(n)
    person = await make.person(lane.tenant)
    before, after = await lane.shown()
    base = f"/console/t/{lane.tenant.slug}"

    page = await client.get(f"{base}/sessions/{before['session']}", headers=person.headers)
    compare = f"{base}/checkpoints/{before['id']}/compare/{after['id']}"
    assert f"/checkpoints/{after['id']}/content" in page.text
    assert compare in page.text

    shown = await client.get(compare, headers=person.headers)
    assert (shown.status_code, "/shared_memory/gone" in shown.text) == (200, True)


def test_a_value_that_is_long_is_cut_and_one_that_is_deep_is_compared_whole():
    [long] = differences({"a": "x" * 5000}, {"a": "y"})
    assert len(long.before) < 2100

    deep = other = 1
    for _ in range(200):
        deep, other = [deep], [other if other != 1 else 2]
    assert [each.change for each in differences(deep, other)] == ["changed"]


async def test_what_is_sealed_is_opened_by_the_tenants_key_and_by_nothing_that_is_here(lane, client, owner):
    public = encoded(PRIVATE.public_key().public_bytes_raw())
    await allow(client, lane.tenant, owner, "sealed", public_key=public)
    form = Sealed(sealing.fresh(decoded(public)))
    await lane.tell(1, document(BEFORE), form)
    await lane.bring(1)
    [row] = await lane.shown()

    reply = await lane.get(f"checkpoints/{row['id']}/content")

    assert b"shared_memory" not in reply.content
    package = msgspec.json.decode(reply.content, type=SealedContent)
    mine = Sealed(sealing.envelope_of(PRIVATE.private_bytes_raw(), decoded(package.sealed_key)))
    opened = b"".join(mine.opened(base64.b64decode(chunk), 1 << 20) for chunk in package.chunks)
    assert (opened, mine.digest(opened)) == (document(BEFORE), package.digest)
    assert code(await lane.get(f"checkpoints/{row['id']}/compare/{row['id']}")) == (409, "content-sealed")


async def test_who_may_see_checkpoints_may_not_yet_see_what_they_hold(lane, make):
    await lane.tell(1, document(BEFORE))
    await lane.bring(1)
    [row] = await lane.shown()
    viewer = await make.api_key(lane.tenant, "viewer")

    assert (await lane.get(f"checkpoints/{row['id']}", viewer)).status_code == 200
    assert (await lane.get(f"checkpoints/{row['id']}/content", viewer)).status_code == 403


async def test_what_the_store_has_lost_or_changed_is_said_to_be_damaged(lane, app):
    await lane.tell(1, document(BEFORE))
    await lane.bring(1)
    [row] = await lane.shown()
    name = name_of(lane.tenant.tenant_id, sha256(lane.bodies[1][0]).digest())

    await app.state.blobs.put(name, b"something else")
    assert code(await lane.get(f"checkpoints/{row['id']}/content")) == (409, "content-damaged")
    await app.state.blobs.delete([name])
    assert code(await lane.get(f"checkpoints/{row['id']}/content")) == (409, "content-damaged")


# ------------------------------------------------------------------------------------------------------- what goes


async def test_old_content_goes_but_not_what_a_waiting_session_may_resume_from(lane, db, app, clock, make):
    await lane.tell(1, document(BEFORE))
    await lane.tell(2, document(AFTER), status="waiting", waiting_for="human_approval")
    for n in (1, 2):
        await lane.bring(n)

    clock.forward(timedelta(days=91))
    assert await collect_content(db, app.state.blobs) == 1

    owner = await make.api_key(lane.tenant)
    rows = {row["restorable"]: row for row in (await lane.get("checkpoints", owner)).json()["data"]}
    assert rows[False]["content"]["state"] == "pruned"
    assert code(await lane.get(f"checkpoints/{rows[False]['id']}/content", owner)) == (410, "content-pruned")
    assert (await lane.get(f"checkpoints/{rows[True]['id']}/content", owner)).content == document(AFTER)


async def test_a_chunk_goes_when_nothing_was_made_of_it_for_a_day_and_can_come_again(lane, db, app, clock):
    await lane.tell(1, document(BEFORE))
    await lane.bring(1)
    name = name_of(lane.tenant.tenant_id, sha256(lane.bodies[1][0]).digest())

    clock.forward(timedelta(days=91))
    await collect_content(db, app.state.blobs)
    assert await app.state.blobs.get(name, 1 << 20)

    clock.forward(GRACE + timedelta(seconds=1))
    await collect_content(db, app.state.blobs)
    assert await app.state.blobs.get(name, 1 << 20), "condemned, and uploads may still be under way"

    clock.forward(REST + timedelta(seconds=1))
    assert await collect_content(db, app.state.blobs) == len(lane.bodies[1])
    with pytest.raises(Absent):
        await app.state.blobs.get(name, 1 << 20)
