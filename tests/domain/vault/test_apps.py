"""OAuth apps: secrets go in, are opened for the provider alone, and are shown to nobody."""

import pytest

from controlplane.db import schema as t
from controlplane.domain import audit
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import AppInUse, Change, NewApp, TooManyApps
from controlplane.domain.vault.sealed import Proof
from controlplane.kit.envelope import NotOpened
from controlplane.kit.problems import NotFound
from controlplane.kit.secret import Secret
from tests.domain.vault.begun import typed
from tests.make import SHELL


def github(**given):
    return NewApp(**{"provider": "github-oauth", "name": "Ours", "client_id": "abc", **given})


async def test_an_apps_secret_is_opened_again_and_shown_nowhere(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        app = await apps.create(tx, SHELL, github(proof=Proof(secret=Secret("hush-hush"))))
    async with db.tenant(tenant.tenant_id) as tx:
        client = await apps.client(tx, app.id, "https://here.example/back")

    assert (client.id, client.secret.reveal(), client.redirect_uri) == ("abc", "hush-hush", "https://here.example/back")
    assert "hush" not in repr(app)
    assert (app.secret_version, app.state) == (1, "ok")


async def test_a_public_client_has_no_secret(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        app = await apps.create(tx, SHELL, github())
        assert (await apps.client(tx, app.id)).secret is None
    assert app.secret_version == 0


async def test_a_new_secret_is_a_new_version_and_the_old_envelope_does_not_open_as_it(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        app = await apps.create(tx, SHELL, github(proof=Proof(secret=Secret("first"))))
        old = await tx.scalar(tx.select(t.oauth_apps).with_only_columns(t.oauth_apps.c.secret_blob))
        changed = await apps.change(tx, SHELL, app.id, Change(proof=Proof(secret=Secret("second"))))
        assert (await apps.client(tx, app.id)).secret.reveal() == "second"
        await tx.run(tx.update(t.oauth_apps).values(secret_blob=old))

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NotOpened):
            await apps.client(tx, app.id)
    assert changed.secret_version == 2


async def test_an_envelope_that_is_moved_to_another_app_does_not_open(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        first = await apps.create(tx, SHELL, github(proof=Proof(secret=Secret("first"))))
        second = await apps.create(tx, SHELL, github(proof=Proof(secret=Secret("second"))))
        its = t.oauth_apps.c
        blob = await tx.scalar(tx.select(t.oauth_apps).with_only_columns(its.secret_blob).where(its.id == first.id))
        await tx.run(tx.update(t.oauth_apps).where(its.id == second.id).values(secret_blob=blob))

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(NotOpened):
            await apps.client(tx, second.id)


async def test_other_credentials_mend_a_broken_app(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        app = await apps.create(tx, SHELL, github(proof=Proof(secret=Secret("first"))))
        assert await apps.broken(tx, SHELL, app.id, "invalid_client")
        assert not await apps.broken(tx, SHELL, app.id, "invalid_client")
        assert (await apps.get(tx, app.id)).state == "broken"

    async with db.tenant(tenant.tenant_id) as tx:
        renamed = await apps.change(tx, SHELL, app.id, Change(name="Renamed"))
        mended = await apps.change(tx, SHELL, app.id, Change(proof=Proof(secret=Secret("second"))))
        written = [event.action for event in await audit.listing(tx, limit=10)]

    assert (renamed.state, mended.state) == ("broken", "ok")
    assert written[:2] == ["oauth-app.broken", "oauth-app.created"]


async def test_an_app_that_something_is_connected_through_stays(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        app = await apps.create(tx, SHELL, github())
        made = await typed(tx)
        await tx.run(tx.update(t.connections).where(t.connections.c.id == made.id).values(app_id=app.id))

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(AppInUse):
            await apps.delete(tx, SHELL, app.id)
        await tx.run(tx.update(t.connections).values(state="deleted"))
        await apps.delete(tx, SHELL, app.id)
        with pytest.raises(NotFound):
            await apps.get(tx, app.id)


async def test_there_are_not_more_apps_than_anybody_needs(db, make, monkeypatch):
    monkeypatch.setattr(apps, "MOST", 2)
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        for _ in range(2):
            await apps.create(tx, SHELL, github())
        with pytest.raises(TooManyApps):
            await apps.create(tx, SHELL, github())


async def test_the_platforms_apps_are_apart_and_have_no_addresses_of_their_own(db, make):
    tenant = await make.tenant()

    async with db.platform() as platform:
        app = await apps.create(platform, SHELL, github(proof=Proof(secret=Secret("the platform's"))))
        assert (await apps.client(platform, app.id)).secret.reveal() == "the platform's"
        with pytest.raises(AssertionError, match="where the catalogue says"):
            await apps.create(platform, SHELL, github(overrides={"token_url": "https://elsewhere.example"}))

    assert app.is_platform
    async with db.tenant(tenant.tenant_id) as tx:
        assert await apps.listing(tx, after=None, limit=10) == []
