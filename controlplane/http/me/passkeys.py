"""/v1/me/passkeys: the keys that sign in without a password."""

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import ceremonies, passkeys, people
from controlplane.domain.audit import Actor
from controlplane.domain.ceremonies import Ceremony, CeremonyOver
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Name, NewCredential, Registration
from controlplane.domain.permissions import Person
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.me.sign_in import AnyRequest, Token
from controlplane.http.pages import Page, PageInfo
from controlplane.http.paths import identity
from controlplane.http.signing_in import Asked, site_for
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit.ids import text_id

FRESH = rule(Surface.ME, fresh=True)


class NewPasskey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket: Token
    credential: NewCredential
    name: Name = "Passkey"


class PasskeyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name


class PasskeyView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    backed_up: bool
    created_at: Moment
    last_used_at: Moment | None


class PasskeysController(Controller):
    path = "/passkeys"
    tags = ("me",)
    dependencies = PLATFORM_TX

    @get("/", opt=rule(Surface.ME))
    async def listing(self, tx: NamedDependency[PlatformTx], person: NamedDependency[Person]) -> Page[PasskeyView]:
        """One's passkeys, oldest first."""
        found = await passkeys.listing(tx, person.account_id)
        return Page(data=[_view(each) for each in found], page=PageInfo(next_cursor=None, has_more=False))

    @post("/options", status_code=200, opt=FRESH)
    async def options(
        self,
        request: AnyRequest,
        tx: NamedDependency[PlatformTx],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> Asked:
        """What to ask the browser's authenticators for: `navigator.credentials.create({publicKey})`."""
        site, challenge = site_for(request), passkeys.challenge()
        account = await people.get(tx, person.account_id)
        begun = Ceremony(kind="passkey-new", account_id=account.id, session_id=person.session_id, challenge=challenge)
        ticket = await ceremonies.begin(tx, keyring.pepper, begun)
        return Asked(ticket=ticket, public_key=await passkeys.creation(tx, actor, site, account, challenge))

    @post("/", status_code=201, opt=FRESH)
    async def add(
        self,
        data: JSONBody[NewPasskey],
        request: AnyRequest,
        db: NamedDependency[Database],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> PasskeyView:
        """Keep the passkey that an authenticator has made."""
        async with db.platform() as tx:  # a challenge is good for one answer, right or wrong
            asked = await ceremonies.use_up(tx, keyring.pepper, "passkey-new", data.ticket)
        if asked.session_id != person.session_id or asked.challenge is None:
            raise CeremonyOver
        made = Registration(credential=data.credential, challenge=asked.challenge, name=data.name)
        async with db.platform() as tx:
            return _view(await passkeys.register(tx, actor, site_for(request), person.account_id, made))

    @patch("/{passkey:str}", opt=rule(Surface.ME))
    async def rename(
        self,
        data: JSONBody[PasskeyChange],
        tx: NamedDependency[PlatformTx],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
        passkey: FromPath[str],
    ) -> PasskeyView:
        """Call it something else."""
        return _view(await passkeys.rename(tx, actor, person.account_id, identity("pk", passkey), data.name))

    @delete("/{passkey:str}", opt=FRESH)
    async def remove(
        self,
        tx: NamedDependency[PlatformTx],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
        passkey: FromPath[str],
    ) -> None:
        """Remove it: it signs in no longer."""
        await passkeys.remove(tx, actor, person.account_id, identity("pk", passkey))


def _view(passkey: passkeys.Passkey) -> PasskeyView:
    return PasskeyView(
        id=text_id("pk", passkey.id),
        name=passkey.name,
        backed_up=passkey.backed_up,
        created_at=moment(passkey.created_at),
        last_used_at=moment(passkey.last_used_at),
    )
