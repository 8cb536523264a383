"""What the tests of connecting share: an app, a session, and what a provider gave for it."""

from datetime import timedelta

from msgspec.structs import replace

from controlplane.db import schema as t
from controlplane.domain.vault import (
    apps,
    confirming,
    connecting,
    leaving,
    policies,
    return_urls,
    sealed,
    statics,
    waiting,
)
from controlplane.domain.vault.apps import NewApp
from controlplane.domain.vault.confirming import Arrived
from controlplane.domain.vault.connecting import Departure, NewSession
from controlplane.domain.vault.policies import NewPolicy
from controlplane.domain.vault.provider import Field, Provider, Verified
from controlplane.domain.vault.sealed import Access, Proof
from controlplane.kit.ids import new_id
from controlplane.kit.oauth.devices import Device
from controlplane.kit.secret import Secret
from tests.conftest import KEYRING
from tests.make import SHELL

ON = Verified(endpoints="none", behavior="none", on="2026-11")


def provider(name, *fields, **given):
    kind = (
        {"kind": "static", "fields": {field: Field(title=field) for field in fields}} if fields else {"kind": "oauth2"}
    )
    return Provider(
        **{"id": name, "name": name, "category": "generic", "verified": ON, "own_urls": True, **kind, **given}
    )


API_KEY, BASIC_AUTH = provider("generic-api-key", "api_key"), provider("generic-basic", "username", "password")
CUSTOM, SECRET = provider("generic-custom", "secret"), provider("secret", "value")
GENERIC = provider("generic-oauth2")
TWILIO = provider(
    "twilio",
    own_urls=False,
    kind="static",
    fields={"account_sid": Field(title="SID", secret=False, shape="name"), "auth_token": Field(title="Token")},
)
PEPPER = KEYRING.pepper
GIVEN = Arrived(
    access=Secret("at-of-ada"),
    refresh=Secret("rt-of-ada"),
    account_key="ada",
    account_name="Ada",
    account_email="ada@example.com",
    endpoints={"token": "https://as.example/token", "revoke": "https://as.example/revoke"},
)
DEVICE = Device(
    code=Secret("dc"), user_code="ABCD", address="https://as.example/activate", expires_in_s=600, interval_s=5
)
LEFT = Departure(
    issuer="https://as.example",
    endpoints=GIVEN.endpoints,
    verifier=Secret("verifier"),
    redirect_uri="https://here.example/oauth/callback/x",
    browser="a browser",
)


async def app(tx, **given):
    """An app of the tenant that browsers are sent through, and that gets tokens by itself."""
    places = {"authorize": "https://as.example/authorize", "token": "https://as.example/token"}
    new = {"provider": "generic-oauth2", "name": "Ours", "client_id": "abc", "overrides": places, **given}
    return await apps.create(tx, SHELL, NewApp(proof=Proof(secret=Secret("hush")), **new))


async def begin(tx, **given):
    """A session through an app of the tenant, and its ticket."""
    through = await app(tx)
    wanted = NewSession(
        **{"provider": "generic-oauth2", "app_id": through.id, "owner_ref": "u-7", "scopes": ["a", "b"], **given}
    )
    return await connecting.begin(tx, PEPPER, SHELL, wanted)


async def arrive(tx, session=None, **given):
    """What came back for a session, waiting to be confirmed."""
    if session is None:
        session, _ = await begin(tx)
    return await confirming.arrive(tx, SHELL, session, replace(GIVEN, **given))


async def connected(tx, **given):
    """A connection that somebody has confirmed."""
    pending = await arrive(tx, **given)
    return await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")


async def typed(tx):
    """A credential that somebody has put in."""
    new = statics.NewStatic(name="x", fields={"value": Secret("x")})
    return await statics.create(tx, SHELL, SECRET, new)


async def leased(tx, mark, runtime_id, connection_id):
    """A lease that is out, with the record of it, of an agent called *mark*."""
    lease_id, policy = (
        new_id(tx.now),
        await policies.create(tx, SHELL, NewPolicy(name=mark, effect="allow", modes=["lease"])),
    )
    who = {"runtime_id": runtime_id, "connection_id": connection_id, "agent": mark, "cred_version": 1}
    words = dict.fromkeys(("run", "tool", "purpose"), mark)
    its = {"id": lease_id, "policy_id": policy.id, "issued_at": tx.now, "expires_at": tx.now + timedelta(minutes=15)}
    await tx.run(tx.insert(t.leases).values(**who, **words, **its, revoked_by=""))
    read = {"occurred_us": 0, "act": "lease", "outcome": "success", "scopes": [mark], "rule": mark, "kid": mark}
    more = {"policies_version": 1, "lease_id": lease_id, "nonce": lease_id.bytes, "address": mark, "prints": [b"p"]}
    await tx.run(tx.insert(t.vault_reads).values(**who, **words, **read, **more))
    known = {"connection_id": connection_id, "cred_version": 1, "prints": [b"p"]}
    await tx.run(tx.insert(t.credential_prints).values(**known))
    return lease_id


async def elsewhere(tx, session):
    """Somebody who is to consent on another device, with a code to ask with."""
    await waiting.begin(tx, SHELL, session.id, DEVICE, {"token": "https://as.example/token"})


async def fill(tx, mark, runtime_id=None):
    """Something of everything that a tenant has here, called *mark*.

    Args:
        runtime_id: Who holds a lease; None: nobody does.
    """
    await return_urls.decide(tx, SHELL, [f"https://{mark}.example/connected"])
    made = await connected(tx, account_name=mark, account_email=f"{mark}@example.org", facts={"api_base": mark})
    session, _ = await begin(tx, name=mark, labels={"of": mark}, owner_ref=mark)
    await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)
    await elsewhere(tx, session)
    orphan = {"access_blob": await sealed.seal_access(tx, made.id, 2, Access(token=Secret(mark)))}
    lost = {"from_version": 1, "fence": 1, "taken": False, "granted_scopes": [mark], "created_at": tx.now}
    await tx.run(tx.insert(t.refresh_orphans).values(id=new_id(tx.now), connection_id=made.id, **orphan, **lost))
    if runtime_id is not None:
        await leased(tx, mark, runtime_id, made.id)
    gone = await connected(tx)
    await leaving.delete(tx, SHELL, gone.id, mark)
