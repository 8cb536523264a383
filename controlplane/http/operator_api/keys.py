"""/v1/operator/keys: credentials for the automation of those who run the service."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import PlatformTx
from controlplane.domain import api_keys, operator_keys
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import OperatorKey, Person
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id


class NewOperatorKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    expires_in: Annotated[int, Meta(ge=60, le=int(api_keys.LONGEST.total_seconds()))] = int(
        api_keys.LIFETIME.total_seconds()
    )
    """Seconds."""


class OperatorKeyView(Struct, frozen=True, kw_only=True):
    id: str
    account: str
    """Whose permissions it has, as long as they have them."""
    name: str
    hint: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class CreatedOperatorKey(OperatorKeyView, frozen=True, kw_only=True):
    key: str
    """Shown this once."""


class KeysController(Controller):
    path = "/keys"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, "operator:key-read"))
    async def listing(self, tx: NamedDependency[PlatformTx], paging: NamedDependency[Paging]) -> Page[OperatorKeyView]:
        """Operator keys, newest first; revoked and expired ones included."""
        rows = await operator_keys.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda key: key.id, _view)

    @post("/", status_code=201, opt=rule(Surface.OPERATOR, "operator:key-create", fresh=True))
    async def create(
        self,
        data: JSONBody[NewOperatorKey],
        request: AnyRequest,
        tx: NamedDependency[PlatformTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> CreatedOperatorKey:
        """Make a key with one's own permissions. Its secret is in the answer and nowhere else, ever."""
        principal = request.user
        assert isinstance(principal, Person | OperatorKey), "nobody else comes in here"
        lifetime = timedelta(seconds=data.expires_in)
        key, secret = await operator_keys.create(
            tx, actor, keyring.pepper, principal.account_id, data.name, lifetime=lifetime
        )
        return CreatedOperatorKey(key=secret, **_facts(key))

    @get("/{key:str}", opt=rule(Surface.OPERATOR, "operator:key-read"))
    async def show(self, tx: NamedDependency[PlatformTx], key: FromPath[str]) -> OperatorKeyView:
        """One key, without its secret."""
        return _view(await operator_keys.get(tx, identity("key", key)))

    @delete("/{key:str}", opt=rule(Surface.OPERATOR, "operator:key-revoke", fresh=True))
    async def revoke(self, tx: NamedDependency[PlatformTx], actor: NamedDependency[Actor], key: FromPath[str]) -> None:
        """Revoke a key at once. Doing it again changes nothing."""
        await operator_keys.revoke(tx, actor, identity("key", key))


def _view(key: operator_keys.Key) -> OperatorKeyView:
    return OperatorKeyView(**_facts(key))


def _facts(key: operator_keys.Key) -> dict[str, Any]:
    return {
        "id": text_id("key", key.id),
        "account": text_id("acc", key.account_id),
        "name": key.name,
        "hint": key.hint,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "last_used_at": moment(key.last_used_at),
        "revoked_at": moment(key.revoked_at),
    }
