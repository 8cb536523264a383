"""What all routes do alike: HEAD, sizes, forms, ids of requests, and word of what is to go."""

import asyncio
from datetime import UTC, datetime

import pytest
from litestar import get
from prometheus_client import REGISTRY

from controlplane.app import assemble
from controlplane.http import manners, proof, routes
from controlplane.http.authorize import open_to_all

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def assembled(assembled, request):
    """Tests that add a route have an app of their own."""
    return assemble() if "old" in request.fixturenames else assembled


@pytest.fixture
async def key(make, tenant):
    return await make.api_key(tenant)


@pytest.fixture
def url(tenant):
    return f"/v1/tenants/{tenant.slug}"


@pytest.mark.parametrize("path", ["", "/projects", "/projects/default", "/projects/none", "/sessions?limit=0"])
async def test_head_is_get_without_its_body(client, url, key, path):
    got, head = [await client.request(method, f"{url}{path}", headers=key) for method in ("GET", "HEAD")]

    assert head.status_code == got.status_code
    assert head.content == b""
    fleeting = {"request-id", "x-request-id"}
    assert {name: value for name, value in head.headers.items() if name not in fleeting} == {
        name: value for name, value in got.headers.items() if name not in fleeting
    }


async def test_head_of_a_stream_ends(client, make, tenant):
    human = await make.person(tenant)
    headers = {**human.headers, "accept": "text/event-stream"}

    async with asyncio.timeout(10):
        answer = await client.head(f"/console/t/{tenant.slug}/live", headers=headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_head_without_a_credential_is_refused_like_get(client, url):
    assert (await client.head(f"{url}/projects")).status_code == 401
    assert (await client.head("/nowhere")).status_code == 404


async def test_allow_names_what_there_is(client, url, key):
    refused = await client.put(f"{url}/api-keys", headers=key, json={})
    no_get = await client.head("/v1/auth/sign-in")

    assert refused.status_code == no_get.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert no_get.headers["allow"] == "OPTIONS, POST"
    assert (await client.options(f"{url}/api-keys")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_an_address_that_is_too_long_is_refused(client, url, key):
    longest = await client.get(f"{url}/sessions?q={'x' * 300}", headers=key)
    too_long = await client.get(f"{url}/sessions?q={'x' * 8000}", headers=key)

    assert longest.status_code == 200
    assert (too_long.status_code, too_long.json()["code"]) == (414, "uri-too-long")
    assert too_long.headers["content-type"] == "application/problem+json"
    assert too_long.headers["request-id"] == too_long.json()["request_id"]


async def test_headers_that_are_too_large_are_refused(client, url, key):
    answer = await client.get(url, headers={**key, "x-filler": "x" * 33_000})

    assert (answer.status_code, answer.json()["code"]) == (431, "headers-too-large")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin-1", ""],
)
async def test_a_body_that_is_not_said_to_be_json_is_refused(client, url, key, kind):
    headers = {**key, "content-type": kind} if kind else key

    answer = await client.post(f"{url}/api-keys", headers=headers, content=b'{"name": "x"}')

    assert (answer.status_code, answer.json()["code"]) == (415, "media-type-unsupported")
    assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_may_be_said_in_several_ways(client, url, key, kind):
    answer = await client.post(f"{url}/api-keys", headers={**key, "content-type": kind}, content=b'{"name": "x"}')

    assert answer.status_code == 201, answer.text


async def test_a_compressed_body_is_refused(client, url, key):
    headers = {**key, "content-type": "application/json", "content-encoding": "gzip"}

    answer = await client.post(f"{url}/api-keys", headers=headers, content=b'{"name": "x"}')

    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1", 200),
        ("text/html, application/json;q=0.9", 200),
        ("", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/jsonl", 406),
        ("application/problem+json", 406),
    ],
)
async def test_who_does_not_accept_json_is_told_so(client, url, key, accept, status):
    answer = await client.get(url, headers={**key, "accept": accept})

    assert answer.status_code == status
    assert status == 200 or answer.json()["code"] == "not-acceptable"


async def test_forms_are_looked_at_after_the_credential(client, url):
    answer = await client.post(f"{url}/api-keys", headers={"content-type": "text/plain"}, content=b"x")

    assert answer.status_code == 401


async def test_a_request_keeps_the_name_that_its_caller_gave_it(client):
    named = await client.get("/livez", headers={"x-request-id": "job-7/step_2"})
    unnamed = await client.get("/livez")

    assert named.headers["x-request-id"] == "job-7/step_2"
    assert named.headers["request-id"].startswith("req_")
    assert unnamed.headers["x-request-id"] == unnamed.headers["request-id"]


@pytest.mark.parametrize("name", [b"a b", b"", b"x" * 129, "é".encode(), b"<script>", b"a\tb"])
async def test_a_name_that_cannot_be_said_back_is_not(client, name):
    answer = await client.get("/livez", headers={"x-request-id": name})

    assert answer.headers["x-request-id"] == answer.headers["request-id"]


async def test_a_bug_is_found_by_the_callers_ids(client, make, app, logged, url, key):
    app.state.authorizer = None

    await client.get(url, headers={**key, "x-request-id": "job-7", "traceparent": TRACE})
    await client.get(url, headers={**key, "traceparent": f"ff{TRACE[2:]}"})

    first, second = logged.getvalue().splitlines()
    assert '"callers_id": "job-7"' in first
    assert '"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"' in first
    assert "trace_id" not in second


async def test_the_next_page_is_linked(client, url, key, make, tenant):
    await make.api_key(tenant)
    first = await client.get(f"{url}/api-keys?limit=1", headers=key)

    assert first.links["next"]["rel"] == "next"
    second = await client.get(first.links["next"]["url"], headers=key)

    assert second.json()["data"] != first.json()["data"]
    assert "link" not in second.headers


@pytest.fixture
def old(app):
    since, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    opt = {**open_to_all("a test"), **manners.deprecated(since, "https://docs.example/old", ends)}

    @get("/old", opt=opt)
    async def old() -> dict[str, str]:
        return {}

    app.register(old)
    proof.prove(app)
    routes.settle(app)


async def test_what_is_to_go_says_so_and_is_counted(client, old):
    labels = {"operation": "GET /old", "tenant": ""}
    before = REGISTRY.get_sample_value("controlplane_deprecated_calls_total", labels) or 0

    answer = await client.get("/old")

    assert answer.headers["deprecation"] == "@1767225600"
    assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.headers["link"] == '<https://docs.example/old>; rel="deprecation"; type="text/html"'
    assert REGISTRY.get_sample_value("controlplane_deprecated_calls_total", labels) == before + 1
    assert "deprecation" not in (await client.get("/livez")).headers
