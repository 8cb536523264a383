"""What a runtime told of a session and a run is read back whole, whether it has a column of its own or none."""

from datetime import timedelta

import msgspec
import pytest

from controlplane.domain import runs, sessions
from controlplane.domain.outcomes import Filters
from controlplane.domain.sessions import Visit
from runtime_agent.wire.records import Error, NodeVisit, Record
from tests.logs import T0, run, session

ERROR = Error(name="ToolError", line="the tool said no")
OUTCOME = {
    "status": "waiting",
    "waiting_for": "resume",
    "quality": "degraded",
    "attention": ["look here"],
    "ended_at": T0 - timedelta(hours=1),
    "duration_ms": 12_718,
    "path": ["intake", "report"],
    "steps": 4,
    "retries": 1,
    "input_tokens": 12_762,
    "output_tokens": 629,
    "error": ERROR,
    "system": "sagewai",
}
SESSION = session(
    **OUTCOME,
    updated_at=T0 - timedelta(minutes=59),
    current_node="report",
    logged_input_tokens=7,
    logged_output_tokens=5,
    started_raw="2026-01-01T00:00:01",
    visits={"intake": 2},
    nodes=[NodeVisit(node="intake", type="router", error=ERROR)],
    nodes_omitted=3,
    goal="an answer",
    entry_point="intake",
    claimed_by="ann",
    claimed_at=T0 - timedelta(hours=2),
)
RUN = run(**OUTCOME, trace="0af7", execution="exec-1")

NAMES = {"kind", "record_id", "occurred_at", "session", "run", "nodes"}
"""The record's own, and what the source calls it: ids are made of that. Nodes are compared as such."""


@pytest.mark.parametrize("record", [SESSION, RUN], ids=["a session", "a run"])
def test_nothing_is_left_at_its_default_here(record: Record):
    assert [
        field.name
        for field in msgspec.structs.fields(record)
        if field.default is not msgspec.NODEFAULT and getattr(record, field.name) == field.default
    ] == []


async def test_what_was_told_of_a_session_and_a_run_is_read_back(site):
    log = await site.log()
    log.write(SESSION, RUN)
    await site.append(log, 1, 2)

    async with site.db.tenant(site.tenant_id) as tx:
        [listed] = await sessions.listing(tx, Filters())
        whole = await sessions.get(tx, listed.id)
        [executed] = await runs.listing(tx, Filters())

    assert (whole.source_id, executed.source_id) == (SESSION.session, RUN.run)
    detail = sessions.detail(whole)
    assert detail.nodes == msgspec.convert(msgspec.to_builtins(SESSION.nodes), list[Visit])
    for record, read in ((SESSION, [whole, detail]), (RUN, [executed])):
        found = {name: value for each in read for name, value in msgspec.to_builtins(each).items()}
        told = {name: value for name, value in msgspec.to_builtins(record).items() if name not in NAMES}
        assert {name: found[name] for name in told} == told
