"""Suspension, deletion and export at the APIs: what each caller is told, and what still goes."""

import io
import zipfile
from datetime import timedelta

import msgspec
import pytest

from controlplane.chores import lifecycle
from controlplane.db import schema as t
from controlplane.domain import archives, exports, quotas
from controlplane.domain.permissions import FRESH_FOR
from controlplane.domain.plans import Plan
from controlplane.kit.ids import text_id
from tests.http.agents import code
from tests.make import SHELL


@pytest.fixture
async def operate(client, make):
    key = await make.operator_key()

    async def operate(method, path, **given):
        return await client.request(method, f"/v1/operator/tenants/{path}", headers=key, **given)

    return operate


@pytest.fixture
async def owner(make, tenant):
    return (await make.person(tenant)).headers


@pytest.fixture
def call(client, tenant):
    async def call(method, path, headers, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return call


async def test_its_end_and_its_archives_take_a_fresh_proof_of_people_and_none_of_programs(
    client, clock, make, tenant, operate, call
):
    owner, operator = await make.person(tenant), await make.operator()
    await make.totp(owner)
    clock.forward(FRESH_FOR + timedelta(seconds=1))

    refused = [
        await call("DELETE", "/", owner.headers),
        await call("POST", "/undelete", owner.headers),
        await call("POST", "/exports", owner.headers),
        await call("GET", f"/exports/exp_{'0' * 26}/archive", owner.headers),
    ]
    by_operators = [
        await client.post(f"/v1/operator/tenants/{tenant.slug}/{act}", headers=operator.headers, json={})
        for act in ("suspend", "resume", "undelete")
    ]
    reading = await call("GET", "/exports", owner.headers)
    by_key = await operate("POST", f"{tenant.slug}/suspend", json={})

    assert {code(each) for each in (*refused, *by_operators)} == {(403, "reauthentication-required")}
    assert [each.json()["ways"] for each in refused] == [["totp"]] * 4
    assert (reading.status_code, by_key.status_code) == (200, 200)


# --------------------------------------------------------------------------------------------------- suspension


async def test_people_and_keys_are_told_why_and_never_the_operators_reason(make, tenant, operate, call, owner):
    key = await make.api_key(tenant)
    await operate("POST", f"{tenant.slug}/suspend", json={"reason": "fraud?", "message": "Please call us."})

    for headers in (owner, key):
        refused = await call("GET", "/sessions", headers)
        assert code(refused) == (403, "tenant-suspended")
        assert refused.json()["detail"] == "Please call us."
        assert refused.json()["suspended_since"] == "2026-01-01T00:00:00.000Z"
        assert "fraud" not in refused.text


async def test_a_suspended_tenant_can_still_be_exported(db, tenant, operate, call, owner):
    await operate("POST", f"{tenant.slug}/suspend", json={})

    asked = await call("POST", "/exports", owner)
    await lifecycle.write_exports(db)
    fetched = await call("GET", f"/exports/{asked.json()['id']}/archive", owner)

    assert (asked.status_code, fetched.status_code) == (202, 200)
    assert zipfile.ZipFile(io.BytesIO(fetched.content)).testzip() is None


async def test_resumed_everything_goes_on(make, tenant, operate, call, owner):
    key = await make.api_key(tenant)
    await operate("POST", f"{tenant.slug}/suspend", json={})
    await operate("POST", f"{tenant.slug}/resume")

    assert [(await call("GET", "/sessions", headers)).status_code for headers in (owner, key)] == [200, 200]


async def test_until_its_import_has_finished_nobody_is_let_in(db, tenant, call, owner):
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.tenants).values(status="provisioning"))
        tx.audited = True

    assert code(await call("GET", "/sessions", owner)) == (403, "tenant-provisioning")


# ----------------------------------------------------------------------------------------------------- deletion


