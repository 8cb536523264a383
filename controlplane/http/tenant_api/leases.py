"""/v1/tenants/{tenant}/leases: what is out, ending it; and every read of a credential, by what it is recognized by."""

from typing import Annotated, TypeAlias

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor, reads
from controlplane.domain.audit.reads import Read
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import leased, prints
from controlplane.domain.vault.leased import Leased, State, Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.manners import plain_answer
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity, maybe
from controlplane.http.words import word
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]

MOST_FOUND = 500


class Revoking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases that have all of this in common; at least one thing, or ``all``."""

    runtime: Name | None = None
    connection: Name | None = None
    agent: Name | None = None
    run: Name | None = None
    all: bool = False
    """Every lease of the tenant."""


class LeasesUnnamed(Refusal):
    """Nothing was named, or something besides everything."""

    code, status, title = "leases-unnamed", 400, "It is not clear which leases are to end"
    hint = "Name a runtime, a connection, an agent or a run, or several of them; or say all, and nothing else."


class SecretUnnamed(Refusal):
    """Neither was given, or both."""

    code, status, title = "secret-unnamed", 400, "A secret is looked for by itself or by its fingerprint"
    hint = "Give one of secret and fingerprint."


class RevokedView(Struct, frozen=True, kw_only=True):
    leases: int


class Sought(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has turned up somewhere."""

    secret: Annotated[str, Meta(min_length=1, max_length=8192, pattern=r"^[^\u0000]*$")] | None = None
    """The token itself. It is not kept; or:"""
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None
    """As it stands in the record of reads."""


class LeaseView(Struct, frozen=True, kw_only=True):
    """Never what was leased."""

    id: str
    state: State
    """That a lease has ended does not end the token that it held: that lives until it expires at its provider."""
    runtime: str
    connection: str
    agent: str
    run: str
    tool: str
    purpose: str
    cred_version: int
    policy: str
    """The one that let it have it."""
    issued_at: Moment
    renewed_at: Moment | None
    expires_at: Moment
    dies_at: Moment | None
    """When its token dies, because it was refreshed at a provider that kills the one before."""
    revoked_at: Moment | None
    revoked_by: str
    unsealed: bool
    """Its runtime cannot sign and has it as it is; nothing tells it that this was revoked."""


class ReadView(Struct, frozen=True, kw_only=True):
    """One request for a credential, and what came of it."""

    seq: int
    at: Moment
    act: str
    """``lease``, ``renew``, ``call``, ``dry-run``; ``unsealed``: by the key of a runtime that cannot sign."""
    outcome: str
    runtime: str
    agent: str
    run: str
    tool: str
    purpose: str
    connection: str | None
    cred_version: int | None
    scopes: list[str]
    rule: str
    """The policy that decided, or why none was asked."""
    lease: str | None
    call: str | None
    """Method, host and path of a call that was made for the runtime; null where the credential went to it."""
    address: str
    fingerprints: list[str]
    sealed_by: int | None
    """Number of the audit event that holds the root over it; null for a second or so."""


class ReadsView(Struct, frozen=True, kw_only=True):
    data: list[ReadView]


