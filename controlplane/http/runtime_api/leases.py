"""/v1/runtime/leases and what belongs to them: credentials for runtimes, sealed to each one's own key."""

from typing import Any

import msgspec
from litestar import Controller, Request, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from controlplane.db.database import Database
from controlplane.domain import keys, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.domain.vault import deciding, leased
from controlplane.domain.vault.deciding import MODES
from controlplane.domain.vault.leasing import Ask, Leasing
from controlplane.domain.vault.looking import Caller, Seen
from controlplane.domain.vault.prints import base64url
from controlplane.http import limits
from controlplane.http.authorize import Surface, rule
from controlplane.http.headers import request_id
from controlplane.http.paths import identity
from controlplane.http.runtime_api import signed
from controlplane.kit.ids import text_id
from runtime_agent.wire.leases import (
    Decided,
    Lease,
    LeaseKey,
    LeaseKeys,
    LeaseRequest,
    Pinned,
    RenewRequest,
    Revoked,
    SealingKey,
    Selector,
    Usable,
    Usables,
    kid_of,
    vouching,
)


class LeasesController(Controller):
    @post("/leases", status_code=200, opt=rule(Surface.RUNTIME, "credential:lease"), summary="Lease a credential")
    async def lease(
        self,
        data: JSONBody[LeaseRequest],
        request: Request[Runtime, Any, Any],
        leasing: NamedDependency[Leasing],
    ) -> Lease | Decided:
        """Get a credential for a while, sealed to the runtime's key and signed by the control plane.

        A signed request: the token is not enough. What policies do not let the runtime know of is not found.
        """
        runtime = request.user  # as guarded; each dependency is made and checked by itself, with every lease
        caller = await leasing.sights.caller(runtime, anew=False)
        nonce = await signed.check(request, leasing.db, caller)
        address = limits.address(request)
        return await leasing.lease(Ask(runtime=runtime, caller=caller, nonce=nonce, address=address, request=data))

    @post(
        "/leases/{lease:str}/renew",
        status_code=200,
        opt=rule(Surface.RUNTIME, "credential:lease"),
        summary="Renew a lease",
    )
    async def renew(
        self,
        data: JSONBody[RenewRequest],
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        leasing: NamedDependency[Leasing],
        lease: FromPath[str],
    ) -> Lease:
        """Have a lease last longer, with the credential as it is now. Everything is decided anew."""
        caller = await leasing.sights.caller(runtime)
        nonce = await signed.check(request, leasing.db, caller)
        async with leasing.db.tenant(runtime.tenant_id) as tx:
            held = await leased.renewable(tx, runtime.id, identity("lea", lease))
        asked = LeaseRequest(
            connection=text_id("con", held.connection_id),
            agent=held.agent,
            run=held.run,
            tool=held.tool,
            purpose=held.purpose,
            min_ttl_s=data.min_ttl_s,
        )
        address = limits.address(request)
        ask = Ask(runtime=runtime, caller=caller, nonce=nonce, address=address, request=asked, renews=held.id)
        renewed = await leasing.lease(ask)
        assert isinstance(renewed, Lease), "no dry run was asked for"
        return msgspec.structs.replace(renewed, superseded=renewed.bound.cred_version != held.cred_version)

    @post(
        "/leases/{lease:str}/return",
        status_code=200,
        opt=rule(Surface.RUNTIME, "credential:lease"),
        summary="Give a lease back",
    )
    async def give_back(
        self,
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        leasing: NamedDependency[Leasing],
        lease: FromPath[str],
    ) -> Revoked:
        """End a lease that is not needed any more."""
        caller = await leasing.sights.caller(runtime)
        await signed.check(request, leasing.db, caller)
        async with leasing.db.tenant(runtime.tenant_id) as tx:
            held = await leased.renewable(tx, runtime.id, identity("lea", lease))
            await leased.revoke(tx, _actor(request, caller), held.id)
        return Revoked(lease=lease)

    @get("/credentials", opt=rule(Surface.RUNTIME, "credential:lease"), summary="See what may be leased")
    async def usable(self, runtime: NamedDependency[Runtime], leasing: NamedDependency[Leasing]) -> Usables:
        """The connections that the runtime may know of, and how it may use each."""
        caller = await leasing.sights.caller(runtime)
        found = await leasing.sights.matching(runtime.tenant_id, caller, Selector())
        shown = ((seen, _modes(caller, seen, leasing.db)) for seen in found)
        return Usables(connections=[_usable(seen, modes) for seen, modes in shown if modes])

    @put(
        "/sealing-key",
        opt=rule(Surface.RUNTIME, "credential:lease"),
        summary="Have leases sealed to another key",
    )
    async def pin(
        self,
        data: JSONBody[SealingKey],
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        leasing: NamedDependency[Leasing],
    ) -> Pinned:
        """A signed request, by the key that joined: nothing else can change what is sealed to."""
        caller = await leasing.sights.caller(runtime)
        await signed.check(request, leasing.db, caller)
        public_key = runtimes.sealing_key(data.suite, data.public_key)
        async with leasing.db.tenant(runtime.tenant_id) as tx:
            await runtimes.pin(tx, _actor(request, caller), runtime.id, data.suite, public_key)
        return Pinned(kid=kid_of(data.suite, public_key), suite=data.suite)

    @get("/lease-keys", opt=rule(Surface.RUNTIME, "credential:lease"), summary="See what leases are signed with")
    async def lease_keys(self, keyring: NamedDependency[Keyring]) -> LeaseKeys:
        """The control plane's keys, each vouched for by the others: who knows one can trust the rest."""
        own = keys.lease_keys(keyring)
        public = {name: key.public_key().public_bytes_raw() for name, key in own.items()}
        return LeaseKeys(
            keys=[
                LeaseKey(
                    key=name,
                    public_key=base64url(raw),
                    vouched={other: base64url(key.sign(vouching(raw))) for other, key in own.items() if other != name},
                )
                for name, raw in public.items()
            ]
        )


def _modes(caller: Caller, seen: Seen, db: Database) -> list[str]:
    rules, now = caller.rules.rules, db.clock()
    return [mode for mode in MODES if deciding.decide(rules, caller.asking(), seen.wanted(), mode, now).allowed]


def _usable(seen: Seen, modes: list[str]) -> Usable:
    return Usable(
        connection=seen.shown,
        name=seen.name,
        provider=seen.provider,
        account=seen.account_name,
        state=seen.state,
        modes=modes,
        expires_at=seen.access_exp,
        cred_version=seen.cred_version,
    )


def _actor(request: Request[Runtime, Any, Any], caller: Caller) -> Actor:
    return Actor(kind="runtime", id=caller.shown, request_id=request_id(request.scope))
