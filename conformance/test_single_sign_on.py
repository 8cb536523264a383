"""Sign-in through a provider that is not ours, in a real browser, and its word that somebody is out."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import Struct
from playwright.sync_api import Browser, expect

from conformance.chromium import WIDE
from controlplane.cli.reach import with_database
from controlplane.cli.shell import shell
from controlplane.domain import domains
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import Change, NewConnection
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from tests import programs
from tests.programs import eventually, free_port

MODULES = Path(__file__).parents[1] / ".venv/node/node_modules"
SERVER = Path(__file__).parent / "provider/server.mjs"

SLUG, DOMAIN, ANN = "signon", "acme.example", "ann@acme.example"
CLIENT_ID, CLIENT_SECRET = "engine-cloud", "a secret: with/odd+chars%".ljust(40, "y")


class Site(Struct, frozen=True):
    url: str
    issuer: str


@pytest.fixture(scope="module")
def site(place: Path) -> Iterator[Site]:
    """The real programs, a tenant, and beside them the provider by which it is entered."""
    node = shutil.which("node")
    if node is None or not (MODULES / "oidc-provider").exists():
        pytest.fail("node or npm's oidc-provider is missing: make conformance installs the latter with npm")
    home, port = place / "signon", free_port()
    os.environ["CONTROLPLANE_OUTBOUND_LOOPBACK"] = programs.ENVIRONMENT["CONTROLPLANE_OUTBOUND_LOOPBACK"] = "true"
    try:
        with programs.up(home) as up:
            programs.said(home, "tenant", "create", SLUG, "--name", "Sign On")
            issuer = f"http://127.0.0.1:{port}"
            logout = _connected(home, issuer)
            environment = {
                **os.environ,
                "MODULES": str(MODULES),
                "PORT": str(port),
                "CLIENT_ID": CLIENT_ID,
                "CLIENT_SECRET": CLIENT_SECRET,
                "REDIRECT_URI": f"{up.url}/v1/auth/sso/callback",
                "LOGOUT_URI": f"{up.url}{logout}",
                "AFTER_LOGOUT": f"{up.url}/console/sign-in",
                "ACCOUNT": ANN,
            }
            provider = subprocess.Popen([node, str(SERVER)], env=environment, stdout=subprocess.PIPE, text=True)
            try:
                assert provider.stdout is not None
                assert provider.stdout.readline().startswith("ready")
                yield Site(up.url, issuer)
            finally:
                provider.terminate()
                provider.communicate(timeout=10)
    finally:
        del os.environ["CONTROLPLANE_OUTBOUND_LOOPBACK"], programs.ENVIRONMENT["CONTROLPLANE_OUTBOUND_LOOPBACK"]


def _connected(home: Path, issuer: str) -> str:
    """Set the tenant's connection up, and return the path that the provider calls when somebody logs out."""

    async def work(db, keyring):
        async with db.tenant(await db.tenant_of("slug", SLUG.encode())) as tx:
            domain = await domains.create(tx, shell(), DOMAIN)
            await domains.settle(tx, shell(), domain.id, [domain.value])
            new = NewConnection(
                name="Acme",
                issuer=issuer,
                client_id=CLIENT_ID,
                client_secret=Secret(CLIENT_SECRET),
                default_role="viewer",
            )
            made = await connections.create(tx, shell(), new)
            await connections.tested(tx, shell(), made.id)
            await connections.change(tx, shell(), made.id, Change(status="active", enforced=True))
            return f"/v1/auth/sso/{text_id('sso', made.id)}/backchannel-logout"

    with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
        return aside.submit(with_database, home, work).result()


@pytest.fixture
def somebody(browser: Browser, site: Site):
    made = []

    def come_in():
        context = browser.new_context(viewport=WIDE)
        made.append(context)
        page = context.new_page()
        page.goto(f"{site.url}/console/t/{SLUG}/sessions")
        page.get_by_role("link", name="Sign in with single sign-on").click()
        page.get_by_label("E-mail at work").fill(ANN)
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{site.url}/console/t/{SLUG}/**")
        return context, page

    yield come_in
    for context in made:
        context.close()


def test_somebody_new_signs_in_by_their_own_provider_and_lands_where_they_wanted(somebody, site):
    context, page = somebody()

    assert page.url == f"{site.url}/console/t/{SLUG}/sessions"
    me = context.request.get(f"{site.url}/v1/me").json()
    assert (me["email"], me["scope"], [each["slug"] for each in me["tenants"]]) == (ANN, "tenants", [SLUG])


def test_signing_out_here_ends_the_session_there_and_in_every_other_browser(somebody, site):
    context, page = somebody()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Log out there").click()
    page.wait_for_url(f"{site.url}/console/sign-in**")

    assert context.request.get(f"{site.url}/v1/me").status == 401


def test_a_logout_at_the_provider_ends_the_session_here(somebody, site):
    context, page = somebody()
    assert context.request.get(f"{site.url}/v1/me").status == 200

    page.goto(f"{site.issuer}/session/end")
    page.get_by_role("button", name="Log out there").click()

    assert eventually(lambda: context.request.get(f"{site.url}/v1/me").status == 401)


def test_without_javascript_it_works_as_well(browser, site):
    context = browser.new_context(viewport=WIDE, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/console/sso")
    page.get_by_label("E-mail at work").fill(ANN)
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{site.url}/console/t/{SLUG}/**")

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    context.close()
