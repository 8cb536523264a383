"""A key service keeps the master key: data keys move there and back, a new version takes over, and it may be away."""

from datetime import timedelta
from functools import partial

import pytest

from controlplane.db.database import Database
from controlplane.domain import keys, rotations
from controlplane.domain.keys import masters
from controlplane.domain.webhooks import endpoints
from controlplane.kit import key_services
from controlplane.kit.key_services import calls
from controlplane.kit.sealing import REMEMBERED, KeeperDown
from tests.conftest import KEYRING
from tests.key_services import Aws, Gcp, Transit, serving
from tests.make import SHELL

GRACE = timedelta(minutes=30)


@pytest.fixture(params=[Aws, Gcp, Transit], ids=["awskms", "gcpkms", "vault"])
async def service(request, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(calls, "REST_S", 0.0)
    async with serving(request.param()) as service:
        yield service


@pytest.fixture
async def there(app_url, clock, service):
    """A replica for which the service is configured."""
    keeper = key_services.named(service.kek, service.environ)
    db = Database(app_url, clock, sealing=keys.sealing(KEYRING, keeper, grace=GRACE))
    yield db
    await db.close()


@pytest.fixture
async def back(app_url, clock, service):
    """A replica for which the keyring is configured again."""

    def other(environ, master):
        return key_services.named(master, environ)

    db = Database(app_url, clock, sealing=keys.sealing(KEYRING, others=partial(other, service.environ)))
    yield db
    await db.close()


@pytest.fixture
async def holder(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        return tenant, *(await endpoints.create(tx, SHELL, "https://hooks.example.com/in"))


async def rotate(db):
    async with db.platform() as tx:
        rotation = await rotations.ask(tx, SHELL, "master")
    async for _ in rotations.go_on(db, db.sealing, SHELL, rotation.id, timedelta(0)):
        pass


async def read(db, holder):
    tenant, webhook, _ = holder
    async with db.tenant(tenant.tenant_id) as tx:
        return (await endpoints.secrets_of(tx, [webhook.id]))[webhook.id]


async def in_use(db):
    async with db.operator() as look:
        return [row.master for row in await masters.named_in(look)]


async def test_data_keys_move_to_the_service_and_back(db, there, back, holder, service):
    _, _, plain = holder

    await masters.check(there, there.sealing)
    await rotate(there)
    [master] = await in_use(db)
    assert master.startswith(service.kek)
    assert await read(there, holder) == [plain]
    await masters.check(there, there.sealing)

    await rotate(back)
    assert await in_use(db) == ["test"]
    assert await read(back, holder) == [plain]


async def test_a_new_version_is_adopted_when_somebody_says_so(db, there, holder, service):
    if isinstance(service, Aws):
        pytest.skip("AWS keeps its versions to itself")
    await rotate(there)
    service.rotate()
    assert (await in_use(db))[0][-1] == "1"

    await rotate(there)

    assert [master[-1] for master in await in_use(db)] == ["2"]
    assert await read(there, holder) == [holder[2]]


async def test_while_it_is_away_what_was_unwrapped_serves_for_the_grace_and_no_longer(there, holder, service, clock):
    await rotate(there)
    assert await read(there, holder) == [holder[2]]
    service.answer = lambda *_: (503, {})

    clock.forward(REMEMBERED)
    assert await read(there, holder) == [holder[2]]
    clock.forward(GRACE - REMEMBERED)
    with pytest.raises(KeeperDown):
        await read(there, holder)


async def test_another_installations_service_is_found_out_at_the_start(there, holder, service):
    await rotate(there)
    for versions in (getattr(service, "versions", {}), getattr(service, "keys", {})):
        versions.update({name: bytes(32) for name in versions})

    with pytest.raises(masters.MasterKeyWrong):
        await masters.check(there, there.sealing)
