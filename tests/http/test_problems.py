import asyncpg
import msgspec
import pytest
import redis.exceptions
from sqlalchemy.exc import TimeoutError as PoolExhausted

from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.http import openapi
from controlplane.kit.secret import Secret
from tests.conftest import KEYRING


async def test_a_problem_says_what_to_do_next(client):
    answer = await client.get("/v1/me")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/authentication-required",
        "title": "Say who you are first",
        "status": 401,
        "detail": "",
        "code": "authentication-required",
        "hint": "Send a credential of this surface: Authorization: Bearer ec_…, or sign in.",
        "request_id": answer.headers["request-id"],
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1/nowhere/at/all", 404, "not-found"),
        ("PUT", "/livez", 405, "method-not-allowed"),
        ("TRACE", "/livez", 405, "method-not-allowed"),
        ("GET", "/livez?x=1", 400, "validation-failed"),
    ],
)
async def test_what_the_framework_turns_down_is_a_problem_too(client, method, path, status, code):
    answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"].startswith("req_")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"name": 5}', "name"),
        (b'{"name": "x", "expires_in": "3600"}', "expires_in"),
        (b'{"name": "x", "expires_in": true}', "expires_in"),
        (b'{"name": "x", "expires_in": 5}', "expires_in"),
        (b'{"name": "x", "nmae": "y"}', "nmae"),
        (b'{"name": "\xff"}', "UTF-8"),
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused_by_its_place(client, make, content, place):
    tenant = await make.tenant()
    headers = {**await make.api_key(tenant), "content-type": "application/json"}

    answer = await client.post(f"/v1/tenants/{tenant.slug}/api-keys", headers=headers, content=content)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed"), answer.text
    [error] = answer.json()["errors"]
    assert place in " ".join(error.values())


async def test_that_somebody_has_read_the_document_changes_no_answer(client, make):
    tenant = await make.tenant()
    headers = {**await make.api_key(tenant), "content-type": "application/json"}
    await client.get("/openapi.json")

    answer = await client.post(f"/v1/tenants/{tenant.slug}/api-keys", headers=headers, content=b"")

    assert [error["name"] for error in answer.json()["errors"]] == ["data"]


async def test_a_body_that_is_nested_without_end_is_refused(client):
    tolerant = "/v1/runtime/token"  # what it does not know is read and left aside
    headers = {"content-type": "application/json"}

    answer = await client.post(tolerant, headers=headers, content=b'{"x":' + b"[" * 100_000)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed")
    assert answer.json()["errors"][0]["detail"] == "nested too deeply"


@pytest.mark.parametrize("path", ["/projects/a%00b", "/users/%00", "/sessions?q=%00", "/projects/%ff"])
async def test_text_that_cannot_be_kept_is_no_bug(client, make, path):
    tenant = await make.tenant()

    answer = await client.get(f"/v1/tenants/{tenant.slug}{path}", headers=await make.api_key(tenant))

    assert answer.status_code in (400, 404), answer.text


async def test_a_name_with_a_zero_byte_is_refused(client, make):
    tenant = await make.tenant()
    key = await make.api_key(tenant)

    answer = await client.post(f"/v1/tenants/{tenant.slug}/api-keys", headers=key, json={"name": "a\0b"})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation-failed")


@pytest.mark.parametrize(("text", "status"), [("\0", 400), ("\\\0", 400), ("\\u0000", 401), ("\\\\u0000", 401)])
async def test_so_is_a_zero_byte_in_what_is_never_kept(client, text, status):
    answer = await client.post("/v1/auth/link", json={"token": f"a{text}", "password": f"a{text} long one"})

    assert answer.status_code == status, answer.text


async def test_a_body_that_is_too_large_is_refused(client, make):
    tenant = await make.tenant()
    headers = {**await make.api_key(tenant), "content-type": "application/json"}

    answer = await client.post(f"/v1/tenants/{tenant.slug}/api-keys", headers=headers, content=b" " * (2 << 20))

    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


async def test_a_bug_tells_the_caller_nothing_and_the_log_everything(client, make, app, logged):
    tenant = await make.tenant()
    key = await make.api_key(tenant)
    app.state.authorizer = None

    answer = await client.get(f"/v1/tenants/{tenant.slug}", headers=key)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert answer.json().keys() == {"type", "title", "status", "detail", "code", "hint", "request_id"}
    assert answer.json()["detail"] == ""
    line = msgspec.json.decode(logged.getvalue().splitlines()[-1])
    assert (line["event"], line["request_id"]) == ("request.failed", answer.json()["request_id"])
    assert "'NoneType' object has no attribute 'decide'" in line["exception"]


async def test_a_database_that_is_away_is_a_503_with_patience(client, app):
    gone = Database("postgresql://nobody@127.0.0.1:1/none")
    app.state.db = gone
    human = {"cookie": "session=x"}

    answer = await client.get("/v1/me", headers=human)

    await gone.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("error", [redis.exceptions.ConnectionError(), redis.exceptions.TimeoutError()])
async def test_a_redis_that_is_away_is_a_503_as_well(client, app, error):
    class Away:
        async def admit(self, *_):
            raise error

    app.state.limiter = Away()

    answer = await client.post("/v1/runtime/token", json={})

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_pool_that_is_exhausted_is_a_503_as_well(client, app):
    class Exhausted:
        def platform(self):
            raise PoolExhausted

    app.state.db = Exhausted()

    answer = await client.get("/v1/me", headers={"cookie": "session=x"})

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("who", ["person", "key"])
async def test_a_connection_that_is_cut_under_a_request_is_a_503(client, make, superuser, database, who):
    tenant, human = await make.tenant(), await make.person()
    path = "/v1/me" if who == "person" else f"/v1/tenants/{tenant.slug}/runs"
    headers = human.headers if who == "person" else await make.api_key(tenant)
    await client.get(path, headers=headers)

    await superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database)
    answers = [(await client.get(path, headers=headers)).status_code for _ in range(6)]

    assert set(answers) <= {200, 503}
    assert answers[-1] == 200


async def test_every_answer_is_careful(client):
    for path in ("/livez", "/nowhere", "/v1/me", "/openapi.json"):
        headers = (await client.get(path)).headers

        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["request-id"].startswith("req_"), path
        assert "cache-control" in headers, path


async def test_ready_means_the_right_revision(client, admin_url):
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    connection = await asyncpg.connect(admin_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (503, "wrong-revision")
    assert "newer release" in answer.json()["hint"]


async def test_metrics_are_for_this_machine_and_for_whoever_has_the_token(client, app):
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/metrics", headers={"x-forwarded-for": "1.2.3.4"})).status_code == 404
    app.state.metrics_token = Secret("a token for metrics")

    assert (await client.get("/metrics")).status_code == 404
    answer = await client.get("/metrics", headers={"authorization": "Bearer a token for metrics"})
    assert "python_info" in answer.text


async def test_the_document_is_made_once(client, app, monkeypatch):
    first = await client.get("/openapi.json")
    monkeypatch.setattr(openapi, "document", None)

    again = await client.get("/openapi.json")

    assert first.headers["content-type"] == again.headers["content-type"] == "application/json"
    assert first.content == again.content


async def test_the_published_keys_are_those_of_the_keyring(client):
    answer = await client.get("/.well-known/jwks.json")

    assert answer.json() == keys.jwks(KEYRING)