async def test_an_owner_deletes_the_tenant_and_takes_it_back(call, owner, clock):
    deleted = await call("DELETE", "", owner)
    turned_away = await call("GET", "/sessions", owner)
    back = await call("POST", "/undelete", owner)

    assert deleted.status_code == 202
    assert deleted.json()["purge_at"] == "2026-01-31T00:00:00.000Z"
    assert code(turned_away) == (403, "tenant-pending-deletion")
    assert turned_away.json()["purge_at"] == "2026-01-31T00:00:00.000Z"
    assert (back.json()["status"], back.json()["purge_at"]) == ("active", None)
    assert (await call("GET", "/sessions", owner)).status_code == 200


@pytest.mark.parametrize("role", ["admin", "viewer"])
async def test_only_owners_delete_and_export(make, tenant, call, role):
    headers = (await make.person(tenant, role)).headers

    for method, path in (("DELETE", ""), ("POST", "/undelete"), ("POST", "/exports"), ("GET", "/exports")):
        assert code(await call(method, path, headers)) == (403, "permission-denied"), path


async def test_an_operator_deletes_and_takes_back_and_another_state_is_a_conflict(tenant, operate):
    deleted = await operate("DELETE", tenant.slug)
    again = await operate("DELETE", tenant.slug)
    resumed = await operate("POST", f"{tenant.slug}/resume")
    back = await operate("POST", f"{tenant.slug}/undelete")

    assert (deleted.status_code, back.status_code) == (202, 200)
    assert code(again) == code(resumed) == (409, "tenant-state-conflict")
    assert again.json()["tenant_status"] == "pending_deletion"


async def test_purged_it_is_as_if_it_had_never_been_except_for_the_certificate(app, make, tenant, operate, call):
    db = app.state.db
    key = await make.api_key(tenant)
    identity = text_id("ten", tenant.tenant_id)
    await operate("DELETE", tenant.slug)
    assert code(await operate("GET", f"{identity}/certificate")) == (404, "not-found")
    db.clock.forward(timedelta(days=30))

    await lifecycle.purge_tenants(db, app.state.keyring, None, app.state.blobs)

    absent = await call("GET", "", key)
    assert (absent.status_code, absent.json()["code"]) == (401, "api-key-unknown")
    assert code(await operate("GET", tenant.slug)) == (404, "not-found")
    left = (await operate("GET", identity)).json()
    assert (left["status"], left["slug"], left["name"]) == ("deleted", "", "")
    proof = (await operate("GET", f"{identity}/certificate")).json()
    assert proof["facts"]["tenant"] == identity
    assert {table["table"] for table in proof["facts"]["tables"]} >= {"users", "api_keys", "audit_events"}


async def test_tenants_are_found_by_state_and_by_name(make, operate):
    slugs = [(await make.tenant(slug)).slug for slug in ("acme", "acme-two", "birch")]
    await operate("POST", "birch/suspend", json={"reason": "unpaid"})

    async def listed(query):
        return {each["slug"] for each in (await operate("GET", f"?{query}")).json()["data"]}

    assert await listed("status=suspended") == {"birch"}
    assert await listed("q=acm") == {"acme", "acme-two"}
    assert await listed("q=CME-T") == {"acme-two"}  # a part of the name, which is Acme-Two
    assert await listed("") == set(slugs)


# ------------------------------------------------------------------------------------------------------ exports


