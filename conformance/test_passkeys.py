"""Passkeys in a real browser, with Chromium's own virtual authenticator."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import programs


@pytest.fixture(scope="module")
def localhost(place: Path) -> Iterator[programs.Up]:
    """A control plane whose public address has a name: browsers make passkeys for names only."""
    home, port = place / "named", programs.free_port()
    home.mkdir(mode=0o711)
    (home / "controlplane.toml").write_text(f'public_url = "http://localhost:{port}"\n')
    with programs.up(home, port=port) as running:
        yield running


@pytest.fixture
def page(browser: Browser, localhost: programs.Up) -> Iterator[Page]:
    """Signed in, with an authenticator that verifies its owner without asking."""
    context = browser.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(localhost.report["sign_in"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/")
    yield page
    context.close()


def test_a_passkey_is_made_signs_in_and_is_proof_enough_to_remove_it(page: Page, localhost: programs.Up) -> None:
    account = f"{localhost.report['sign_in'].partition('/console')[0]}/console/account"
    page.goto(account)
    page.get_by_label("Name of the new passkey").fill("Workbench")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator(".lines b", has_text="Workbench")).to_be_visible()

    page.get_by_label("Account:").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/console/")
    page.goto(account)
    page.get_by_role("button", name="Remove the passkey Workbench").click()

    expect(page.get_by_role("status").first).to_contain_text("Your passkeys are as you wanted them.")
    expect(page.locator(".lines b", has_text="Workbench")).to_have_count(0)
