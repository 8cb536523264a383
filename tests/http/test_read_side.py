"""What the tenant API shows of what runtimes report: shapes, filters, pages, and what it keeps to itself."""

from uuid import UUID

import pytest
from sqlalchemy import event

from controlplane.domain import projects
from controlplane.kit.ids import text_id
from tests.rows import Rows
from tests.runtimes import Joined, join

KINDS = {"sessions": "ses", "runs": "run", "checkpoints": "cp", "agents": "agt", "runtimes": "rt"}


class Acme:
    """A tenant with a runtime and a key that reads."""

    def __init__(self, client, tenant, runtime, key):
        self.client, self.slug, self.runtime, self.key = client, tenant.slug, runtime, key

    async def get(self, path, **query):
        return await self.client.get(f"/v1/tenants/{self.slug}/{path}", params=query, headers=self.key)

    async def data(self, path, **query):
        answer = await self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def ids(self, path, **query):
        return [row["id"] for row in await self.data(path, **query)]


@pytest.fixture
def rows(db):
    return Rows(db)


@pytest.fixture
def found_company(db, client, make):
    async def found(role="viewer"):
        tenant = await make.tenant()
        async with db.tenant(tenant.tenant_id) as tx:
            project = await projects.named(tx, projects.DEFAULT)
        runtime = await join(db, tenant.tenant_id, project.id)
        return Acme(client, tenant, runtime, await make.api_key(tenant, role))

    return found


@pytest.fixture
async def acme(found_company):
    return await found_company()


async def one_of_each(rows: Rows, runtime: Joined) -> dict[str, str]:
    session_id = await rows.session(runtime)
    ids = {
        "sessions": session_id,
        "runs": await rows.run(runtime, session_id),
        "checkpoints": await rows.checkpoint(runtime, session_id),
        "agents": await rows.agent(runtime),
        "runtimes": runtime.id,
    }
    return {path: text_id(KINDS[path], identity) for path, identity in ids.items()}


async def test_a_session_is_shown_as_the_contract_says(acme, rows, db):
    runtime = acme.runtime
    session_id = await rows.session(runtime)
    await rows.run(runtime, session_id)
    checkpoint_id = await rows.checkpoint(runtime, session_id)

    [session] = await acme.data("sessions")

    assert session["source"].pop("id").startswith("session_20260101_000000_")
    assert session == {
        "id": text_id("ses", session_id),
        "tenant": acme.slug,
        "project": "default",
        "runtime": text_id("rt", runtime.id),
        "agent": "invoice_review",
        "source": {"system": "engine", "status": "completed"},
        "status": "succeeded",
        "waiting_for": None,
        "quality": "clean",
        "attention": [],
        "started_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z",
        "ended_at": "2026-01-01T00:00:12.000Z",
        "duration_ms": 12718,
        "current_node": "report",
        "path": ["intake", "report"],
        "steps": 2,
        "retries": 0,
        "tokens": {"input": 12762, "output": 629},
        "logged_tokens": {"input": 0, "output": 0},
        "cost": {"micro_usd": None, "estimated": True},
        "models": [],
        "error": None,
        "run_count": 1,
        "checkpoint_count": 1,
        "latest_checkpoint": text_id("cp", checkpoint_id),
        "labels": {},
    }


async def test_one_session_shows_its_nodes_as_well(acme, rows):
    visit = {"node": "report", "outcome": "failure", "latency_ms": 812, "error": {"name": "ToolError", "line": "no"}}
    detail = {"nodes": [visit], "visits": {"report": 1}, "goal": "refund", "started_raw": "2026-01-01T00:00:00"}
    session_id = await rows.session(acme.runtime, detail=detail, error={"name": "ToolError", "line": "no"})
    await rows.cost(acme.runtime, session_id, 42)

    session = (await acme.get(f"sessions/{text_id('ses', session_id)}")).json()

    [node] = session["nodes"]
    assert node.items() >= visit.items()
    assert (node["attempt"], node["type"]) == (1, None)
    assert session["source"]["started_at"] == "2026-01-01T00:00:00"
    assert (session["goal"], session["visits"], session["nodes_omitted"]) == ("refund", {"report": 1}, 0)
    assert session["error"] == {"name": "ToolError", "line": "no"}
    assert session["cost"] == {"micro_usd": 42, "estimated": False}
    assert session["models"] == ["small-1"]


