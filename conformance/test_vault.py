"""The vault from one end to the other: a browser, a provider that is not ours, a real agent; and nothing left behind."""

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from msgspec import Struct
from playwright.sync_api import Browser, Page, expect

from conformance.authorization import authorization
from conformance.chromium import signed_in
from conformance.needles import found
from conformance.stores import Stores, stores
from conformance.tapping import Tap, tapped
from controlplane.cli.reach import with_database
from controlplane.cli.shell import shell
from controlplane.domain import people, sign_ins
from tests import programs
from tests.programs import eventually, free_port

SLUG, ADA, ACCOUNT = "vaulted", "ada@vaulted.example", "ada-at-the-provider"
CLIENT_SECRET = "a secret: with/odd+chars%".ljust(40, "z")
TYPED = "typed-in: once/and+kept%sealed".ljust(48, "w")
MAIL, LEDGER = "The mail of Ada", "Ledger"


class Place(Struct, frozen=True, kw_only=True):
    """The real programs, a tenant, its owner's browser, and what stands around them."""

    up: programs.Up
    stores: Stores
    tap: Tap
    page: Page
    agent: Path
    trusted: Path
    """The certificate of the tap."""

    @property
    def base(self) -> str:
        return f"{self.up.url}/console/t/{SLUG}"

    def ask(self, *words: str, **more: str) -> Any:
        """The agent's program, through the tap."""
        return programs.agent(self.agent, *words, SSL_CERT_FILE=str(self.trusted), **more)

    def lease(self, name: str) -> dict[str, Any]:
        done = self.ask("credentials", "get", name, "--agent", "mailer", "--json")
        assert done.returncode == 0, done.stderr
        got: dict[str, Any] = json.loads(done.stdout)
        return got


class Told(Struct, frozen=True, kw_only=True):
    """What the journey has shown."""

    account: str
    """Whose it is, as the console said before it was confirmed."""
    used: list[int]
    """What the provider answered to each token that was leased."""
    live: int
    """Leases on the connection's page."""
    after: int
    """What the provider answered to the last token, once the connection was gone."""
    refused: str
    """What the agent was told from then on."""
    secrets: dict[str, str]
    kept: bytes
    """The database and Redis as they were before anything was deleted."""


@pytest.fixture(scope="module")
def site(browser: Browser, place: Path) -> Iterator[Place]:
    home = place / "vaulted"
    with stores() as held:
        given = {
            "CONTROLPLANE_OUTBOUND_LOOPBACK": "true",
            "CONTROLPLANE_DATABASE_ADMIN_URL": held.superuser,
            "CONTROLPLANE_REDIS_URL": held.redis,
            "CONTROLPLANE_KEY_REST_S": "1",
            "CONTROLPLANE_REFRESH_PACE": '{"again_s": 0.001}',
        }
        os.environ.update(given)
        programs.ENVIRONMENT.update(given)
        try:
            with programs.up(home) as up, tapped(up.port, place) as (tap, trusted):
                programs.said(home, "tenant", "create", SLUG, "--name", "Vaulted")
                context = signed_in(browser, f"{up.url}/console/welcome#{_owner(home)}")
                yield Place(
                    up=up, stores=held, tap=tap, page=context.new_page(), agent=place / "vaulted-agent", trusted=trusted
                )
                context.close()
        finally:
            for name in given:
                del os.environ[name], programs.ENVIRONMENT[name]


