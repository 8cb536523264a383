"""We as a client of an authorization server that is not ours, and as strict as there is one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from conformance.authorization import authorization
from controlplane.kit.guard import Guard
from controlplane.kit.oauth import devices, discovery, resources
from controlplane.kit.oauth.authorizing import Asked, authorize_url, new_verifier, push
from controlplane.kit.oauth.callbacks import CallbackRefused, code_of
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import client_credentials, exchange, refresh
from controlplane.kit.oauth.looking_up import whose
from controlplane.kit.oauth.revoking import revoke
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.secret import Secret
from tests.programs import free_port

BACK: Final = "http://127.0.0.1:8700/oauth/callback/app_1"
SECRET: Final = "a secret: with/odd+chars%".ljust(40, "y")
CLIENTS = {
    "basic": Client(id="basic", secret=Secret(SECRET), redirect_uri=BACK, auth="basic"),
    "post": Client(id="post", secret=Secret(SECRET), redirect_uri=BACK, auth="post"),
    "none": Client(id="none", redirect_uri=BACK, auth="none"),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with authorization(free_port(), SECRET, BACK) as issuer:
        yield issuer


@pytest.fixture
def caller() -> Caller:
    return Caller(Guard(loopback=True), lambda: datetime.now(UTC))


@pytest.fixture
async def server(caller: Caller, issuer: str) -> Server:
    return discovery.server_of(await discovery.metadata(caller, issuer, pkce=True))


async def sent_back(url: str) -> list[tuple[str, str]]:
    """What a browser that goes to *url* comes back with."""
    async with httpx.AsyncClient() as browser:
        while not url.startswith(BACK):
            answer = await browser.get(url)
            url = str(answer.url.join(answer.headers["location"]))
    return parse_qsl(urlsplit(url).query)


async def connected(caller: Caller, server: Server, client: Client, *, pushed: bool = False) -> Tokens:
    verifier = new_verifier()
    more = {"login_hint": "ada", "prompt": "consent"}
    asked = Asked(state="s" * 43, verifier=verifier, scopes=("openid", "offline_access", "read"), more=more)
    url = await push(caller, server, client, asked) if pushed else authorize_url(server, client, asked)
    query = await sent_back(url)
    assert ("iss", server.issuer) in query
    return await exchange(caller, server, client, code_of(server, client, query), verifier)


async def refused(awaitable) -> Failure:
    with pytest.raises(Failure) as failed:
        await awaitable
    return failed.value


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("pushed", [False, True])
async def test_a_grant_lives_until_it_is_given_back(caller, server, client, pushed):
    first = await connected(caller, server, client, pushed=pushed)
    account = (await whose(caller, server, first))["account"]
    second = await refresh(caller, server, client, first.refresh)
    outcome = await revoke(caller, server, client, access=second.access, refresh=second.refresh)

    assert (first.expires_in_s, first.scopes) == (60, ("openid", "offline_access", "read"))
    assert (account, outcome) == ("ada", "revoked")
    assert (await refused(refresh(caller, server, client, second.refresh))).kind == "grant_dead"


async def test_a_refresh_token_that_is_sent_twice_ends_the_grant(caller, server):
    first = await connected(caller, server, CLIENTS["post"])
    second = await refresh(caller, server, CLIENTS["post"], first.refresh)

    again = await refused(refresh(caller, server, CLIENTS["post"], first.refresh))
    successor = await refused(refresh(caller, server, CLIENTS["post"], second.refresh))

    assert (again.kind, successor.kind) == ("grant_dead", "grant_dead")


async def test_an_answer_that_is_lost_may_have_been_a_yes(caller, server, issuer):
    first = await connected(caller, server, CLIENTS["basic"])
    async with httpx.AsyncClient() as somebody:
        await somebody.post(f"{issuer}/lose")

    lost = await refused(refresh(caller, server, CLIENTS["basic"], first.refresh))
    again = await refused(refresh(caller, server, CLIENTS["basic"], first.refresh))

    assert (lost.kind, lost.sent, again.kind) == ("maybe_sent", True, "grant_dead")


async def test_a_persons_no_is_a_no(caller, server):
    asked = Asked(state="s", verifier=new_verifier(), scopes=("openid",), more={"login_hint": "nobody"})

    with pytest.raises(CallbackRefused) as refusal:
        code_of(server, CLIENTS["post"], await sent_back(authorize_url(server, CLIENTS["post"], asked)))

    assert (refusal.value.why, refusal.value.said) == ("error", "access_denied")


async def test_a_wrong_secret_is_the_apps_fault(caller, server):
    wrong = Client(id="basic", secret=Secret("wrong"), redirect_uri=BACK, auth="basic")

    assert (await refused(refresh(caller, server, wrong, Secret("rt")))).kind == "app_fault"


async def test_a_client_has_tokens_of_its_own_and_a_device_waits_for_somebody(caller, server):
    own = await client_credentials(caller, server, CLIENTS["post"])
    device = await devices.begin(caller, server, CLIENTS["post"], ("openid",))

    assert own.refresh is None
    assert await devices.poll(caller, server, CLIENTS["post"], device.code) == "pending"


async def test_whoever_is_not_known_registers(caller, issuer):
    metadata = await discovery.metadata(caller, issuer, first="oauth", pkce=True)
    client = await resources.register(caller, metadata, "Engine Cloud", BACK)
    server = discovery.server_of(metadata)

    assert resources.registration(metadata) == "document"
    assert (client.auth, client.secret) == ("none", None)
    assert (await connected(caller, server, client)).refresh is not None
