"""Checkpoints in the console: found, compared, gone back to and taken back, used without JavaScript."""

import pytest

from controlplane.domain import commands
from controlplane.domain.commands.receipts import Which
from controlplane.kit.ids import text_id
from tests.domain.test_rollbacks import done
from tests.rows import Rows


@pytest.fixture
def asked(db, tenant):
    async def asked():
        async with db.tenant(tenant.tenant_id) as tx:
            return await commands.listing(tx, Which())

    return asked


async def test_a_checkpoint_is_found_by_its_node_and_gone_back_to(browsing, db, runtime, asked):
    session_id = await Rows(db).session(runtime)
    early = await Rows(db).checkpoint(runtime, session_id, node="intake", source_id="cp_early")
    await Rows(db).checkpoint(runtime, session_id, node="report", source_id="cp_late")
    owner, session = await browsing(), f"/sessions/{text_id('ses', session_id)}"

    listed = await owner.text(f"{session}/checkpoints?node=intake")
    assert "cp_early" in listed
    assert "cp_late" not in listed
    assert "No checkpoint matches" in await owner.text(f"{session}/checkpoints?node=nowhere")
    one = f"/checkpoints/{text_id('cp', early)}"
    assert one in listed
    assert "stays with the runtime" in await owner.text(one)
    sent = await owner.post(f"{session}/commands", kind="rollback", checkpoint=text_id("cp", early), comment="again")

    assert sent.status_code == 303
    [command] = await asked()
    assert (command.kind, command.checkpoint, command.comment) == ("rollback", "cp_early", "again")
    assert "cp_early" in await owner.text(session)
    assert "again" in await owner.text(one)


async def test_the_undo_is_offered_while_there_is_one_and_the_session_does_not_run(browsing, db, runtime, asked):
    session_id = await Rows(db).session(runtime)
    checkpoint_id = await Rows(db).checkpoint(runtime, session_id)
    owner, session = await browsing(), f"/sessions/{text_id('ses', session_id)}"
    assert "Undo the rollback" not in await owner.text(session)
    rollback = await done(db, runtime, "rollback", session_id, checkpoint_id=checkpoint_id)

    assert "Undo the rollback" in await owner.text(session)
    assert (await owner.post(f"{session}/commands", kind="undo")).status_code == 303

    assert [each.undoes for each in await asked() if each.kind == "undo"] == [rollback.id]
    await Rows(db).change(runtime, session_id, status="running")
    assert "Undo the rollback" not in await owner.text(session)
    assert "Pause it" in await owner.text(f"/checkpoints/{text_id('cp', checkpoint_id)}")


async def test_of_a_session_that_looks_lost_one_has_to_say_that_it_has_ended(browsing, db, runtime, asked):
    session_id = await Rows(db).session(runtime, status="lost")
    checkpoint = text_id("cp", await Rows(db).checkpoint(runtime, session_id))
    owner, session = await browsing(), f"/sessions/{text_id('ses', session_id)}"
    said = {"kind": "rollback", "checkpoint": checkpoint}

    assert (await owner.text(f"/checkpoints/{checkpoint}")).count('name="though_lost" value="yes" required') == 2
    assert "may still live" in (await owner.post(f"{session}/commands", **said)).text
    assert (await owner.post(f"{session}/commands", **said, though_lost="yes")).status_code == 303

    assert [each.though_lost for each in await asked()] == [True]


async def test_who_may_only_look_is_offered_nothing(browsing, db, runtime, asked):
    session_id = await Rows(db).session(runtime)
    checkpoint_id = await Rows(db).checkpoint(runtime, session_id)
    viewer, session = await browsing("viewer"), f"/sessions/{text_id('ses', session_id)}"

    assert "Roll back" not in await viewer.text(f"/checkpoints/{text_id('cp', checkpoint_id)}")
    refused = await viewer.post(f"{session}/commands", kind="rollback", checkpoint=text_id("cp", checkpoint_id))
    assert (refused.status_code, await asked()) == (403, [])


async def test_what_is_no_checkpoint_is_no_page(browsing, db, runtime):
    session = f"/sessions/{text_id('ses', await Rows(db).session(runtime))}"
    owner = await browsing()

    for place in ("/checkpoints/cp_x", f"{session}/checkpoints?before=cp_x", f"{session}/compare?from=cp_x&to=cp_y"):
        assert (await owner.get(place)).status_code == 404
