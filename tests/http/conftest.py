"""What the tests of doors share."""

import io
import logging

import pytest
import structlog

from controlplane.chores.send_mails import send_mails
from controlplane.domain import projects
from controlplane.domain.letters import Letterhead
from controlplane.kit import log
from tests.conftest import KEYRING
from tests.fakes import LetterBox
from tests.http.agents import Agent
from tests.http.browsing import Browser
from tests.http.directory import Directory
from tests.runtimes import join


@pytest.fixture
def logged():
    """Everything that is logged, as it is written where nobody sits at a terminal."""
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    stream = io.StringIO()
    log.configure(level=logging.DEBUG, stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(logging.WARNING)


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def runtime(db, tenant):
    """One that has joined in the tenant's first project, without HTTP."""
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    return await join(db, tenant.tenant_id, project.id)


@pytest.fixture
def browsing(client, make, tenant):
    """Opens a browser of somebody with a role."""

    async def browsing(role="owner"):
        return Browser(client, tenant, await make.person(tenant, role))

    return browsing


@pytest.fixture
async def owner(browsing):
    return await browsing()


@pytest.fixture
async def agent(client, clock, make, tenant):
    """An agent that has joined."""
    agent = Agent(client, clock)
    reply = await agent.enroll(await make.join_token(tenant))
    assert reply.status_code == 201, reply.text
    return agent


@pytest.fixture
async def api(client, make, tenant):
    """Calls the tenant's API by a key of an owner, or with the headers given; *more* are headers beside."""
    key = await make.api_key(tenant)

    async def api(method, path, said=None, headers=None, **more):
        given = {"json": said} if said is not None else {}
        return await client.request(
            method, f"/v1/tenants/{tenant.slug}{path}", headers={**(headers or key), **more}, **given
        )

    return api


@pytest.fixture
async def directory(client, make, tenant):
    """The directory of the tenant."""
    return Directory(client, await make.scim_token(tenant))


@pytest.fixture
def letters(db):
    """Sends what waits, and returns the box that it went to."""
    box = LetterBox()

    async def sent():
        await send_mails(db, box, Letterhead(public_url="http://test", pepper=KEYRING.pepper))
        return box

    return sent
