"""Pictures of every page of the console, wide and narrow, light and dark, of a fresh demo.

python -m conformance.screenshots docs/screenshots
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

from conformance.chromium import MISSING, NARROW, WIDE, ZONE, launch, program, signed_in
from conformance.furnished import EMPTY, furnish
from tests import programs

COLORS = 256
"""Of a picture's palette, chosen so that small dots keep theirs; a picture is a third as large and looks the same."""

TALLEST = {"wide": 1400, "narrow": NARROW["height"] * 2}
"""Pixels of a picture that are kept."""

LISTS = (
    "audit",
    "groups",
    "join-tokens",
    "keys",
    "people",
    "projects",
    "roles",
    "scim",
    "service-accounts",
    "settings",
    "single-sign-on/",
    "webhooks",
)
"""Pages of a tenant that have one address."""

NOTHING = ("", "approvals", "commands", "configs", "runtimes", "sessions")
"""Pages of a tenant in which nothing has happened yet."""

STRANGERS = {"forgot": "forgot", "sign-in": "sign-in", "sso": "sso", "welcome": "welcome#once"}

PATIENCE_MS = 120_000


def main(folder: Path) -> None:
    """Take all of them into *folder*."""
    if program() is None:
        raise SystemExit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="home-") as place, sync_playwright() as playwright:
        Path(place).chmod(0o711)
        with programs.up(Path(place) / "home", "--demo") as up:
            browser = launch(playwright)
            base = f"{up.url}/console"
            within = furnish(up, "demo")
            operator = signed_in(browser, up.report["sign_in"])
            pages = {**_pages(operator, base), **_access(base, within)}
            state = operator.storage_state()
            for scheme in ("light", "dark"):
                _take(browser, state, scheme, pages, folder)
                _take(browser, None, scheme, {name: f"{base}/{place}" for name, place in STRANGERS.items()}, folder)
            browser.close()


def _pages(operator: BrowserContext, base: str) -> dict[str, str]:
    """The addresses worth a picture, once the demo's agent has sent everything."""
    page = operator.new_page()
    runtime = _first(page, f"{base}/t/demo/runtimes?q=larkfield")
    page.goto(runtime)
    page.get_by_role("heading", name="It has told us everything").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Both sides hold the same").wait_for(timeout=PATIENCE_MS)
    sessions = f"{base}/t/demo/sessions"
    failed = _first(page, f"{sessions}?status=failed&period=all")
    page.goto(f"{failed}/checkpoints")
    checkpoint = page.locator("main tbody a").first.get_attribute("href")
    found = {
        "overview": f"{base}/",
        "tenant": f"{base}/t/demo/",
        "sessions": sessions,
        "sessions-failed": f"{sessions}?status=failed&period=all",
        "session-failed": failed,
        "checkpoints": f"{failed}/checkpoints",
        "checkpoint": f"{base.removesuffix('/console')}{checkpoint}",
        "logs": f"{failed}/logs",
        "session-waiting": _first(page, f"{sessions}?status=waiting&period=all"),
        "session": _first(page, f"{sessions}?agent=invoice_review&status=succeeded&period=all"),
        "runtimes": f"{base}/runtimes",
        "runtime": runtime,
        "runtime-keys": runtime.replace("/runtimes/", "/runtime-keys/"),
        "approvals": f"{base}/t/demo/approvals",
        "approval": _first(page, f"{base}/t/demo/approvals"),
        "impersonation-owner": f"{base}/t/demo/impersonations",
        "impersonation-operator": f"{base}/tenants/demo/impersonations",
    }
    page.close()
    return found


def _access(base: str, within: dict[str, str]) -> dict[str, str]:
    """The addresses of the pages about tenants, people, keys and what a tenant is connected to."""
    inside = {**{place.rstrip("/"): place for place in LISTS}, **within}
    return {
        "tenants": f"{base}/tenants",
        "tenant-operated": f"{base}/tenants/demo",
        "vault": f"{base}/vault",
        "account": f"{base}/account",
        **{f"empty-{place or 'tenant'}": f"{base}/t/{EMPTY}/{place}" for place in NOTHING},
        **{name: f"{base}/t/demo/{place}" for name, place in inside.items()},
    }


def _first(page: Page, address: str) -> str:
    page.goto(address)
    return page.url.partition("/console")[0] + str(page.locator("a.row").first.get_attribute("href"))


def _take(browser: Browser, state: StorageState | None, scheme: str, pages: dict[str, str], folder: Path) -> None:
    for width, size, scale in (("wide", WIDE, 1), ("narrow", NARROW, 2)):
        context = browser.new_context(
            storage_state=state,
            viewport=size,
            device_scale_factor=scale,
            is_mobile=scale > 1,
            has_touch=scale > 1,
            color_scheme=scheme,
            timezone_id=ZONE,
            reduced_motion="reduce",
        )
        page = context.new_page()
        for name, address in pages.items():
            page.goto(address)
            page.wait_for_load_state("load")
            if page.locator("[data-tail]").count():
                page.locator("#log-lines p").first.wait_for(timeout=PATIENCE_MS)
            path = folder / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=scale == 1)
            _shrink(path, TALLEST[width])
        context.close()


def _shrink(path: Path, tallest: int) -> None:
    with Image.open(path) as taken:
        width, height = taken.size
        kept = taken.convert("RGB").crop((0, 0, width, min(height, tallest)))
    kept.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