@pytest.fixture(scope="module")
def told(site: Place, place: Path) -> Iterator[Told]:
    port = free_port()
    redirect_uri = _app(site, f"http://127.0.0.1:{port}")
    more = {"ACCOUNT": ACCOUNT, "PUSHED": "only", "LIFE_S": "3600"}
    with authorization(port, CLIENT_SECRET, redirect_uri, **more) as issuer:
        account = _connected(site)
        _typed(site)
        _allowed(site)
        join_token = _joined(site, place)
        tokens = [_leased(site)]
        for _ in range(2):
            _refreshed(site)
            tokens.append(_leased(site))
        used = [_use(issuer, token) for token in tokens[-1:]]
        assert site.lease(LEDGER)["credential"]["fields"] == {"value": TYPED}
        programs.said(site.up.home, "vault", "rotate-kek", "--stage")
        programs.said(site.up.home, "vault", "rotate-kek")
        programs.said(site.up.home, "vault", "rotate-dek", "--tenant", SLUG)
        used.append(_use(issuer, _leased(site)))
        live, kept = _ended_one(site), site.stores.everything()
        _deleted(site)
        assert eventually(lambda: _use(issuer, tokens[-1]) != httpx.codes.OK)
        seen: dict[str, str] = httpx.get(f"{issuer}/seen").json()
        again = site.ask("credentials", "get", MAIL, "--agent", "mailer", "--json")
        secrets = {
            "what was typed in": TYPED,
            "the client's secret": CLIENT_SECRET,
            "the join token": join_token,
            "the browser's session": _session(site.page),
            **{f"{what} {number}": each for number, (each, what) in enumerate(seen.items())},
        }
        yield Told(
            account=account,
            used=used,
            live=live,
            after=_use(issuer, tokens[-1]),
            refused=f"{again.returncode} {again.stderr}",
            secrets=secrets,
            kept=kept,
        )


def test_connected_in_a_browser_leased_by_an_agent_used_there_and_refused_once_it_is_revoked(told):
    assert ACCOUNT in told.account
    assert told.used == [200, 200]
    assert told.live == 4
    assert told.after == 401
    assert told.refused.startswith(f"1 refused: there is no credential '{MAIL}'")


def test_no_secret_is_in_the_database_or_in_redis_however_it_is_written(told, site):
    marks = {"the connection's name": MAIL, "the account": ACCOUNT}
    everything = {"rows and keys": told.kept, "files": site.stores.files(), "commands": site.stores.commands()}

    assert found(marks, everything["rows and keys"]) == list(marks)
    assert found(marks, everything["files"]) == list(marks)
    kinds = Counter(name.partition(" ")[0] for name in told.secrets)
    assert kinds >= Counter(code=1, code_verifier=1, access_token=3, refresh_token=3, the=3, what=1)
    assert {where: names for where, held in everything.items() if (names := found(told.secrets, held))} == {}


def test_who_ends_tls_in_front_of_the_server_reads_no_token(told, site):
    of_the_join = {"the join token"}
    read = bytes(site.tap.read)

    assert b"POST /v1/runtime/leases" in read
    assert found({"the name of what was leased": MAIL}, read) != []
    assert set(found(told.secrets, read)) == of_the_join


def test_what_is_looked_for_would_be_found():
    secret = 'one: "with/odd+chars% and \\ é"'.ljust(30, "x")
    encoded = secret.encode()
    written = [encoded, encoded.hex().encode(), quote(secret).encode(), json.dumps([secret]).encode()]
    for before in range(4):
        for after in range(4):
            padded = b"\xff" * before + encoded + b"\xfe" * after
            written += [base64.b64encode(padded), base64.urlsafe_b64encode(padded).rstrip(b"=")]

    assert [each for each in written if not found({"it": secret}, b".." + each + b"..")] == []


def _owner(home: Path) -> str:
    """A one-time link's token of somebody who owns the tenant."""

    async def work(db, keyring):
        async with db.platform() as platform:
            account = await people.account_for(platform, shell(), ADA)
        async with db.tenant(await db.tenant_of("slug", SLUG.encode())) as tx:
            await people.add_user(tx, shell(), account, "owner")
        async with db.platform() as platform:
            return await sign_ins.make_link(platform, shell(), keyring.pepper, account.id)

    with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
        return aside.submit(with_database, home, work).result()


