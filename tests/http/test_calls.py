"""Calls that are made for runtimes: to the provider only, as policies say, on record; and the credential stays here."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest

from controlplane.domain import audit, runtimes
from controlplane.domain.audit import reads
from controlplane.domain.vault import connections, leased, policies, statics
from controlplane.domain.vault.catalogue import read
from controlplane.domain.vault.deciding import Conditions
from controlplane.kit.guard import Bounds
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.secret import Secret
from tests.http.agents import TOKEN, code
from tests.http.lessees import Lessee, policy
from tests.make import SHELL
from tests.refreshing import strict as authorization
from tests.refreshing.rig import Rig
from tests.upstream import reply, serving

CALLS = "/v1/runtime/calls"
TOKEN_OF_ACME = "xoxb-tok/en+of acme"
BEARER = read().get("generic-bearer")


@pytest.fixture
async def upstream():
    async with serving() as server:
        server.says("/v1/me", b'{"id":7}', etag='"1"', set_cookie="a=b", x_ratelimit_left="3")
        yield server


@pytest.fixture
async def elsewhere():
    async with serving() as server:
        server.says("/")
        yield server


@pytest.fixture
async def lessee(agent):
    return Lessee(agent)


async def typed(db, tenant, upstream, **given):
    async with db.tenant(tenant.tenant_id) as tx:
        new = statics.NewStatic(name="api", fields={"token": Secret(TOKEN_OF_ACME)}, api_base=upstream.url, **given)
        return await statics.create(tx, SHELL, BEARER, new)


@pytest.fixture
async def connection(db, tenant, upstream):
    return await typed(db, tenant, upstream)


@pytest.fixture
async def allowed(db, tenant):
    return await policy(db, tenant, modes=["proxy"])


@pytest.fixture
def call(lessee, connection):
    async def call(url="/v1/me", method="GET", *, body=b"", nonce=None, **said):
        said = {"connection": text_id("con", connection.id), "method": method, "url": url, **said}
        if body:
            said["body"] = base64.b64encode(body).decode()
        return await lessee.post(CALLS, said, nonce=nonce)

    return call


async def recorded(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await reads.listing(tx, limit=50)


# ------------------------------------------------------------------------------------------------------ what is had


async def test_a_call_is_made_with_the_credential_and_stands_on_record(db, tenant, upstream, call, allowed):
    upstream.says("/v1/items", b'{"made":1}', 201)

    made = await call("/v1/items?q=a", "POST", body=b'{"a":1}', headers={"Content-Type": "application/json"}, run="r-1")

    assert (made.status_code, made.json()) == (200, {"made": 1})
    assert made.headers["proxy-status"] == "engine-cloud; received-status=201"
    [(head, body)] = upstream.seen
    assert head.startswith("POST /v1/items?q=a HTTP/1.1")
    assert f"authorization: Bearer {TOKEN_OF_ACME}" in head
    assert body == b'{"a":1}'
    [read] = await recorded(db, tenant)
    host = upstream.url.removeprefix("http://").partition(":")[0]
    assert (read.act, read.outcome, read.run) == ("call", "success", "r-1")
    assert (read.call, read.rule) == (f"POST {host}/v1/items", text_id("pol", allowed.id))
    assert len(read.prints) == 1


async def test_of_an_answers_headers_only_some_come_back_and_of_a_requests_only_some_go(upstream, call, allowed):
    answer = await call(headers={"Accept": "application/json"})
    assert (answer.headers["etag"], answer.headers["x-ratelimit-left"]) == ('"1"', "3")
    assert "set-cookie" not in answer.headers

    for name in ("Authorization", "Cookie", "Host", "X-Forwarded-For", "X-HTTP-Method-Override", "Range"):
        refused = await call(headers={name: "x"})
        assert (code(refused), refused.json()["header"]) == ((400, "call-header-refused"), name)
    assert len(upstream.seen) == 1


async def test_an_answer_comes_piece_by_piece(upstream, call, allowed):
    async def pieces(request, writer):
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    upstream.answers["/v1/events"] = pieces

    answer = await call("/v1/events")

    assert answer.content == b"data: 1\n\ndata: 2\n\n"
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_dry_run_says_what_would_be_sent_and_calls_nobody(db, tenant, upstream, call, allowed):
    said = await call(headers={"Accept": "text/plain"}, dry_run=True)

    assert said.json()["headers"] == {"accept": "text/plain", "authorization": "***"}
    assert (said.json()["url"], said.json()["rule"]) == (f"{upstream.url}/v1/me", text_id("pol", allowed.id))
    assert upstream.seen == []
    assert [read.act for read in await recorded(db, tenant)] == ["dry-run"]


# --------------------------------------------------------------------------------------------- the credential stays


async def test_a_server_that_says_back_what_it_was_sent_gives_nothing_away(upstream, logged, call, allowed):
    async def echo(request, writer):
        head, _ = request
        inside = json.dumps({"headers": head}).replace("/", "\\/").encode()
        await reply(
            writer, inside + head.encode(), link=f"<https://x/?t={TOKEN_OF_ACME.replace(' ', '+')}>", etag=TOKEN_OF_ACME
        )

    upstream.answers["/v1/echo"] = echo

    answer = await call("/v1/echo")

    assert answer.status_code == 200
    assert "authorization: Bearer *****" in answer.text
    for where in (answer.text, str(answer.headers), logged.getvalue()):
        assert TOKEN_OF_ACME not in where
        assert TOKEN_OF_ACME.replace("/", "\\/") not in where
    assert len(answer.content) == int(answer.headers["content-length"])


async def test_a_redirect_comes_back_and_is_not_followed(upstream, elsewhere, call, allowed):
    upstream.says("/v1/moved", b"", 302, location=f"{elsewhere.url}/")

    answer = await call("/v1/moved")

    assert answer.headers["proxy-status"] == "engine-cloud; received-status=302"
    assert answer.headers["location"] == f"{elsewhere.url}/"
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "url", ["{}/", "http://127.0.0.1/", "https://{host}/", "http://a:b@{netloc}/v1/me", "//{elsewhere}/"]
)
@pytest.mark.usefixtures("allowed")
async def test_another_host_is_not_called(db, tenant, upstream, elsewhere, call, url):
    netloc = upstream.url.removeprefix("http://")
    other = elsewhere.url.removeprefix("http://")
    refused = await call(url.format(elsewhere.url, host=netloc, netloc=netloc, elsewhere=other))

    assert refused.status_code in (400, 403)
    assert refused.json()["code"] in ("call-host-refused", "call-path-refused")
    assert upstream.seen == elsewhere.seen == []
    [read] = await recorded(db, tenant)
    assert (read.outcome, read.rule) == ("denied", refused.json()["code"])


async def test_where_nothing_says_where_it_may_be_sent_it_is_sent_nowhere(db, tenant, lessee, allowed):
    async with db.tenant(tenant.tenant_id) as tx:
        new = statics.NewStatic(name="x", fields={"token": Secret("t")})
        unpinned = await statics.create(tx, SHELL, BEARER, new)

    said = {"connection": text_id("con", unpinned.id), "url": "https://api.example.com/"}
    assert code(await lessee.post(CALLS, said)) == (409, "call-unpinned")


# -------------------------------------------------------------------------------------------------- who may call what


async def test_policies_say_which_methods_and_paths(db, tenant, upstream, call, lessee, connection):
    await policy(db, tenant, modes=["proxy"], conditions=Conditions(methods=["GET"], paths=["/v1/**"]))
    await policy(db, tenant, effect="deny", modes=["proxy"], conditions=Conditions(paths=["/v1/secrets/**"]))

    assert (await call()).status_code == 200
    for url, method in (("/v1/me", "DELETE"), ("/v2/me", "GET"), ("/v1/secrets", "GET"), ("/v1%2Fsecrets/a", "GET")):
        assert code(await call(url, method)) == (403, "call-denied")
    for url in (
        "/v1/../v2",
        "/v1/%2e%2e/v2",
        "/v1/%252e%252e/v2",
        "/v1//me",
        "/v1/me;a",
        "/v1\\..\\v2",
        "/v1/me?_method=PUT",
    ):
        assert code(await call(url)) == (400, "call-path-refused")
    assert upstream.lines == ["GET /v1/me HTTP/1.1"]
    assert code(await lessee.ask(connection)) == (403, "lease-denied")


async def test_who_may_lease_may_not_have_calls_made_and_who_may_nothing_finds_nothing(db, tenant, call):
    assert code(await call()) == (404, "not-found")
    assert code(await call("https://elsewhere.example/")) == (404, "not-found")

    await policy(db, tenant, modes=["lease"])
    assert code(await call()) == (403, "call-denied")
    assert [read.outcome for read in await recorded(db, tenant)] == ["denied"] * 3


async def test_a_request_is_made_once(app, upstream, call, allowed):
    assert (await call(nonce="0" * 32)).status_code == 200
    app.state.limiter._free_at.clear()

    assert code(await call(nonce="0" * 32)) == (409, "nonce-used")
    assert len(upstream.seen) == 1


async def test_another_tenants_connection_is_not_there(db, make, lessee, upstream, allowed):
    theirs = await typed(db, await make.tenant(), upstream)

    said = {"connection": text_id("con", theirs.id), "url": "/v1/me"}
    assert code(await lessee.post(CALLS, said)) == (404, "not-found")
    assert upstream.seen == []


async def test_what_is_taken_away_ends_with_the_very_next_call(db, tenant, call, lessee, connection, allowed):
    await call()
    async with db.tenant(tenant.tenant_id) as tx:
        its = await connections.get(tx, connection.id)
        await connections.turned(tx, SHELL, its, "disabled", "lunch", "connection.disabled")
    assert code(await call()) == (409, "connection-not-served")

    async with db.tenant(tenant.tenant_id) as tx:
        await policies.delete(tx, SHELL, allowed.id)
    assert code(await call()) == (404, "not-found")

    async with db.tenant(tenant.tenant_id) as tx:
        await runtimes.revoke(tx, SHELL, lessee.agent.answer.runtime_id)
    assert code(await call()) == (403, "revoked")


@pytest.fixture
async def held(db, tenant, lessee, connection):
    """A lease, and who has it."""
    await policy(db, tenant, modes=["proxy", "lease"])
    return lessee, (await lessee.lease(connection, agent="a", run="r")).lease.bound.lease


async def test_under_a_lease_calls_are_made_until_it_ends(db, tenant, upstream, held):
    lessee, lease = held

    assert (await lessee.post(CALLS, {"lease": lease, "url": "/v1/me"})).status_code == 200
    read = (await recorded(db, tenant))[0]
    assert (read.act, read.agent, text_id("lea", read.lease_id)) == ("call", "a", lease)

    async with db.tenant(tenant.tenant_id) as tx:
        await leased.revoke(tx, SHELL, parse_id("lea", lease))
    assert code(await lessee.post(CALLS, {"lease": lease, "url": "/v1/me"})) == (409, "lease-revoked")
    assert len(upstream.seen) == 1


async def test_a_lease_that_is_revoked_after_it_was_looked_at_calls_nobody(
    db, tenant, app, monkeypatch, upstream, held
):
    lessee, lease = held
    leasing = app.state.leasing
    looked_for = leasing.looked_for

    async def late(*args):
        async with db.tenant(tenant.tenant_id) as tx:
            await leased.revoke(tx, SHELL, parse_id("lea", lease))
        return await looked_for(*args)

    monkeypatch.setattr(leasing, "looked_for", late)

    assert code(await lessee.post(CALLS, {"lease": lease, "url": "/v1/me"})) == (409, "lease-revoked")
    assert upstream.seen == []


# ----------------------------------------------------------------------------------------- providers as they can be


async def test_an_answer_of_ten_megabytes_is_not_passed_on_whether_it_says_so_or_not(logged, upstream, call, allowed):
    much = b"x" * (10 << 20)
    upstream.says("/v1/much", much)
    upstream.says("/v1/more", much, content_length=None, connection="close")

    assert code(await call("/v1/much")) == (502, "call-unanswered")
    broken_off = await call("/v1/more")
    assert len(broken_off.content) <= 8 << 20
    assert '"whole": false' in logged.getvalue()


async def test_a_provider_that_hangs_is_given_up(app, upstream, call, allowed):
    async def hang(request, writer):
        await asyncio.Event().wait()

    upstream.answers["/v1/hangs"] = hang
    app.state.proxying.bounds = Bounds(most_bytes=100, head_s=0.05, whole_s=0.1)

    refused = await call("/v1/hangs", "POST")

    assert (code(refused), refused.json()["sent"]) == ((504, "call-timed-out"), True)
    assert not app.state.proxying._under_way


async def test_what_is_encoded_is_not_passed_on(upstream, call, allowed):
    upstream.says("/v1/packed", b"\x1f\x8b", content_encoding="gzip")

    assert code(await call("/v1/packed")) == (502, "call-unanswered")


async def test_a_runtime_has_so_many_calls_under_way(app, lessee, call, allowed):
    app.state.proxying._under_way[lessee.agent.answer.runtime_id] = 50

    assert code(await call()) == (429, "calls-busy")


async def test_a_provider_that_takes_the_credential_no_more_is_told_apart_from_us(upstream, call, allowed):
    upstream.says("/v1/me", b"", 401, www_authenticate=f"Bearer realm={TOKEN_OF_ACME}")

    refused = await call()

    assert (code(refused), refused.json()["renewed"]) == ((502, "call-unauthorized"), False)
    assert "proxy-status" not in refused.headers


@pytest.fixture
async def rig(db, make, tenant):
    async with authorization.serving() as strict:
        rig = await Rig(db, make, strict, replay="generic-oauth2").connect(tenant=tenant)
        yield rig
        await rig.close()


@pytest.mark.usefixtures("allowed")
async def test_a_token_near_its_end_is_refreshed_first_and_one_that_is_refused_afterwards(
    db, tenant, clock, lessee, upstream, rig
):
    async with db.tenant(tenant.tenant_id) as tx:
        await connections.write(tx, rig.id, {"facts": {"api_base": upstream.url}})
        audit.record(tx, SHELL, "connection.replaced", connections.target(rig.id))
    clock.forward(timedelta(minutes=59, seconds=50))
    agent = lessee.agent
    agent.token = (await agent.post(TOKEN, agent.asks_for_a_token())).json()["access_token"]
    said = {"connection": text_id("con", rig.id), "url": "/v1/me"}

    assert (await lessee.post(CALLS, said)).status_code == 200
    assert (await rig.seen()).cred_version == 2

    clock.forward(timedelta(minutes=5))
    upstream.says("/v1/me", b"", 401)
    refused = await lessee.post(CALLS, said)
    assert (code(refused), refused.json()["renewed"]) == ((502, "call-unauthorized"), True)
    assert (await rig.seen()).cred_version == 3
