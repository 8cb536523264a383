"""Time travel in a real browser, by the real programs: a home goes back to an older checkpoint, and forth again."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from conformance.chromium import signed_in
from conformance.conftest import Somebody
from controlplane.demo.home import Shape
from tests.agent.programs import daemon
from tests.e2e.conftest import Site
from tests.e2e.test_rollback import ALLOWED, everything, travelled

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def site(up, place):
    """A tenant that lets the content of checkpoints leave, and whose runtime has sent everything."""

    def made() -> Site:
        made = Site(up, place, Shape(sessions=8, zone=UTC), datetime.now(UTC), RUNTIME_AGENT_CONTENT="plain")
        made.decide("plain")
        made.once()
        return made

    with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
        return aside.submit(made).result()


@pytest.fixture(scope="module")
def owner(browser, link, site):
    context = signed_in(browser, link("olga@travel.example", site.slug, "owner"))
    return Somebody(context, f"{site._up.url}/console/t/{site.slug}")


def test_a_session_is_rolled_back_to_an_older_checkpoint_from_its_page_and_the_undo_works(owner, site):
    folder, session, rows = travelled(site)
    oldest, before = rows[0], everything(folder)
    held = json.loads(site.content(oldest["id"]))
    page = owner.page()
    with daemon(site.agent, RUNTIME_AGENT_COMMANDS=ALLOWED, RUNTIME_AGENT_CONTENT="plain"):
        page.goto(f"{owner.base}/sessions/{session}")
        page.get_by_role("link", name="Search, compare, roll back").click()
        page.get_by_role("row").filter(has_text=oldest["source"]["id"]).get_by_role("link").click()
        page.get_by_text("Roll back to this").click()
        page.get_by_label("Why").fill("the clause was misread")
        page.get_by_role("button", name="Roll the session back").click()

        _succeeds(page, "rollback")
        state = json.loads((folder / "state.json").read_text())
        assert (state["memory"], state["progress"]["path"]) == (held["shared_memory"], held["execution_path"])
        assert (folder / "checkpoints" / f"{oldest['source']['id']}.json").read_bytes() == site.content(oldest["id"])
        assert len(list((folder / "checkpoints").glob("cp_*"))) == 1
        expect(page.get_by_text("Waits to be resumed")).to_be_visible(timeout=PATIENCE_MS)

        page.get_by_text("Undo the rollback").click()
        page.get_by_role("button", name="Bring it back as it was").click()
        _succeeds(page, "undo")

    assert everything(folder) == before
    page.close()


def test_two_checkpoints_are_chosen_and_compared(owner, site):
    _, session, rows = travelled(site)
    page = owner.page()
    page.goto(f"{owner.base}/sessions/{session}/checkpoints")

    page.get_by_label(f"From {rows[0]['source']['id']}").check()
    page.get_by_role("button", name="Compare the two").click()

    page.wait_for_url(f"**/checkpoints/{rows[0]['id']}/compare/*")
    expect(page.get_by_role("cell", name="/checkpoint_id")).to_be_visible()
    page.close()


def _succeeds(page: Page, kind: str) -> None:
    row = page.locator("#commands tbody tr").filter(has_text=kind).first
    expect(row).to_contain_text("succeeded", timeout=PATIENCE_MS)
