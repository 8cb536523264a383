"""The console for everyone: axe-core finds nothing, the keyboard is enough, nothing needs script, 390 px are enough."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conformance.chromium import NARROW, WIDE, ZONE
from conformance.furnished import EMPTY
from conformance.screenshots import LISTS, NOTHING

AXE = Path(__file__).parents[1] / ".venv/node/node_modules/axe-core/axe.min.js"
PAGES = (
    "/",
    "/sessions",
    "/runtimes",
    "/t/demo/",
    "/t/demo/sessions?status=failed&period=all",
    "/t/demo/runtimes",
    "/t/demo/approvals",
)
"""Pages that change by themselves."""

QUIET = (
    "/account",
    "/nothing",
    "/tenants",
    "/tenants/demo",
    *(f"/t/demo/{place}" for place in LISTS),
    *(f"/t/{EMPTY}/{place}" for place in NOTHING),
)


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.fail("axe-core is missing: make conformance installs it with npm, which has to be there")
    return AXE.read_text()


@pytest.fixture(scope="module")
def addresses(operator) -> list[str]:
    """Every kind of page, those of one session of each state and of one runtime included."""
    page = operator.page()
    found = [f"{operator.base}{address}" for address in PAGES]
    origin = operator.base.removesuffix("/console")
    states = ("failed", "waiting", "succeeded", "running", "lost")
    for address in [f"/t/demo/sessions?status={state}&period=all" for state in states] + [
        "/t/demo/runtimes?q=larkfield"
    ]:
        page.goto(f"{operator.base}{address}")
        rows = page.locator("a.row")
        if rows.count():
            found.append(f"{origin}{rows.first.get_attribute('href')}")
    page.close()
    return found


@pytest.fixture(scope="module")
def everywhere(operator, addresses, furnished) -> list[str]:
    """Those that stay as they are as well, one of each kind of thing included."""
    inside = [f"/t/demo/{place}" for place in furnished.values()]
    keys = [each.replace("/runtimes/", "/runtime-keys/") for each in addresses if "/runtimes/rt_" in each]
    page = operator.page()
    page.goto(f"{operator.base}/t/demo/approvals")
    asked = operator.base.removesuffix("/console") + str(page.locator("a.row").first.get_attribute("href"))
    session = next(each for each in addresses if "/sessions/ses_" in each)
    page.goto(f"{session}/checkpoints")
    checkpoint = operator.base.removesuffix("/console") + str(page.locator("main tbody a").first.get_attribute("href"))
    page.close()
    its = [f"{session}/checkpoints", checkpoint, f"{session}/logs"]
    return [*addresses, *keys, asked, *its, *(f"{operator.base}{address}" for address in (*QUIET, *inside))]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_object_to(operator, browser, everywhere, axe, size, scheme):
    context = browser.new_context(
        storage_state=operator.context.storage_state(), viewport=size, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    objections = []

    for address in everywhere:
        page.goto(address)
        found = page.evaluate(f"{axe}; axe.run(document, {{resultTypes: ['violations']}})")["violations"]
        objections += [f"{address}: {each['id']}: {each['nodes'][0]['html']}" for each in found]
    context.close()
    stranger = browser.new_context(viewport=size, color_scheme=scheme)
    page = stranger.new_page()
    for address in ("/sign-in", "/sso", "/forgot", "/welcome", "/welcome#x", "/invitation", "/invitation#x"):
        page.goto(f"{operator.base}{address}")
        found = page.evaluate(f"{axe}; axe.run(document, {{resultTypes: ['violations']}})")["violations"]
        objections += [f"{address}: {each['id']}: {each['nodes'][0]['html']}" for each in found]
    stranger.close()

    assert objections == []


def test_nothing_is_wider_than_a_phone(operator, browser, everywhere):
    context = browser.new_context(storage_state=operator.context.storage_state(), viewport=NARROW)
    page = context.new_page()
    too_wide = {}

    for address in everywhere:
        page.goto(address)
        if over := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
            too_wide[address] = over
    context.close()

    assert too_wide == {}


def test_the_browser_has_nothing_to_complain_about_and_asks_nobody_else(operator, everywhere, addresses):
    page, complaints, hosts = operator.page(), [], set()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))

    for address in everywhere:
        if not address.endswith("/nothing"):  # no page: the browser says so
            page.goto(address)
        if address in addresses:
            expect(page.locator("#live")).to_have_text("Live")
    blocked = page.evaluate(
        "(() => { try { document.body.innerHTML = '<i>x</i>'; return false } catch { return true } })()"
    )
    page.close()

    assert blocked, "Trusted Types"
    assert complaints == [] or all("TrustedHTML" in each for each in complaints)
    assert hosts == {operator.base.split("/")[2]}


def test_why_a_session_failed_is_found_with_the_keyboard_alone(operator):
    page = operator.page()
    page.goto(f"{operator.base}/t/demo/")

    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/sessions")
    _tab_to(page, "failed")
    page.keyboard.press("Enter")
    page.wait_for_url("**status=failed**")
    _tab_to(page, None, css="a.row")
    page.keyboard.press("Enter")

    page.wait_for_url("**/sessions/ses_*")
    expect(page.locator(".error")).to_be_visible()
    page.close()


def test_a_runtime_is_found_with_the_keyboard_alone(operator):
    page = operator.page()
    page.goto(f"{operator.base}/")

    page.keyboard.press("/")
    page.keyboard.type("larkfield-vpc-1")
    page.keyboard.press("Enter")

    page.wait_for_url("**/runtimes/rt_*")
    expect(page.get_by_role("heading", level=1)).to_have_text("larkfield-vpc-1")
    page.close()


def test_the_first_tab_skips_to_the_content_and_menus_close_with_escape(operator):
    page = operator.page()
    page.goto(f"{operator.base}/sessions")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    page.locator(".account summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.close()


def test_without_script_the_pages_are_right_and_times_are_utc(operator, browser, addresses):
    context = browser.new_context(
        storage_state=operator.context.storage_state(), java_script_enabled=False, timezone_id=ZONE
    )
    page = context.new_page()

    page.goto(f"{operator.base}/t/demo/sessions?status=failed&period=all")
    page.locator("a.row").first.click()

    expect(page.locator(".error")).to_be_visible()
    expect(page.locator(".path .visit").first).to_be_visible()
    expect(page.locator("#zone")).to_have_text("Times are UTC.")
    told = page.locator("time[tabindex]").first
    assert told.inner_text().replace(" ", "T") == told.get_attribute("datetime")[:19]
    context.close()


def test_with_script_times_are_local_and_utc_is_one_key_away(operator):
    page = operator.page()
    page.goto(f"{operator.base}/t/demo/sessions?status=failed&period=all")
    page.locator("a.row").first.click()
    told = page.locator("time[tabindex]").first

    expect(page.locator("#zone")).to_have_text(f"Times are local ({ZONE}).")
    local = told.inner_text()
    assert told.get_attribute("data-utc").startswith(told.get_attribute("datetime")[:10])
    page.get_by_role("button", name="Show UTC").press("Enter")

    assert told.inner_text() != local
    page.get_by_role("button", name="Show local times").press("Enter")
    page.close()


def test_what_happens_in_the_runtime_appears_by_itself(operator):
    page = operator.page()
    page.goto(f"{operator.base}/t/demo/sessions")
    newest = page.locator("a.row").first
    before = newest.get_attribute("href")

    expect(newest).not_to_have_attribute("href", before, timeout=120_000)
    assert re.search(r"/sessions/ses_", newest.get_attribute("href"))
    page.close()


def test_what_is_open_or_typed_stays_so_when_its_part_of_the_page_changes(operator):
    page, other = operator.page(), operator.page()
    page.goto(f"{operator.base}/t/demo/runtimes?q=larkfield")
    page.locator("a.row").first.click()
    page.wait_for_url("**/runtimes/rt_*")
    expect(page.locator("#live")).to_have_text("Live")
    page.get_by_text("Revoke it", exact=True).click()
    other.goto(page.url)

    other.get_by_role("button", name="Compare both sides").click()

    expect(page.get_by_role("button", name="Compare both sides")).to_have_count(0, timeout=30_000)
    expect(page.get_by_role("button", name="Revoke it now")).to_be_visible()
    expect(page.get_by_role("button", name="Have it leave")).to_be_hidden()
    for each in (page, other):
        each.close()


def _tab_to(page: Page, text: str | None, css: str = "a") -> None:
    """Press Tab until what has the focus says *text* and matches *css*."""
    for _ in range(80):
        page.keyboard.press("Tab")
        said, fits = page.evaluate(
            "css => [document.activeElement.innerText.trim(), document.activeElement.matches(css)]", css
        )
        if fits and (text is None or said == text):
            return
    raise AssertionError(f"cannot be reached with Tab: {text or css}")
