"""What of checkpoints may leave a project's runtimes: nothing but metadata, unless the tenant says so.

An agent's own settings are the other half: it never sends more than they allow, whatever is decided here.
"""

import base64
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.kit import hpke
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal
from runtime_agent.wire.content import Policy
from runtime_agent.wire.leases import kid_of

KEEP_DAYS: Final = 90
"""How long content stays where nobody says otherwise."""

LONGEST_DAYS: Final = 3650

SUITE: Final = 1
"""X25519, in which agents seal."""


class ContentKeyInvalid(Refusal):
    """Nothing can be sealed to it."""

    code, status, title = "content-key-invalid", 400, "This is not a public key of that suite"
    hint = "`runtime-agent content keygen` makes a pair and prints the public one; the private one stays with you."


class ContentKeyMissing(Refusal):
    """Content is to be sealed, and nobody said to which key."""

    code, status, title = "content-key-missing", 400, "Sealed content takes a public key"
    hint = "Give `public_key`: of a key pair whose private half only you hold."


class ContentPolicy(Struct, frozen=True, kw_only=True):
    project_id: UUID
    policy: str
    suite: int
    public_key: bytes | None
    keep_days: int
    """Days after which the content of a checkpoint may be pruned."""
    changed_at: datetime | None

    @property
    def kid(self) -> str | None:
        """By what the key is called in manifests."""
        return kid_of(self.suite, self.public_key) if self.public_key else None


class Wish(Struct, frozen=True, kw_only=True):
    """What a tenant wants of a project's checkpoints."""

    policy: Policy
    public_key: str | None = None
    """X25519, base64url; of a pair whose private half the control plane never sees."""
    keep_days: int = KEEP_DAYS


async def of_project(tx: TenantTx, project_id: UUID) -> ContentPolicy:
    """The project's policy; of one for which nobody has decided, the least."""
    mine = tx.select(t.content_policies).where(t.content_policies.c.project_id == project_id)
    found = await tx.first(ContentPolicy, mine)
    return found or ContentPolicy(
        project_id=project_id, policy="metadata", suite=0, public_key=None, keep_days=KEEP_DAYS, changed_at=None
    )


async def decide(tx: TenantTx, actor: Actor, project_id: UUID, wish: Wish) -> ContentPolicy:
    """Decide what leaves from now on. What has come already stays as it came, until it is pruned.

    Raises:
        ContentKeyMissing: If it is to be sealed and there is no key.
        ContentKeyInvalid: If nothing can be sealed to the key.
    """
    key = _key(wish.public_key) if wish.public_key else None
    if wish.policy == "sealed" and key is None:
        raise ContentKeyMissing
    values = {
        "policy": wish.policy,
        "suite": SUITE if key else 0,
        "public_key": key,
        "keep_days": wish.keep_days,
        "changed_at": tx.now,
    }
    statement = tx.insert(t.content_policies).values(project_id=project_id, **values)
    key_columns = ["tenant_id", "project_id"]
    [decided] = await tx.take(ContentPolicy, statement.on_conflict_do_update(index_elements=key_columns, set_=values))
    target = ("project", text_id("prj", project_id))
    audit.record(
        tx, actor, "content.decided", target, policy=wish.policy, kid=decided.kid or "", keep_days=wish.keep_days
    )
    return decided


def _key(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        hpke.Lock(SUITE, key).seal(b"", b"")
    except ValueError:
        raise ContentKeyInvalid from None
    return key