async def test_an_archive_is_asked_for_written_fetched_and_expires(db, tenant, call, owner, clock):
    asked = (await call("POST", "/exports", owner)).json()
    too_early = await call("GET", f"/exports/{asked['id']}/archive", owner)
    twice = await call("POST", "/exports", owner)

    assert await lifecycle.write_exports(db) == 1
    ready = (await call("GET", f"/exports/{asked['id']}", owner)).json()
    fetched = await call("GET", f"/exports/{asked['id']}/archive", owner)

    assert (code(too_early), code(twice)) == ((409, "export-not-ready"), (409, "export-running"))
    assert (asked["state"], ready["state"]) == ("waiting", "ready")
    assert len(fetched.content) == ready["size_bytes"] == int(fetched.headers["content-length"])
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as archive:
        manifest = msgspec.json.decode(archive.read("manifest.json"), type=archives.Manifest)
    assert (manifest.sha256, manifest.rows) == (ready["manifest_sha256"], ready["rows"])

    clock.forward(exports.KEPT)
    assert await lifecycle.expire_exports(db) == 1
    async with db.tenant(tenant.tenant_id) as tx:
        assert [each.state for each in await exports.listing(tx, after=None, limit=9)] == ["expired"]
    assert [part async for part in exports.parts(db, tenant.tenant_id, (await _first(db, tenant)).id)] == []