async def test_runs_checkpoints_agents_and_runtimes_follow_the_same_manner(acme, rows):
    ids = await one_of_each(rows, acme.runtime)
    await rows.report(acme.runtime, 41, records=3, bytes=900, oldest_age_s=61)
    await rows.loss(acme.runtime, 7)

    shown = {path: (await acme.get(f"{path}/{identity}")).json() for path, identity in ids.items()}

    assert {path: each["id"] for path, each in shown.items()} == ids
    assert {(each["tenant"], each["project"]) for each in shown.values()} == {(acme.slug, "default")}
    assert shown["runs"]["session"] == shown["checkpoints"]["session"] == ids["sessions"]
    assert shown["checkpoints"]["kind"] == "node_start"
    assert shown["agents"]["runtime"] == ids["runtimes"]
    runtime = shown["runtimes"]
    assert (runtime["state"], runtime["state_since"]) == ("silent", "2026-01-01T00:00:00.000Z")
    [loss] = runtime["ledger"].pop("lost")
    assert (loss["records"], loss["reason"], loss["noticed_at"]) == (7, "disk-full", "2026-01-01T00:00:00.000Z")
    assert runtime["ledger"] == {
        "acknowledged": 0,
        "epoch": 0,
        "reported": 41,
        "reported_epoch": 1,
        "backlog": {"records": 3, "bytes": 900, "oldest_age_s": 61},
        "lost_records": 7,
        "durable": None,
        "durable_at": None,
        "compared": None,
        "last_heard_at": "2026-01-01T00:00:00.000Z",
        "skew_ms": -3,
    }


async def test_a_foreign_id_is_answered_like_an_absent_one(acme, rows, found_company):
    foreign = await one_of_each(rows, (await found_company()).runtime)

    for path, kind in KINDS.items():
        absent = (foreign[path], text_id(kind, UUID(int=1)), "nonsense", text_id("prj", UUID(int=1)))
        answers = [await acme.get(f"{path}/{identity}") for identity in absent]

        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.text.replace(answer.headers["request-id"], "") for answer in answers}) == 1


async def test_a_list_holds_nothing_of_another_tenant(acme, rows, found_company):
    stranger = await found_company()
    theirs = await one_of_each(rows, stranger.runtime)
    mine = await one_of_each(rows, acme.runtime)

    for path in KINDS:
        assert await acme.ids(path) == [mine[path]]
        assert await stranger.ids(path) == [theirs[path]]
    for path in ("sessions", "runs", "agents"):
        assert await acme.ids(path, runtime=theirs["runtimes"]) == []
    assert await acme.ids("checkpoints", session=theirs["sessions"]) == []
    assert await acme.ids("checkpoints", run=theirs["runs"]) == []


async def test_filters_reach_the_rooms(acme, rows):
    ids = await one_of_each(rows, acme.runtime)
    began, later = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"
    hits = [
        ("sessions", {"status": "succeeded"}),
        ("sessions", {"agent": "invoice_review", "runtime": ids["runtimes"], "project": "default"}),
        ("sessions", {"since": began, "until": "2026-01-01T00:00:00.001Z"}),
        ("sessions", {"since": later, "q": "session_2026"}),
        ("runs", {"status": "succeeded", "agent": "invoice_review", "runtime": ids["runtimes"], "since": began}),
        ("runs", {"q": "session_2026", "project": "default"}),
        ("checkpoints", {"session": ids["sessions"], "run": ids["runs"], "node": "report", "kind": "node_start"}),
        ("checkpoints", {"since": began}),
        ("agents", {"runtime": ids["runtimes"], "project": "default"}),
        ("runtimes", {"project": "default", "state": "silent"}),
    ]
    misses = [
        ("sessions", {"status": "failed"}),
        ("sessions", {"agent": "invoice"}),
        ("sessions", {"until": began}),
        ("sessions", {"q": "nothing"}),
        ("runs", {"project": "nowhere"}),
        ("checkpoints", {"kind": "node_complete"}),
        ("checkpoints", {"node": "intake"}),
        ("agents", {"project": "nowhere"}),
        ("runtimes", {"state": "revoked"}),
    ]

    for path, filters in hits:
        assert await acme.ids(path, **filters) == [ids[path]], filters
    for path, filters in misses:
        assert await acme.ids(path, **filters) == [], filters


async def test_a_project_can_be_meant_by_its_id(acme, rows):
    ids = await one_of_each(rows, acme.runtime)

    assert await acme.ids("sessions", project=text_id("prj", acme.runtime.project_id)) == [ids["sessions"]]


NONSENSE = [
    ("sessions", "status", "completed"),
    ("sessions", "status", ""),
    ("sessions", "since", "yesterday"),
    ("sessions", "since", "2026-01-01T00:00:00"),
    ("sessions", "since", "2026-01-01"),
    ("sessions", "until", "0001-01-01T00:00:00Z"),
    ("sessions", "until", "9999-12-31T23:59:59Z"),
    ("sessions", "runtime", "rt_short"),
    ("sessions", "runtime", text_id("ses", UUID(int=1))),
    ("sessions", "q", ""),
    ("sessions", "q", "a\0b"),
    ("sessions", "q", "x" * 301),
    ("sessions", "agent", "\0"),
    ("sessions", "limit", "0"),
    ("sessions", "limit", "many"),
    ("sessions", "cursor", "bm90IG91cnM"),
    ("sessions", "cursor", "ü"),
    ("sessions", "node", "report"),
    ("sessions", "Status", "failed"),
    ("runs", "status", "done"),
    ("runs", "session", "x"),
    ("checkpoints", "status", "failed"),
    ("checkpoints", "session", "ses_"),
    ("checkpoints", "run", "nonsense"),
    ("checkpoints", "kind", "\0"),
    ("agents", "runtime", "nonsense"),
    ("agents", "status", "failed"),
    ("runtimes", "state", "asleep"),
    ("runtimes", "q", "x"),
]


