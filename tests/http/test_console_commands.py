"""Commands and approvals in the console: buttons, receipts, the inbox and its decisions, used without JavaScript."""

import pytest

from controlplane.domain import commands
from controlplane.domain.commands.receipts import Which
from controlplane.kit.ids import text_id
from tests.rows import Rows

ASKS = {"status": "waiting", "waiting_for": "human_approval", "current_node": "risk_review", "attention": ["costly"]}


@pytest.fixture
def asked(db, tenant):
    async def asked():
        async with db.tenant(tenant.tenant_id) as tx:
            return {each.kind: each for each in await commands.listing(tx, Which())}

    return asked


async def test_a_runtimes_page_asks_shows_the_receipt_and_takes_it_back(owner, runtime, asked):
    page = f"/runtimes/{text_id('rt', runtime.id)}"
    assert "has not been asked to do anything yet" in await owner.text(page)

    assert (await owner.post(f"{page}/commands", kind="drain")).status_code == 303
    command = text_id("cmd", (await asked())["drain"].id)
    assert f"/commands/{command}/withdraw" in await owner.text(page)
    assert (await owner.post(f"/commands/{command}/withdraw")).status_code == 303

    assert (await asked())["drain"].state == "superseded"
    assert "withdrawn" in await owner.text(page)


async def test_every_command_is_in_one_list_and_has_a_receipt_that_says_who_asked(browsing, owner, runtime, asked):
    here = f"/runtimes/{text_id('rt', runtime.id)}"
    assert "What will be here" in await owner.text("/commands")
    await owner.post(f"{here}/commands", kind="drain")
    [drain] = (await asked()).values()
    command = f"/commands/{text_id('cmd', drain.id)}"

    shown = await owner.text(f"/commands?runtime={text_id('rt', runtime.id)}&state=queued")
    receipt = await owner.text(command)

    assert command in shown
    assert text_id("rt", runtime.id) in shown
    assert "It waits for its runtime to call" in receipt
    assert drain.created_by not in receipt
    assert "No command matches" in await owner.text("/commands?state=failed")
    await owner.post(f"{command}/withdraw")
    assert "taken back before its runtime had it" in await owner.text(command)
    assert (await owner.post(f"{command}/withdraw")).status_code == 303
    assert (await (await browsing("viewer")).post(f"{command}/withdraw")).status_code == 403
    assert (await owner.get("/commands/cmd_x")).status_code == 404


async def test_a_sessions_page_offers_what_fits_and_nothing_else(owner, db, runtime, asked):
    runs = f"/sessions/{text_id('ses', await Rows(db).session(runtime, status='running'))}"
    done = f"/sessions/{text_id('ses', await Rows(db).session(runtime))}"
    shown = await owner.text(runs)
    assert 'value="pause"' in shown
    assert 'value="resume"' not in shown
    assert "/commands" not in await owner.text(done)

    await owner.post(f"{runs}/commands", kind="cancel", comment="by mistake")

    assert (await asked())["cancel"].comment == "by mistake"
    assert (await owner.post(f"{done}/commands", kind="pause")).status_code == 409


async def test_the_inbox_is_empty_then_holds_what_waits_and_says_what_was_decided(owner, db, runtime, asked):
    assert "Nothing waits for a human" in await owner.text("/approvals")
    approval = text_id("apr", await Rows(db).session(runtime, **ASKS))
    inbox = await owner.text("/approvals")
    assert "1 session waits for a human" in inbox
    assert all(each in inbox for each in (f"/approvals/{approval}", "risk_review", "costly"))

    one = await owner.text(f"/approvals/{approval}")
    assert 'value="approve"' in one
    decided = await owner.post(f"/approvals/{approval}", to="reject", comment="too dear")

    assert decided.status_code == 303
    assert (await asked())["reject"].comment == "too dear"
    after = await owner.text(f"/approvals/{approval}")
    assert "rejected by" in after
    assert "too dear" in after
    assert 'value="approve"' not in after
    assert "Everything is decided" in await owner.text("/approvals")
    again = await owner.post(f"/approvals/{approval}", to="reject")
    assert again.status_code == 409
    assert "This was decided already" in again.text


async def test_who_may_only_look_is_offered_nothing_and_turned_away(browsing, db, runtime, asked):
    viewer = await browsing("viewer")
    approval = text_id("apr", await Rows(db).session(runtime, **ASKS))
    runtime_page = f"/runtimes/{text_id('rt', runtime.id)}"

    assert 'value="approve"' not in await viewer.text(f"/approvals/{approval}")
    assert 'value="rescan"' not in await viewer.text(runtime_page)
    assert (await viewer.post(f"/approvals/{approval}", to="approve")).status_code == 403
    assert (await viewer.post(f"{runtime_page}/commands", kind="rescan")).status_code == 403
    assert await asked() == {}


async def test_a_comment_cannot_become_part_of_the_page(owner, db, runtime):
    approval = text_id("apr", await Rows(db).session(runtime, **ASKS))
    await owner.post(f"/approvals/{approval}", to="approve", comment="<script>x</script>")

    page = await owner.text(f"/approvals/{approval}")
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
