"""The browser: Debian's Chromium, whatever it is called here, driven by playwright."""

import shutil

from playwright.sync_api import Browser, BrowserContext, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ZONE = "Europe/Berlin"

MISSING = f"A Chromium is needed on PATH ({', '.join(NAMES)}): on Debian, apt-get install chromium"


def program() -> str | None:
    """Where it is; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=program(), args=list(FLAGS))


def signed_in(browser: Browser, link: str) -> BrowserContext:
    """A browser of somebody who has followed a one-time link."""
    context = browser.new_context(viewport=WIDE, timezone_id=ZONE, reduced_motion="reduce")
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/**/")
    page.close()
    return context
