"""What a policy would change, were it in force: who could do more with which connection afterwards, and who less."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.vault import connections, deciding, policies
from controlplane.domain.vault.access import Runtime, asking_of, wanted_of
from controlplane.domain.vault.connections import Connection
from controlplane.domain.vault.deciding import MODES, Decision, Mode, Rule
from controlplane.domain.vault.policies import NewPolicy
from controlplane.kit.ids import new_id

NEWEST: Final = 100
"""Runtimes, and connections, that are looked at."""

MOST: Final = 100
"""Differences that are told."""

MOST_WEIGHED: Final = 50_000
"""Policies that are gone through, one for each runtime, agent, connection and way to use it: some tenths of a second."""


class Difference(Struct, frozen=True, kw_only=True):
    """Of one runtime and one connection, for one agent."""

    runtime: Runtime
    agent: str | None
    """As some policy names it; None: any."""
    connection: Connection
    mode: Mode
    before: Decision
    after: Decision


class Foreseen(Struct, frozen=True, kw_only=True):
    differences: list[Difference]
    whole: bool
    """Whether everything was looked at that there is; if not, the newest was."""


async def foreseen(tx: TenantTx, new: NewPolicy, instead_of: UUID | None = None) -> Foreseen:
    """Whenever and for whichever purpose somebody asks. Nothing is written down.

    Args:
        instead_of: The policy that it takes the place of.
    """
    rules = (await policies.rules(tx)).rules
    drafted = Rule(
        id=instead_of or new_id(tx.now),
        name=new.name,
        effect=new.effect,
        subject=new.subject,
        connections=new.connections,
        modes=new.modes,
        conditions=new.conditions,
    )
    after = [*(rule for rule in rules if rule.id != instead_of), drafted]
    living = tx.select(t.runtimes).where(t.runtimes.c.revoked_at.is_(None))
    runtimes = await tx.all(Runtime, living.order_by(t.runtimes.c.id.desc()).limit(NEWEST + 1))
    known = await connections.listing(tx, limit=NEWEST + 1)
    found: list[Difference] = []
    weighed, whole = 0, len(runtimes) <= NEWEST and len(known) <= NEWEST
    usual: dict[Mode, tuple[bool, bool]] = {}
    for each in _weighed(runtimes[:NEWEST], known[:NEWEST], rules, after):
        weighed += len(after)
        if len(found) >= MOST or weighed > MOST_WEIGHED:
            whole = False
            break
        comes = each.before.allowed, each.after.allowed
        if each.agent is None:
            usual[each.mode] = comes
        if comes[0] != comes[1] and (each.agent is None or comes != usual[each.mode]):
            found.append(each)
    return Foreseen(differences=found, whole=whole)


def _weighed(
    runtimes: Sequence[Runtime], known: Sequence[Connection], before: Sequence[Rule], after: Sequence[Rule]
) -> Iterator[Difference]:
    """Any agent that no policy names, and then each that one does, with everything in every way."""
    agents = [None, *sorted({name for rule in (*before, *after) for name in rule.subject.agents})]
    for runtime, connection, agent in product(runtimes, known, agents):
        asking, wanted = asking_of(runtime, agent or "", None), wanted_of(connection)
        for mode in MODES:
            was, will = (deciding.decide(rules, asking, wanted, mode, None) for rules in (before, after))
            yield Difference(runtime=runtime, agent=agent, connection=connection, mode=mode, before=was, after=will)
