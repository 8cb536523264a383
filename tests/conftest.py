"""One PostgreSQL and one Redis for the whole run, a database of its own for every test, time that stands still."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, settings
from litestar import Litestar

from controlplane.app import Parts, assemble, furnish
from controlplane.db import roles
from controlplane.db.database import Database
from controlplane.db.upgrade import upgrade
from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.embedded import Services
from controlplane.settings import Settings
from tests import documented
from tests.connections import Lent
from tests.databases import TEMPLATE, Databases
from tests.make import Make
from tests.names import NameServer, serving
from tests.programs import empty_home

settings.register_profile(
    "house", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("house")

KEYRING = Keyring(current="test", keys={"test": bytes(32)}, pepper=bytes(32))
SERVERS = pytest.StashKey[Services]()


def pytest_configure(config: pytest.Config) -> None:
    """The servers start once, in the controlling process; workers find their URLs in the environment.

    ``TEST_POSTGRES_URL`` (of a superuser) and ``TEST_REDIS_URL`` name servers that run already.
    """
    if hasattr(config, "workerinput"):
        return
    services = config.stash[SERVERS] = Services()
    superuser = os.environ["TEST_SUPERUSER_URL"] = services.postgres(os.environ.get("TEST_POSTGRES_URL"))
    os.environ["TEST_REDIS_URL"] = services.redis(os.environ.get("TEST_REDIS_URL"))
    urls = asyncio.run(_make_template(superuser))
    os.environ["TEST_APP_URL"] = urls.app
    os.environ["TEST_OWNER_URL"] = urls.owner


def pytest_unconfigure(config: pytest.Config) -> None:
    if services := config.stash.get(SERVERS, None):
        services.stop()


async def _make_template(superuser: str) -> roles.Urls:
    connection = await asyncpg.connect(superuser)
    await connection.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
    await connection.close()
    urls = await roles.prepare(superuser, TEMPLATE)
    await upgrade(urls.owner)
    return urls


class FrozenClock:
    """Time that moves only when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(scope="session")
async def superuser(anyio_backend: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(os.environ["TEST_SUPERUSER_URL"])
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def databases(superuser: asyncpg.Connection) -> AsyncIterator[Databases]:
    databases = Databases(superuser, os.environ["TEST_SUPERUSER_URL"].removesuffix("/postgres"))
    yield databases
    await databases.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    """The name of a database of the test's own, as the migrations leave it."""
    made = await databases.take()
    yield made.name
    await databases.give_back(made)


@pytest.fixture
def app_url(database: str) -> str:
    """What replicas log in with."""
    return os.environ["TEST_APP_URL"].replace(f"/{TEMPLATE}", f"/{database}")


@pytest.fixture
def owner_url(database: str) -> str:
    """What migrations log in with."""
    return os.environ["TEST_OWNER_URL"].replace(f"/{TEMPLATE}", f"/{database}")


@pytest.fixture
def admin_url(database: str) -> str:
    """The superuser's, who sees everything: for looking at what really is in the database."""
    return os.environ["TEST_SUPERUSER_URL"].removesuffix("/postgres") + f"/{database}"


@pytest.fixture
def redis_url() -> str:
    """One Redis for all tests: keys have to be the test's own."""
    return os.environ["TEST_REDIS_URL"]


@pytest.fixture
async def db(databases: Databases, app_url: str, clock: FrozenClock) -> AsyncIterator[Database]:
    db = Lent(app_url, clock, sealing=keys.sealing(KEYRING))
    async with databases.connections.lend(db):
        yield db


@pytest.fixture
def make(db: Database) -> Make:
    return Make(db, KEYRING)


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    """The only DNS that the app asks for domains' records."""
    async with serving() as server:
        yield server


@pytest.fixture(scope="session")
def assembled() -> Litestar:
    """The routes, which take most of a second to put together: once for all tests."""
    return assemble()


@pytest.fixture(scope="session")
def said_once() -> dict[str, bytes]:
    """The API document, which takes as long again, once a test has asked for it."""
    return {}


@pytest.fixture
async def app(
    assembled: Litestar, said_once: dict[str, bytes], db: Database, names: NameServer, tmp_path: Path
) -> AsyncIterator[Litestar]:
    blob_url = f"file://{tmp_path}/blobs"
    given = Settings(public_url="http://test", dns_servers=names.place, outbound_loopback=True, blob_url=blob_url)
    app = furnish(assembled, Parts(db, KEYRING, None, given), with_chores=False)
    app.state.update(said_once)
    async with app.lifespan():
        yield app
    said_once.update({name: app.state[name] for name in ("openapi",) if name in app.state})


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """The app over HTTP, in this event loop: asyncpg connections do not cross loops."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    hooks = {"response": [documented.check]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", event_hooks=hooks) as client:
        yield client


@pytest.fixture
def home() -> Iterator[Path]:
    with empty_home() as home:
        yield home
