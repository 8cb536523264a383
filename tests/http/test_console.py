"""The console's pages: who sees which, what stands on them, and how little they ask of the database."""

import html
import re
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from controlplane.domain import projects, tenants
from controlplane.kit.ids import text_id
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join

ABSENT = text_id("ses", UUID(int=7))
MOST_STATEMENTS = 22
"""Of one page, the three that find out who is asking included."""


class Company:
    """A tenant with a runtime, and sessions in several states."""

    def __init__(self, tenant, runtime, sessions):
        self.tenant, self.runtime, self.sessions = tenant, runtime, sessions
        self.base = f"/console/t/{tenant.slug}"
        self.session_page = f"{self.base}/sessions/{text_id('ses', sessions['failed'])}"
        self.runtime_page = f"{self.base}/runtimes/{text_id('rt', runtime.id)}"
        self.pages = [
            f"{self.base}/",
            f"{self.base}/sessions",
            f"{self.base}/runtimes",
            self.session_page,
            self.runtime_page,
        ]


@pytest.fixture
def company(db, make):
    async def found(slug=None):
        tenant = await make.tenant(slug)
        async with db.tenant(tenant.tenant_id) as tx:
            project = await projects.named(tx, projects.DEFAULT)
        runtime = await join(db, tenant.tenant_id, project.id)
        rows = Rows(db)
        await rows.agent(runtime, "invoice_review")
        sessions = {
            status: await rows.session(runtime, db.clock() - timedelta(minutes=n), status=status, **extra)
            for n, (status, extra) in enumerate(
                {
                    "succeeded": {},
                    "failed": {"error": {"name": "TimeoutError", "line": "the model did not answer"}},
                    "waiting": {"waiting_for": "human_approval", "source_status": "pending_human_approval"},
                    "running": {"ended_at": None, "duration_ms": None},
                }.items()
            )
        }
        await rows.checkpoint(runtime, sessions["failed"])
        await rows.run(runtime, sessions["failed"], status="failed")
        await rows.cost(runtime, sessions["failed"], 18_300)
        await rows.report(runtime, 4, records=41, bytes=2_000, oldest_age_s=90)
        await rows.loss(runtime, 3)
        return Company(tenant, runtime, sessions)

    return found


@pytest.fixture
async def acme(company):
    return await company("acme")


@pytest.fixture
async def birch(company):
    return await company("birch")


async def test_a_tenants_person_sees_every_page_of_the_tenant(client, make, acme):
    person = await make.person(acme.tenant, "viewer")

    answers = [await client.get(page, headers=person.headers) for page in acme.pages]

    assert [answer.status_code for answer in answers] == [200] * len(acme.pages)


async def test_an_operator_sees_every_page_of_every_tenant_and_across(client, make, acme, birch):
    operator = await make.operator()
    across = ["/console/", "/console/sessions", "/console/runtimes"]

    answers = {page: await client.get(page, headers=operator.headers) for page in (*across, *acme.pages, *birch.pages)}

    assert {answer.status_code for answer in answers.values()} == {200}
    assert all({"acme", "birch"} <= set(re.findall(r"\b(acme|birch)\b", answers[page].text)) for page in across)


async def test_whoever_is_not_signed_in_is_asked_to_and_comes_back(client, acme):
    page = f"{acme.base}/sessions?status=failed"

    answer = await client.get(page)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?next=%2Fconsole%2Ft%2Facme%2Fsessions%3Fstatus%3Dfailed"


async def test_a_foreign_page_is_the_same_as_an_absent_one(client, make, acme, birch):
    person = await make.person(acme.tenant)
    absent = await client.get("/console/t/nobody/sessions", headers=person.headers)

    answers = [await client.get(page, headers=person.headers) for page in birch.pages]

    assert {answer.status_code for answer in (absent, *answers)} == {404}
    assert {answer.content for answer in answers} == {absent.content}


