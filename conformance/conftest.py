"""A real browser in front of the real programs: ``controlplane up --demo``, and beside it a second tenant."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from conformance.chromium import MISSING, launch, program, signed_in
from conformance.furnished import furnish
from controlplane.cli.reach import with_database
from controlplane.cli.shell import shell
from controlplane.demo.home import Shape
from controlplane.domain import people, sign_ins
from tests import programs
from tests.e2e.conftest import Site


class Somebody(Struct, frozen=True):
    """A browser that somebody is signed in to, and what their addresses start with."""

    context: BrowserContext
    base: str

    def page(self) -> Page:
        return self.context.new_page()


def pytest_configure() -> None:
    if program() is None:
        pytest.exit(MISSING, returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Those without a browser come first: once there is one, its loop runs in this thread, and no other can."""
    items.sort(key=lambda item: "browser" in item.fixturenames)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def up(place: Path) -> Iterator[programs.Up]:
    with programs.up(place / "home", "--demo") as running:
        yield running


@pytest.fixture(scope="session")
def second(up: programs.Up, place: Path) -> Site:
    """Another tenant, with a runtime of its own that has sent everything."""
    with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
        site = aside.submit(Site, up, place, Shape(sessions=40, zone=UTC), datetime.now(UTC)).result()
    site.once()
    return site


@pytest.fixture(scope="session")
def furnished(up: programs.Up) -> dict[str, str]:
    """The demo's tenant with people, keys and connections in it; where one thing of each kind stands."""
    return furnish(up, "demo")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def link(up: programs.Up) -> Callable[..., str]:
    """A one-time link for a member of a tenant, who is made if need be."""

    def made(email: str, slug: str, role: str = "viewer") -> str:
        async def work(db, keyring):
            async with db.platform() as platform:
                account = await people.account_for(platform, shell(), email)
            async with db.tenant(await db.tenant_of("slug", slug.encode())) as tx:
                if await people.member(tx, account.id) is None:
                    await people.add_user(tx, shell(), account, role)
            async with db.platform() as platform:
                return await sign_ins.make_link(platform, shell(), keyring.pepper, account.id)

        with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
            return f"{up.url}/console/welcome#{aside.submit(with_database, up.home, work).result()}"

    return made


@pytest.fixture(scope="session")
def operator(up: programs.Up, browser: Browser) -> Somebody:
    return Somebody(signed_in(browser, up.report["sign_in"]), f"{up.url}/console")


@pytest.fixture(scope="session")
def member(up: programs.Up, browser: Browser, second: Site, link) -> Somebody:
    """Somebody of the second tenant, and of no other."""
    context = signed_in(browser, link("mira@second.example", second.slug))
    return Somebody(context, f"{up.url}/console/t/{second.slug}")