class LeasesController(Controller):
    path = "/leases"
    tags = ("leases",)
    opt = rule(Surface.TENANT, "lease:read")

    @get("/")
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        runtime: FromQuery[str | None] = None,
        connection: FromQuery[str | None] = None,
        agent: FromQuery[str | None] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    ) -> Page[LeaseView]:
        """Leases, newest first."""
        which = _which(runtime, connection, word("agent", agent), None)
        rows = await leased.listing(tx, which, state=in_state, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, lambda row: _view(row, tx))

    @get("/{lease:str}")
    async def show(self, tx: NamedDependency[TenantTx], lease: FromPath[str]) -> LeaseView:
        """One lease."""
        return _view(await leased.get(tx, identity("lea", lease)), tx)

    @delete("/{lease:str}", opt=rule(Surface.TENANT, "lease:revoke"))
    async def revoke(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], lease: FromPath[str]) -> None:
        """End a lease: it is not renewed, and its runtime is told with the next heartbeat to stop."""
        await leased.revoke(tx, actor, identity("lea", lease))

    @post("/revoke", status_code=200, opt={**rule(Surface.TENANT, "lease:revoke"), **plain_answer()})
    async def revoke_all(
        self, data: JSONBody[Revoking], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> RevokedView:
        """End every lease of a runtime, a connection, an agent, a run, or of the whole tenant."""
        which = _which(data.runtime, data.connection, data.agent, data.run)
        if (which == leased.ALL) != data.all:
            raise LeasesUnnamed
        return RevokedView(leases=await leased.revoke_all(tx, actor, which))


class VaultReadsController(Controller):
    path = "/vault-reads"
    tags = ("leases",)
    opt = rule(Surface.TENANT, "audit:read")

    @get("/")
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        runtime: FromQuery[str | None] = None,
        connection: FromQuery[str | None] = None,
    ) -> Page[ReadView]:
        """Every request for a credential, newest first, refused ones too."""
        of_runtime = maybe("rt", runtime)
        of_connection = maybe("con", connection)
        rows = await reads.listing(tx, of_runtime, of_connection, after=paging.after_number, limit=paging.fetch)
        return paging.page(rows, lambda row: row.seq, _read)

    @post("/search", status_code=200, opt={**rule(Surface.TENANT, "audit:read"), **plain_answer()})
    async def search(
        self, data: JSONBody[Sought], tx: NamedDependency[TenantTx], keyring: NamedDependency[Keyring]
    ) -> ReadsView:
        """A secret has turned up somewhere: which reads gave it to whom. The newest 500."""
        if (data.secret is None) == (data.fingerprint is None):
            raise SecretUnnamed
        if data.secret is not None:
            wanted = prints.print_of(keyring, tx.tenant_id, data.secret)
        else:
            wanted = bytes.fromhex(data.fingerprint or "")
        return ReadsView(data=[_read(each) for each in await reads.recognized(tx, wanted, limit=MOST_FOUND)])


def _which(runtime: str | None, connection: str | None, agent: str | None, run: str | None) -> Which:
    return Which(
        runtime_id=maybe("rt", runtime),
        connection_id=maybe("con", connection),
        agent=agent,
        run=run,
    )


def _view(its: Leased, tx: TenantTx) -> LeaseView:
    return LeaseView(
        id=text_id("lea", its.id),
        state=its.state(tx.now),
        runtime=text_id("rt", its.runtime_id),
        connection=text_id("con", its.connection_id),
        agent=its.agent,
        run=its.run,
        tool=its.tool,
        purpose=its.purpose,
        cred_version=its.cred_version,
        policy=text_id("pol", its.policy_id),
        issued_at=moment(its.issued_at),
        renewed_at=moment(its.renewed_at),
        expires_at=moment(its.expires_at),
        dies_at=moment(its.dies_at),
        revoked_at=moment(its.revoked_at),
        revoked_by=its.revoked_by,
        unsealed=its.unsealed,
    )


def _read(its: Read) -> ReadView:
    return ReadView(
        seq=its.seq,
        at=moment(its.occurred_at),
        act=its.act,
        outcome=its.outcome,
        runtime=text_id("rt", its.runtime_id),
        agent=its.agent,
        run=its.run,
        tool=its.tool,
        purpose=its.purpose,
        connection=text_id("con", its.connection_id) if its.connection_id else None,
        cred_version=its.cred_version,
        scopes=its.scopes,
        rule=its.rule,
        lease=text_id("lea", its.lease_id) if its.lease_id else None,
        call=its.call,
        address=its.address,
        fingerprints=[each.hex() for each in its.prints],
        sealed_by=its.sealed_by,
    )