async def test_a_parameter_that_means_nothing_is_refused_by_name(acme):
    for path, name, value in NONSENSE:
        answer = await acme.get(path, **{name: value})

        problem = answer.json()
        assert (answer.status_code, problem.get("code")) == (400, "validation-failed"), (path, name, value)
        assert [(error["in"], error["name"]) for error in problem["errors"]] == [("query", name)], (path, name, value)


async def test_reading_needs_the_permission(acme, found_company):
    billing = await found_company("billing")

    for path in (*KINDS, "sessions/ses_00000000000000000000000000"):
        answer = await billing.get(path)

        assert (answer.status_code, answer.json()["code"]) == (403, "permission-denied")
        assert (await acme.client.get(f"/v1/tenants/{acme.slug}/{path}")).status_code == 401


async def walk(acme, path, limit):
    shown, cursor = [], None
    while True:
        answer = (await acme.get(path, limit=limit, **({"cursor": cursor} if cursor else {}))).json()
        shown += [row["id"] for row in answer["data"]]
        assert len(shown) == len(set(shown))
        cursor = answer["page"]["next_cursor"]
        assert answer["page"]["has_more"] is (cursor is not None)
        if cursor is None:
            return shown


async def test_pages_go_through_the_whole_list(acme, rows, db):
    for _ in range(4):
        runtime = await join(db, acme.runtime.tenant_id, acme.runtime.project_id)
        await one_of_each(rows, runtime)

    for path in KINDS:
        whole = await acme.ids(path, limit=200)
        assert len(whole) == (5 if path == "runtimes" else 4)
        assert await walk(acme, path, 2) == await walk(acme, path, 3) == whole


async def test_a_cursor_is_good_for_its_own_list_only(acme, rows, found_company):
    stranger = await found_company()
    for company in (acme, stranger):
        for _ in range(2):
            await one_of_each(rows, company.runtime)
    cursor = (await acme.get("sessions", limit=1)).json()["page"]["next_cursor"]

    assert (await acme.get("sessions", limit=2, cursor=cursor)).status_code == 200
    for company, path, filters in (
        (stranger, "sessions", {}),
        (acme, "runs", {}),
        (acme, "sessions", {"status": "succeeded"}),
    ):
        answer = await company.get(path, cursor=cursor, **filters)
        assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, "cursor")


async def test_a_page_takes_as_many_statements_however_long_it_is(acme, rows, db):
    most = {"sessions": 2, "runs": 1, "checkpoints": 1, "agents": 1, "runtimes": 3}
    asked = []

    def note(connection, cursor, statement, *_):
        asked.append(statement)

    async def statements(path):
        asked.clear()
        await acme.data(path)
        return len([each for each in asked if f"FROM {path}" in each or "unnest" in each or "sync_losses" in each])

    await acme.data("sessions")  # the tenant's limits are asked for now, and not again within this test
    event.listen(db._engine.sync_engine, "before_cursor_execute", note)
    await one_of_each(rows, acme.runtime)
    short = {path: await statements(path) for path in KINDS}
    for _ in range(5):
        await one_of_each(rows, acme.runtime)

    assert {path: await statements(path) for path in KINDS} == short == most


async def test_parameters_are_refused_before_a_transaction_is_opened(acme, db):
    lent = []
    await acme.data("runs")
    event.listen(db._engine.sync_engine, "checkout", lambda *_: lent.append(1))
    await acme.data("runs")
    assert len(lent) == 2  # one for who calls

    for wrong in ({"status": "odd"}, {"since": "yesterday"}, {"cursor": "made-up"}, {"limit": "0"}):
        lent.clear()
        assert (await acme.get("runs", **wrong)).status_code == 400
        assert len(lent) == 1


async def test_a_revoked_runtime_says_who_did_it(acme, found_company):
    owner = await found_company("owner")
    path = f"/v1/tenants/{owner.slug}/runtimes/{text_id('rt', owner.runtime.id)}"

    assert (await acme.client.delete(path, headers=owner.key)).status_code == 204
    assert (await acme.client.delete(path, headers=owner.key)).status_code == 204
    assert (await acme.client.delete(path, headers=acme.key)).status_code == 404

    runtime = (await acme.client.get(path, headers=owner.key)).json()
    assert (runtime["state"], runtime["revoked_at"]) == ("revoked", "2026-01-01T00:00:00.000Z")
    assert runtime["state_reason"].startswith("revoked by api-key key_")
