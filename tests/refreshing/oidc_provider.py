"""The same against a server that is not ours: ``oidc-provider``, which ends a grant when a token is sent twice.

Part of ``make refreshes``; needs node, and what ``make conformance`` installs.
"""

import asyncio
from datetime import timedelta

import pytest
from msgspec import Struct

from conformance.test_oauth_client import CLIENTS, SECRET, connected, issuer, server
from controlplane.domain.vault import apps
from controlplane.domain.vault.sealed import Proof
from controlplane.domain.vault.standing import NeedsReauth
from controlplane.kit.guard import Guard
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.granting import refresh
from controlplane.kit.secret import Secret
from tests.make import SHELL
from tests.refreshing.rig import Rig

__all__ = ["issuer", "server"]


class Granted(Struct):
    refresh: str


@pytest.fixture
def caller(db):
    return Caller(Guard(loopback=True), db.clock)


@pytest.fixture
async def rig(db, make, strict, server, caller):
    tokens = await connected(caller, server, CLIENTS["post"])
    strict.endpoints = lambda: {"token": server.token}
    strict.grant = lambda: (Granted(tokens.refresh.reveal()), tokens.access)
    rig = await Rig(db, make, strict).connect()
    async with db.tenant(rig.tenant_id) as tx:
        ours = apps.Change(client_id="post", proof=Proof(secret=Secret(SECRET)), client_auth="post")
        await apps.change(tx, SHELL, rig.app_id, ours)
    yield rig
    await rig.close()


async def test_three_processes_and_sixty_callers_go_on_and_on(rig, clock):
    three = [rig.refresher() for _ in range(3)]

    for version in range(2, 7):
        clock.forward(timedelta(hours=2))
        await asyncio.gather(*(each.ensure(rig.tenant_id, rig.id) for each in three for _ in range(20)))
        assert (await rig.seen()).cred_version == version

    assert (await rig.seen()).state == "active"


async def test_a_token_that_somebody_else_has_used_up_ends_it_and_that_is_said(rig, clock, caller, server):
    clock.forward(timedelta(hours=2))
    await refresh(caller, server, CLIENTS["post"], Secret(rig.grant.refresh))

    with pytest.raises(NeedsReauth) as refused:
        await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert refused.value.reason == "invalid_grant"