async def _first(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        [export] = await exports.listing(tx, after=None, limit=1)
    return export


async def test_an_archive_in_many_parts_comes_whole(db, tenant, call, owner, monkeypatch):
    monkeypatch.setattr("controlplane.domain.exports.PART_BYTES", 700)
    asked = (await call("POST", "/exports", owner)).json()

    await lifecycle.write_exports(db)

    fetched = await call("GET", f"/exports/{asked['id']}/archive", owner)
    assert len(fetched.content) > 3 * 700
    assert zipfile.ZipFile(io.BytesIO(fetched.content)).testzip() is None


async def test_an_archive_that_was_cut_short_is_begun_again(db, tenant, call, owner, monkeypatch):
    monkeypatch.setattr("controlplane.domain.exports.PART_BYTES", 700)
    asked = (await call("POST", "/exports", owner)).json()
    async with db.operator() as look:
        [due] = await exports.waiting(look)
    with pytest.raises(RuntimeError):
        await exports.write(Broken(db), due)

    await lifecycle.write_exports(db)

    fetched = await call("GET", f"/exports/{asked['id']}/archive", owner)
    assert zipfile.ZipFile(io.BytesIO(fetched.content)).testzip() is None


class Broken:
    """A database that goes away in the middle."""

    def __init__(self, db):
        self._db, self._left = db, 4

    def tenant(self, tenant_id):
        self._left -= 1
        if not self._left:
            raise RuntimeError("away")
        return self._db.tenant(tenant_id)

    def __getattr__(self, name):
        return getattr(self._db, name)


async def test_a_discarded_archive_cannot_be_fetched(db, call, owner):
    asked = (await call("POST", "/exports", owner)).json()
    await lifecycle.write_exports(db)

    gone = await call("DELETE", f"/exports/{asked['id']}", owner)

    assert gone.status_code == 204
    assert code(await call("GET", f"/exports/{asked['id']}/archive", owner)) == (409, "export-not-ready")


async def test_asking_fetching_and_discarding_stand_in_the_log(db, call, owner):
    asked = (await call("POST", "/exports", owner)).json()
    await lifecycle.write_exports(db)
    await call("GET", f"/exports/{asked['id']}/archive", owner)
    await call("DELETE", f"/exports/{asked['id']}", owner)

    events = (await call("GET", "/audit-events", owner)).json()["data"]

    assert [event["action"] for event in events[:3]] == ["export.discarded", "export.downloaded", "export.requested"]


# ------------------------------------------------------------------------------------------ settings and limits


async def test_an_admin_renames_the_tenant(make, tenant, call):
    admin = (await make.person(tenant, "admin")).headers

    changed = await call("PATCH", "/settings", {**admin, "If-Match": "*"}, json={"name": "Acme & Daughters"})

    assert (
        changed.json()
        == (await call("GET", "/settings", admin)).json()
        == {
            "name": "Acme & Daughters",
            "mfa_required": False,
            "impersonation_policy": "ask",
            "disclosure_policy": "never",
            "unsealed_reads": False,
            "device_flow": False,
            "return_urls": [],
        }
    )
    assert (await call("GET", "", admin)).json()["name"] == "Acme & Daughters"
    assert code(await call("PATCH", "/settings", {**admin, "If-Match": "*"}, json={"name": " "})) == (
        400,
        "tenant-name-invalid",
    )
    assert (await call("PATCH", "/settings", {**admin, "If-Match": "*"}, json={})).json() == changed.json()


async def test_a_viewer_changes_no_settings(make, tenant, call):
    viewer = (await make.person(tenant, "viewer")).headers

    assert code(await call("PATCH", "/settings", viewer, json={"name": "Mine"})) == (403, "permission-denied")


@pytest.fixture
async def plans(db):
    async with db.platform() as tx:
        await quotas.configure(
            tx, SHELL, {"free": Plan(api_keys=1, requests_per_minute=5, key_requests_per_minute=3)}, "free"
        )


async def test_limits_are_shown_set_and_kept(plans, tenant, operate, call, owner):
    made = await call("POST", "/api-keys", owner, json={"name": "one"})
    agreed = await operate("PUT", f"{tenant.slug}/limits", json={"overrides": {"users": 9, "runtimes": None}})
    refused = await call("POST", "/api-keys", owner, json={"name": "two"})

    assert made.status_code == 201
    assert refused.json() | {"request_id": ""} == refused.json() | {
        "code": "quota-exceeded",
        "status": 403,
        "kind": "api_keys",
        "limit": 1,
        "used": 1,
        "request_id": "",
    }
    shown = {each["kind"]: each for each in agreed.json()["limits"]}
    assert shown["users"] == {"kind": "users", "limit": 9, "used": 1, "overridden": True}
    assert shown["runtimes"]["limit"] is None
    assert shown["requests_per_minute"] == {
        "kind": "requests_per_minute",
        "limit": 5,
        "used": None,
        "overridden": False,
    }
    assert (await operate("GET", f"{tenant.slug}/limits")).json() == agreed.json()


async def test_a_tenant_sees_its_limits(plans, call, owner):
    shown = (await call("GET", "/limits", owner)).json()

    assert shown["plan"] is None
    assert {each["kind"]: each["limit"] for each in shown["limits"]}["api_keys"] == 1


async def test_wrong_limits_are_refused(plans, tenant, operate):
    answers = [
        await operate("PUT", f"{tenant.slug}/limits", json={"plan": "gold"}),
        await operate("PUT", f"{tenant.slug}/limits", json={"overrides": {"wishes": 3}}),
        await operate("PUT", "nobody/limits", json={}),
    ]

    assert [code(answer) for answer in answers] == [(400, "plan-unknown"), (400, "limit-unknown"), (404, "not-found")]


async def test_plans_are_listed(plans, client, make):
    listed = await client.get("/v1/operator/plans", headers=(await make.operator()).headers)

    [plan] = listed.json()["data"]
    assert (plan["name"], plan["is_default"], plan["limits"]["api_keys"]) == ("free", True, 1)


async def test_every_answer_tells_what_is_left_and_one_too_many_how_long_to_wait(plans, make, tenant, call):
    key, other = await make.api_key(tenant, "viewer"), (await make.person(tenant)).headers

    first = await call("GET", "", key)
    answers = [await call("GET", "", key) for _ in range(3)]
    others = [await call("GET", "", other) for _ in range(3)]

    assert first.headers["ratelimit-policy"] == '"caller";q=3;w=60, "tenant";q=5;w=60'
    assert first.headers["ratelimit"] == '"caller";r=2;t=20, "tenant";r=4;t=12'
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert code(answers[-1]) == (429, "rate-limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 20
    assert answers[-1].headers["ratelimit"].startswith('"caller";r=0;t=')
    # what one caller is refused uses nothing up of the others'
    assert [answer.status_code for answer in others] == [200, 200, 429]
    assert '"tenant";r=0' in others[-1].headers["ratelimit"]


async def test_without_limits_there_are_no_headers(call, owner):
    answer = await call("GET", "", owner)

    assert "ratelimit" not in answer.headers
