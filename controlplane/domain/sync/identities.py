"""Ids of what runtimes report, derived from what the source itself calls it: sent twice it is still one.

The first 48 bits are the time that the source's own name carries, read as if it were UTC, and never a value that could
be corrected later. ``docs/reference/derived-ids.md`` has test vectors.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from controlplane.kit.ids import (
    AgentId,
    CheckpointId,
    Derivation,
    RunId,
    RuntimeId,
    SessionId,
    TenantId,
    born_ms,
    milliseconds,
)

_STAMP = re.compile(r"_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_|$)")


@lru_cache(maxsize=8192)
def stamp_ms(name: str) -> int | None:
    """The time in ``session_20261109_134125_40151023``, in milliseconds since 1970; None where there is none."""
    found = _STAMP.search(name)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return milliseconds(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    except ValueError:
        return None


class Identities:
    """The ids of one runtime's things."""

    def __init__(self, tenant_id: TenantId, runtime_id: RuntimeId) -> None:
        self._derive = Derivation(tenant_id, runtime_id).id_of
        self._born = born_ms(runtime_id)
        self._sessions: dict[tuple[str, str], SessionId] = {}

    def _session_born(self, session: str) -> int:
        """The time in the session's name; without one, when the runtime joined."""
        return stamp_ms(session) or self._born

    def agent(self, name: str) -> AgentId:
        return AgentId(self._derive(self._born, "agent", name))

    def session(self, agent: str, session: str) -> SessionId:
        known = self._sessions.get((agent, session))
        if known is None:
            known = SessionId(self._derive(self._session_born(session), "session", f"{agent}/{session}"))
            self._sessions[agent, session] = known
        return known

    def run(self, agent: str, session: str, run: str) -> RunId:
        return RunId(self._derive(self._session_born(session), "run", f"{agent}/{session}/{run}"))

    def checkpoint(self, agent: str, session: str, checkpoint: str, created_raw: str) -> CheckpointId:
        born = stamp_ms(checkpoint) or self._session_born(session)
        return CheckpointId(self._derive(born, "checkpoint", f"{agent}/{session}/{checkpoint}/{created_raw}"))

    def cost(self, spent_at: datetime, entry: str) -> UUID:
        return self._derive(milliseconds(spent_at), "cost", entry)

    def loss(self, record_id: UUID) -> UUID:
        return self._derive(self._born, "loss", str(record_id))