async def test_a_foreign_session_in_ones_own_tenant_is_the_same_as_an_absent_one(client, make, acme, birch):
    person = await make.person(acme.tenant)
    foreign = birch.session_page.replace(birch.base, acme.base)

    answers = [await client.get(page, headers=person.headers) for page in (foreign, f"{acme.base}/sessions/{ABSENT}")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


async def test_nothing_of_another_tenant_stands_on_any_page(client, make, acme, birch):
    person = await make.person(acme.tenant)

    seen = "".join([(await client.get(page, headers=person.headers)).text for page in acme.pages])

    assert "birch" not in seen.lower()
    assert not any(text_id("ses", identity) in seen for identity in birch.sessions.values())
    assert text_id("rt", birch.runtime.id) not in seen


@pytest.mark.parametrize("page", ["/console/sessions", "/console/runtimes", "/console/live", "/console/go?tenant=acme"])
async def test_only_operators_look_across_tenants(client, make, acme, page):
    person = await make.person(acme.tenant)

    assert (await client.get(page, headers=person.headers)).status_code == 403


async def test_the_first_page_leads_to_ones_only_tenant(client, make, acme):
    person = await make.person(acme.tenant)

    answer = await client.get("/console/", headers=person.headers)

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/t/acme/")


async def test_somebody_without_a_tenant_is_told_how_to_get_one(client, make):
    nobody = await make.signed_in(await make.account())

    answer = await client.get("/console/", headers=nobody.headers)

    assert answer.status_code == 200
    assert "You are in no tenant yet" in answer.text


async def test_a_role_without_the_permission_is_told_so(client, make, acme):
    person = await make.person(acme.tenant, "billing")

    answer = await client.get(f"{acme.base}/sessions", headers=person.headers)

    assert answer.status_code == 403
    assert "You may not do this" in answer.text


async def test_people_of_a_suspended_tenant_are_told_so(client, db, make, acme):
    person = await make.person(acme.tenant)
    async with db.tenant(acme.tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    answer = await client.get(f"{acme.base}/", headers=person.headers)

    assert answer.status_code == 403
    assert "This tenant is suspended" in answer.text


async def test_an_id_alone_leads_operators_to_its_place(client, make, acme):
    operator = await make.operator()
    session = text_id("ses", acme.sessions["failed"])

    alone = await client.get(f"/console/sessions/{session}", headers=operator.headers)
    searched = await client.get(f"{acme.base}/search?q={session}", headers=operator.headers)

    assert alone.headers["location"] == searched.headers["location"] == acme.session_page


async def test_a_search_for_anything_else_leads_to_the_sessions(client, make, acme):
    operator = await make.operator()

    answer = await client.get(f"{acme.base}/search?q=invoice", headers=operator.headers)

    assert answer.headers["location"] == f"{acme.base}/sessions?q=invoice&period=all"


async def test_a_sessions_page_says_what_happened_where_and_what_it_cost(client, make, acme):
    person = await make.person(acme.tenant)

    page = (await client.get(acme.session_page, headers=person.headers)).text

    for fact in ("Failed in", "TimeoutError", "the model did not answer", "$0.0183", "12,762", "completed"):
        assert fact in page


async def test_a_runtimes_page_says_whether_it_tells_everything(client, make, acme):
    person = await make.person(acme.tenant)

    page = (await client.get(acme.runtime_page, headers=person.headers)).text

    assert "41 records still to come, 3 known to be missing" in page


async def test_filters_narrow_the_list_and_stand_in_the_address(client, make, acme):
    person = await make.person(acme.tenant)

    page = (await client.get(f"{acme.base}/sessions?status=failed&period=24h", headers=person.headers)).text

    found = set(re.findall(r"/sessions/(ses_\w+)", page))
    assert found == {text_id("ses", acme.sessions["failed"])}
    assert f'href="{acme.base}/sessions?status=waiting&amp;period=24h"' in page


@pytest.mark.parametrize("query", ["status=sleeping", "since=yesterday", "period=1y", f"q={'x' * 301}"])
async def test_a_filter_that_cannot_be_is_refused(client, make, acme, query):
    person = await make.person(acme.tenant)

    assert (await client.get(f"{acme.base}/sessions?{query}", headers=person.headers)).status_code == 400


async def test_older_and_newer_lead_through_all_sessions_and_back(client, db, make, acme):
    person = await make.person(acme.tenant)
    for n in range(120):
        await Rows(db).session(acme.runtime, db.clock() - timedelta(hours=1, seconds=n))

    pages, address = [], f"{acme.base}/sessions"
    while address:
        pages.append((await client.get(address, headers=person.headers)).text)
        address = _link(pages[-1], "next")
    back = (await client.get(_link(pages[2], "prev"), headers=person.headers)).text

    seen = [_sessions(page) for page in pages]
    assert [len(ids) for ids in seen] == [50, 50, 24]
    assert len(set().union(*map(set, seen))) == 124
    assert _sessions(back) == seen[1]
    assert _link(back, "prev") == f"{acme.base}/sessions"


async def test_a_bar_of_the_chart_leads_to_its_sessions(client, db, make, acme):
    person = await make.person(acme.tenant)
    await Rows(db).session(acme.runtime, db.clock() - timedelta(hours=30), status="failed")
    page = (await client.get(f"{acme.base}/sessions?status=failed", headers=person.headers)).text

    bars = [html.unescape(bar) for bar in re.findall(r'<a href="([^"]+)" tabindex="-1">', page)]
    behind = [_sessions((await client.get(bar, headers=person.headers)).text) for bar in bars]

    assert len(bars) == 2
    assert all("status=failed" in bar for bar in bars)
    assert [len(sessions) for sessions in behind] == [1, 1]
    assert behind[0] != behind[1]


async def test_an_empty_tenant_is_told_what_would_be_here_and_how_to_get_it(client, make):
    tenant = await make.tenant("fresh")
    viewer, owner = await make.person(tenant, "viewer"), await make.person(tenant, "owner")

    async def pages(person):
        paths = ("", "sessions", "runtimes")
        return [(await client.get(f"/console/t/fresh/{path}", headers=person.headers)).text for path in paths]

    assert all("controlplane join-token create --tenant fresh" in page for page in await pages(viewer))
    assert all('href="/console/t/fresh/join-tokens"' in page for page in await pages(owner))
    assert all(
        "runtime-agent join http://test --token-stdin --source engine:~/.engine" in page for page in await pages(viewer)
    )


async def test_what_runtimes_send_is_text_and_never_markup(client, db, make, acme):
    person = await make.person(acme.tenant)
    evil = "<img src=x onerror=alert(1)>"
    identity = await Rows(db).session(
        acme.runtime,
        agent=evil,
        status="failed",
        error={"name": evil, "line": evil},
        attention=[evil],
        current_node=evil,
    )

    pages = [
        (await client.get(page, headers=person.headers)).text
        for page in (*acme.pages, f"{acme.base}/sessions/{text_id('ses', identity)}")
    ]

    assert not any("<img" in page for page in pages)


async def test_every_page_asks_a_bounded_number_of_questions(client, make, acme, birch, counted):
    operator, person = await make.operator(), await make.person(acme.tenant)
    asked = {}

    for human, page in [(operator, "/console/"), (operator, "/console/sessions"), (operator, "/console/runtimes")] + [
        (person, page) for page in acme.pages
    ]:
        counted.clear()
        await client.get(page, headers=human.headers)
        asked[page] = len(counted)

    assert {page: n for page, n in asked.items() if n > MOST_STATEMENTS} == {}


async def test_more_rows_are_not_more_questions(client, db, make, acme, counted):
    person = await make.person(acme.tenant)
    numbers = []

    for _ in range(2):
        counted.clear()
        await client.get(f"{acme.base}/sessions", headers=person.headers)
        numbers.append(len(counted))
        for n in range(30):
            await Rows(db).session(acme.runtime, db.clock() - timedelta(seconds=n))

    assert numbers[0] == numbers[1]


@pytest.mark.parametrize(
    "page", ["/console/sign-in", "/console/welcome", "/console/", "/console/nothing", "/console/t/acme/sessions"]
)
async def test_every_answer_keeps_browsers_strict(client, make, acme, page):
    operator = await make.operator()

    answer = await client.get(page, headers=operator.headers)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(
        r"<script(?! type=\"module\" src=\"/console/static/)|\sstyle=|\son\w+=|https?://(?!test)", answer.text
    )


async def test_what_never_changes_under_its_address_may_be_kept(client):
    page = (await client.get("/console/sign-in")).text
    stylesheet = re.search(r'href="(/console/static/console\.css\?v=\w+)"', page)[1]

    answer = await client.get(stylesheet)

    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert (await client.get("/console/static/nothing.css")).status_code == 404


async def test_a_bug_is_a_page_with_the_request_and_nothing_else(app, client, make, monkeypatch):
    operator = await make.operator()
    monkeypatch.setattr(app.state.authorizer, "decide", None, raising=False)

    answer = await client.get("/console/", headers=operator.headers)

    assert answer.status_code == 500
    assert answer.headers["request-id"] in answer.text
    assert "NoneType" not in answer.text


def _sessions(page):
    return re.findall(r'class="row" href="[^"]+/sessions/(ses_\w+)"', page)


def _link(page, rel):
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else None


@pytest.fixture
def counted():
    """The statements that are executed."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)
