"""Token endpoints over real HTTP: hostile, broken and slow, and whether the provider may have read the request."""

import asyncio

import pytest

from controlplane.kit.guard import Guard
from controlplane.kit.oauth.calling import MOST_BYTES, Caller
from controlplane.kit.oauth.dialect import Asking, Dialect, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import refresh
from controlplane.kit.secret import Secret
from tests.services.fake import APP, Fake, Reply, calling, running

HELD = Secret("the-refresh-token")
GOOD = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt"}


@pytest.fixture
def caller(clock):
    return calling(clock, within_s=0.3)


async def refreshed(caller, url):
    with pytest.raises(Failure) as failure:
        await refresh(caller, Server(token=f"{url}/token"), APP, HELD)
    return failure.value


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Reply(b"<html><h1>Maintenance</h1>", kind="text/html"), "transient", "html"),
        (Reply(b"<!doctype html>", 403, kind="text/plain"), "transient", "html"),
        (Reply(b""), "malformed", "empty"),
        (Reply(b"", 400), "malformed", "empty"),
        (Reply([GOOD]), "malformed", "no-code"),
        (Reply("access_token"), "malformed", "no-code"),
        (Reply(b"\xff\xfe"), "malformed", "no-code"),
        (Reply(b"[" * 100_000), "malformed", "no-code"),
        (Reply({}), "malformed", "no-token"),
        (Reply({**GOOD, "access_token": None}), "malformed", "no-token"),
        (Reply({**GOOD, "access_token": ["at"]}), "malformed", "not-a-token"),
        (Reply({**GOOD, "access_token": "two words"}), "malformed", "not-a-token"),
        (Reply({**GOOD, "access_token": "a\r\nX-Injected: 1"}), "malformed", "not-a-token"),
        (Reply({**GOOD, "access_token": "a" * 20_000}), "malformed", "not-a-token"),
        (Reply({**GOOD, "refresh_token": {"value": "rt"}}), "malformed", "not-a-token"),
        (Reply(GOOD, 302, {"location": "https://elsewhere.example/"}), "malformed", "redirect"),
        (Reply(GOOD, 307, {"location": "/token"}), "malformed", "redirect"),
        (Reply(GOOD, 500), "transient", "no-code"),
        (Reply({**GOOD, "pad": "x" * 10_000_000}), "malformed", "too-large"),
    ],
)
async def test_a_hostile_answer_brings_nothing_and_its_kind_is_known(caller, reply, kind, code):
    async with running(Fake()) as fake:
        fake.instead = [reply.written()]
        failure = await refreshed(caller, fake.url)

    assert (failure.kind, failure.code, failure.sent) == (kind, code, True)
    assert len(fake.asked) == 1, "a redirect is not followed, and nothing is tried twice"


async def hang(writer):
    await asyncio.Event().wait()


async def drip(writer):
    """A byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.02)


async def hang_up(writer):
    writer.transport.abort()


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        (hang, "timeout"),
        (hang_up, "broken"),
        (b"", "broken"),
        (b"220 mail.example ESMTP\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "broken"),
    ],
)
async def test_after_a_request_that_is_not_answered_the_provider_may_have_done_it(caller, instead, code):
    async with running(Fake()) as fake:
        fake.instead = [instead]
        failure = await refreshed(caller, fake.url)

    assert (failure.kind, failure.code, failure.sent, failure.status) == ("maybe_sent", code, True, None)


async def test_an_answer_that_drips_is_given_up(caller):
    async with running(Fake()) as fake:
        fake.instead = [drip]
        failure = await refreshed(caller, fake.url)

    assert (failure.kind, failure.code) == ("maybe_sent", "timeout")


async def test_where_nobody_was_reached_nothing_was_sent(clock, caller):
    async with running(Fake()) as fake:
        url = fake.url
        no_tls = await refreshed(caller, url.replace("http://", "https://"))
    unreachable = await refreshed(caller, url)

    assert (no_tls.kind, no_tls.sent) == ("not_sent", False)
    assert (unreachable.kind, unreachable.code, unreachable.sent) == ("not_sent", "unreachable", False)


async def test_a_name_that_takes_too_long_to_look_up_was_not_called(clock):
    async def never(host, port):
        await asyncio.Event().wait()

    failure = await refreshed(Caller(Guard(resolve=never), clock, within_s=0.1), "https://slow.example")

    assert (failure.kind, failure.code, failure.sent) == ("not_sent", "timeout", False)


async def test_a_handshake_that_hangs_was_not_a_request(clock):
    async def listen(reader, writer):
        await reader.read()  # until the other side gives up
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        failure = await refreshed(calling(clock, within_s=0.6), url)

    assert (failure.kind, failure.code, failure.sent) == ("not_sent", "timeout", False)


@pytest.mark.parametrize(
    "url", ["http://token.example", "https://169.254.169.254", "https://user:pass@token.example", "https://10.0.0.1"]
)
async def test_an_address_that_must_not_be_called_is_not(clock, url):
    failure = await refreshed(Caller(Guard(), clock), url)

    assert (failure.kind, failure.sent) == ("blocked", False)


async def test_what_is_as_long_as_it_may_be_is_read(caller):
    async with running(Fake()) as fake:
        body = Reply({**GOOD, "pad": ""}).written().partition(b"\r\n\r\n")[2]
        fake.instead = [Reply({**GOOD, "pad": "x" * (MOST_BYTES - len(body))}).written()]
        found = await refresh(caller, Server(token=f"{fake.url}/token"), APP, HELD)

    assert found.access.reveal() == "at"


async def test_a_secret_goes_as_the_dialect_says(caller):
    asked = {}
    async with running(Fake()) as fake:
        for auth in ("post", "basic", "basic-raw", "none"):
            fake.instead = [Reply(GOOD).written()]
            server = Server(
                token=f"{fake.url}/token", dialect=Dialect(asking=Asking(auth=auth, client_id="client_key"))
            )
            await refresh(caller, server, APP, HELD)
            asked[auth] = fake.asked.pop()

    secret = APP.secret.reveal()
    assert asked["post"].form["client_secret"] == secret
    assert asked["post"].form["client_key"] == APP.id
    assert asked["basic"].basic == (APP.id, secret)
    assert asked["basic"].headers["authorization"] != asked["basic-raw"].headers["authorization"]
    assert "client_key" not in asked["basic"].form
    assert "client_secret" not in asked["none"].form
    assert asked["none"].form["client_key"] == APP.id


async def test_scopes_are_sent_with_a_refresh_only_when_fewer_are_wanted(caller):
    async with running(Fake()) as fake:
        fake.instead = [Reply(GOOD).written(), Reply(GOOD).written()]
        server = Server(token=f"{fake.url}/token", resources=("https://mcp.example/a", "https://mcp.example/b"))
        await refresh(caller, server, APP, HELD)
        await refresh(caller, server, APP, HELD, scopes=("one", "two"))

    assert "scope" not in fake.asked[0].form
    assert fake.asked[1].form["scope"] == "one two"
    assert fake.asked[0].body.count(b"resource=") == 2
