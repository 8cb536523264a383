"""Pictures of every page of the console, wide and narrow, light and dark, of a fresh demo.

python -m conformance.screenshots docs/screenshots
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

from conformance.chromium import MISSING, NARROW, WIDE, ZONE, launch, program, signed_in
from tests import programs

COLORS = 256
"""Of a picture's palette, chosen so that small dots keep theirs; a picture is a third as large and looks the same."""

TALLEST = 1400
"""Pixels of a wide picture that are kept."""

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
            link = up.report["sign_in"]
            operator = signed_in(browser, link)
            pages = {**_pages(operator, f"{up.url}/console")}
            state = operator.storage_state()
            for scheme in ("light", "dark"):
                _take(browser, state, scheme, pages, folder)
                strangers = {"sign-in": f"{up.url}/console/sign-in", "welcome": f"{up.url}/console/welcome#once"}
                _take(browser, None, scheme, strangers, folder)
            browser.close()


def _pages(operator: BrowserContext, base: str) -> dict[str, str]:
    """The addresses worth a picture, once the demo's agent has sent everything."""
    page = operator.new_page()
    runtime = _first(page, f"{base}/t/demo/runtimes")
    page.goto(runtime)
    page.get_by_role("heading", name="It has told us everything").wait_for(timeout=PATIENCE_MS)
    sessions = f"{base}/t/demo/sessions"
    found = {
        "overview": f"{base}/",
        "tenant": f"{base}/t/demo/",
        "sessions": sessions,
        "sessions-failed": f"{sessions}?status=failed&period=all",
        "session-failed": _first(page, f"{sessions}?status=failed&period=all"),
        "session-waiting": _first(page, f"{sessions}?status=waiting&period=all"),
        "session": _first(page, f"{sessions}?agent=invoice_review&status=succeeded&period=all"),
        "runtimes": f"{base}/runtimes",
        "runtime": runtime,
        "impersonation-owner": f"{base}/t/demo/impersonations",
        "impersonation-operator": f"{base}/tenants/demo/impersonations",
    }
    page.close()
    return found


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
            path = folder / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=scale == 1)
            _shrink(path)
        context.close()


def _shrink(path: Path) -> None:
    with Image.open(path) as taken:
        width, height = taken.size
        kept = taken.convert("RGB").crop((0, 0, width, min(height, max(TALLEST, WIDE["height"]))))
    kept.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
