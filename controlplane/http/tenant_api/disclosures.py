"""/v1/tenants/{tenant}/disclosures: a credential in the clear, for people, two of them."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.letters import Letterhead
from controlplane.domain.permissions import Person
from controlplane.domain.vault import disclosures
from controlplane.domain.vault.disclosures import MAX_REASON, Disclosure, State, Who
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal


class DisclosureForPeople(Refusal):
    code, status, title = "disclosure-for-people", 403, "Only people who are signed in do this"
    hint = "A key is nobody: it could be held by one who then agrees with themselves."


class NewDisclosure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connection: Annotated[str, Meta(max_length=40)]
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON, pattern=r"\S")]
    """Owners read it, and it stays in the audit log."""


class DisclosureView(Struct, frozen=True, kw_only=True):
    id: str
    connection: str
    reason: str
    state: State
    """`requested`, `approved`, then `read`; or `refused`, `withdrawn`, `expired`, and `closed` by the tenant's policy."""
    requested_by: str
    """`acc_…`"""
    requested_at: Moment
    approved_by: str | None
    """Never the same."""
    approved_at: Moment | None
    expires_at: Moment
    """Until when it can be agreed to; once it is, until when it can be read."""
    read_at: Moment | None
    ended_at: Moment | None


class Disclosed(Struct, frozen=True, kw_only=True):
    """Shown this once."""

    disclosure: str
    connection: str
    cred_version: int
    token: str | None
    """An access token …"""
    scheme: str
    values: dict[str, str]
    """… or what somebody has typed in."""


class DisclosuresController(Controller):
    path = "/disclosures"
    tags = ("disclosures",)

    @get("/", opt=rule(Surface.TENANT, "lease:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[DisclosureView]:
        """Who wanted to read which credential, why, and who agreed; newest first."""
        rows = await disclosures.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, lambda row: _view(row, tx))

    @post("/", status_code=201, opt=rule(Surface.TENANT, "connection:disclose", fresh=True))
    async def create(
        self,
        data: JSONBody[NewDisclosure],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
    ) -> DisclosureView:
        """Ask to read a credential. The tenant's owners get a letter, and a second person has to agree within a day."""
        who, connection_id = _who(request, letterhead), identity("con", data.connection)
        return _view(await disclosures.request(tx, actor, who, connection_id, data.reason.strip()), tx)

    @get("/{disclosure:str}", opt=rule(Surface.TENANT, "lease:read"))
    async def show(self, tx: NamedDependency[TenantTx], disclosure: FromPath[str]) -> DisclosureView:
        """One of them; never what was read."""
        return _view(await disclosures.get(tx, identity("dis", disclosure)), tx)

    @post("/{disclosure:str}/approve", status_code=200, opt=rule(Surface.TENANT, "connection:disclose", fresh=True))
    async def approve(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
        disclosure: FromPath[str],
    ) -> DisclosureView:
        """Agree, as somebody else than who asked. It can be read once, within fifteen minutes."""
        who = _who(request, letterhead)
        return _view(await disclosures.approve(tx, actor, who, identity("dis", disclosure)), tx)

    @post("/{disclosure:str}/refuse", status_code=200, opt=rule(Surface.TENANT, "connection:disclose"))
    async def refuse(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
        disclosure: FromPath[str],
    ) -> DisclosureView:
        """Do not let it be read, also after somebody agreed; or withdraw what one has asked for."""
        who = _who(request, letterhead)
        return _view(await disclosures.refuse(tx, actor, who, identity("dis", disclosure)), tx)

    @post("/{disclosure:str}/read", status_code=200, opt=rule(Surface.TENANT, "connection:disclose", fresh=True))
    async def read(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
        keyring: NamedDependency[Keyring],
        disclosure: FromPath[str],
    ) -> Disclosed:
        """The credential, for who asked, this once. An answer that was lost is not shown again."""
        who = _who(request, letterhead)
        found = await disclosures.read(tx, actor, who, keyring, identity("dis", disclosure))
        return Disclosed(
            disclosure=text_id("dis", found.disclosure.id),
            connection=text_id("con", found.connection.id),
            cred_version=found.connection.cred_version,
            token=found.access.token.reveal() if found.access.token else None,
            scheme=found.access.scheme,
            values={name: each.reveal() for name, each in found.access.fields.items()},
        )


def _who(request: AnyRequest, letterhead: Letterhead) -> Who:
    """
    Raises:
        DisclosureForPeople: If it is a key.
    """
    person = request.user
    if not isinstance(person, Person):
        raise DisclosureForPeople
    return Who(account_id=person.account_id, name=person.name or person.email, public_url=letterhead.public_url)


def _view(row: Disclosure, tx: TenantTx) -> DisclosureView:
    return DisclosureView(
        id=text_id("dis", row.id),
        connection=text_id("con", row.connection_id),
        reason=row.reason,
        state=row.state(tx.now),
        requested_by=text_id("acc", row.requested_by),
        requested_at=moment(row.requested_at),
        approved_by=text_id("acc", row.approved_by) if row.approved_by else None,
        approved_at=moment(row.approved_at),
        expires_at=moment(row.expires_at),
        read_at=moment(row.read_at),
        ended_at=moment(row.ended_at),
    )