def _session(page: Page) -> str:
    """What the browser proves itself with."""
    return max((str(each["value"]) for each in page.context.cookies() if "session" in str(each["name"])), key=len)


def _app(site: Place, issuer: str) -> str:
    """Set an OAuth app up; the address that the provider is told of."""
    page = site.page
    page.goto(f"{site.base}/oauth-apps?provider=generic-oidc")
    page.get_by_label("What to call it").fill("Ours")
    page.get_by_label("Client id").fill("basic")
    page.get_by_label("Client secret").fill(CLIENT_SECRET)
    page.get_by_label("Issuer address").fill(issuer)
    page.get_by_label("Scopes").fill("openid offline_access read")
    page.get_by_role("button", name="Set it up").click()
    return page.locator(".copy code").first.inner_text()


def _connected(site: Place) -> str:
    """To the provider and back; what the page said of whose account it is."""
    page = site.page
    page.goto(f"{site.base}/connections/new?provider=generic-oidc")
    page.get_by_label("What to call it").fill(MAIL)
    page.get_by_role("button", name="On to").click()
    page.get_by_role("heading", name="Is this the right account?").wait_for()
    said = page.locator(".once").inner_text()
    page.get_by_role("button", name="Yes, use it").click()
    expect(page.locator("main > .lead")).to_contain_text("It works")
    return said


def _typed(site: Place) -> None:
    page = site.page
    page.goto(f"{site.base}/connections/new?provider=secret")
    page.locator("input[name=field_value]").fill(TYPED)
    page.get_by_label("What to call it").fill(LEDGER)
    page.get_by_role("button", name="Keep it").click()
    page.wait_for_url("**/connections/con_*")


def _allowed(site: Place) -> None:
    page = site.page
    page.goto(f"{site.base}/policies/new")
    page.get_by_label("What to call it").fill("The mailer")
    page.get_by_text("Only some runtimes or agents").click()
    page.get_by_label("Agents").fill("mail*")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/policies")


def _joined(site: Place, place: Path) -> str:
    """Let the agent in, by a token that is returned."""
    source = place / "vaulted-engine"
    (source / "agents").mkdir(parents=True)
    token = programs.said(site.up.home, "join-token", "create", "--tenant", SLUG)
    done = site.ask("join", site.tap.url, "--token-stdin", "--source", f"engine:{source}", stdin=token)
    assert done.returncode == 0, done.stderr
    return token


def _leased(site: Place) -> str:
    return str(site.lease(MAIL)["credential"]["access_token"])


def _use(issuer: str, token: str) -> int:
    """What the provider answers to whoever asks whose token it is."""
    answer = httpx.get(f"{issuer}/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code != httpx.codes.OK or answer.json()["sub"] == ACCOUNT
    return answer.status_code


def _refreshed(site: Place) -> None:
    key = programs.said(site.up.home, "api-key", "create", "--tenant", SLUG, "--name", "r", "--role", "owner")
    with httpx.Client(base_url=f"{site.up.url}/v1/tenants/{SLUG}/", headers={"Authorization": f"Bearer {key}"}) as api:
        [connection] = [row for row in api.get("connections").json()["data"] if row["name"] == MAIL]
        answer = api.post(f"connections/{connection['id']}/refresh", timeout=programs.PATIENCE_S)
    assert answer.is_success, answer.text


def _ended_one(site: Place) -> int:
    """End one lease on the connection's page; how many there were."""
    page = site.page
    page.goto(f"{site.base}/connections")
    page.get_by_role("link", name=MAIL).click()
    live = page.locator(".leases").get_by_text("live", exact=True)
    before = live.count()
    page.get_by_role("button", name="End the lease").first.click()
    expect(live).to_have_count(before - 1)
    return before


def _deleted(site: Place) -> None:
    page = site.page
    page.get_by_role("button", name="Delete and revoke").click()
    expect(page.locator("main")).not_to_contain_text("It works")
