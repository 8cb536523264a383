"""Through the console, in a real browser, a second tenant's person sees nothing of the first tenant."""

import re

from playwright.sync_api import Page

from conformance.conftest import Somebody

FIRST = "demo"
PAGES = ("", "sessions?period=all", "runtimes")


def everything(somebody: Somebody, base: str) -> tuple[str, set[str]]:
    """All text and all ids that can be reached from the first pages of a tenant, the first rows' own pages included."""
    page, text, ids = somebody.page(), "", set()
    for address in PAGES:
        page.goto(f"{base}/{address}")
        text += page.content()
    for place in ("sessions?period=all", "runtimes"):
        page.goto(f"{base}/{place}")
        for href in [row.get_attribute("href") for row in page.locator("a.row").all()[:3]]:
            page.goto(f"{base.partition('/console')[0]}{href}")
            text += page.content()
    page.close()
    ids |= set(re.findall(r"\b(?:ses|rt|run|cp|agt)_[0-9a-z]{26}\b", text))
    return text, ids


def test_nothing_of_the_first_tenant_stands_on_any_page_of_the_second(operator, member):
    first, firsts_ids = everything(operator, f"{operator.base}/t/{FIRST}")

    seen, ids = everything(member, member.base)

    assert len(firsts_ids) > 50, "there is something to be seen"
    assert len(ids) > 20, "and the second tenant sees its own"
    assert not ids & firsts_ids
    assert "Larkfield" in first
    assert "Larkfield" not in seen
    assert not re.search(rf"/t/{FIRST}\b", seen)


def test_every_address_of_the_first_tenant_is_as_absent_as_one_that_does_not_exist(up, operator, member):
    page = operator.page()
    addresses = {f"{up.url}/console/t/{FIRST}/{address}" for address in PAGES}
    for place in ("sessions", "runtimes"):
        page.goto(f"{operator.base}/t/{FIRST}/{place}")
        addresses.add(f"{up.url}{page.locator('a.row').first.get_attribute('href')}")
    page.close()
    absent = member.page()
    nothing = absent.goto(f"{up.url}/console/t/nobody/sessions").body()

    for address in sorted(addresses):
        answer = absent.goto(address)

        assert (answer.status, answer.body()) == (404, nothing), address
    absent.close()


def test_the_first_tenants_ids_lead_nowhere_in_the_seconds_search(up, operator, member):
    page = operator.page()
    page.goto(f"{operator.base}/t/{FIRST}/sessions")
    identity = page.locator("a.row").first.get_attribute("href").rpartition("/")[2]
    page.close()

    page = member.page()
    page.goto(f"{member.base}/")
    _search(page, identity)

    assert page.get_by_role("heading", level=1).inner_text() == "There is no such thing here"
    page.close()


def test_the_first_tenants_stream_is_closed_to_the_second(up, member):
    answer = member.context.request.get(
        f"{up.url}/console/t/{FIRST}/live", headers={"Accept": "text/event-stream"}, timeout=5_000
    )

    assert answer.status == 404


def test_the_operators_pages_are_not_the_seconds(up, member):
    for address in ("/console/sessions", "/console/runtimes"):
        assert member.context.request.get(f"{up.url}{address}").status == 403
    page = member.page()
    page.goto(f"{up.url}/console/")
    assert page.url == f"{member.base}/"
    page.close()


def _search(page: Page, text: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_load_state()
