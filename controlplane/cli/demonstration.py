"""The demo beside ``up``: a tenant, a generated EngineX home that keeps moving, and a real agent that sends it.

The server knows nothing of it: the agent joins with a token like any other, from a home of its own.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from typing import Any

from controlplane.cli.child import Child
from controlplane.cli.home import Home
from controlplane.cli.problems import Declined
from controlplane.cli.reach import with_database
from controlplane.cli.shell import shell
from controlplane.db.database import Database
from controlplane.demo.home import NotOurs, Shape, is_complete, write_home
from controlplane.domain import join_tokens, people, projects, tenants
from controlplane.domain.content import policies
from controlplane.domain.content.policies import Wish
from controlplane.domain.keys import Keyring
from controlplane.embedded.account import make_folder
from controlplane.kit.clock import wall_clock
from controlplane.kit.ids import TenantId

SLUG, NAME = "demo", "Larkfield Benefits"
RUNTIME = "larkfield-vpc-1"

AGENT = (sys.executable, "-m", "runtime_agent")
MOVER = (sys.executable, "-m", "controlplane.demo")

JOIN_S = 60

SETTINGS = {
    "RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC",  # of the naive times that the home is written with
    "RUNTIME_AGENT_CONTENT": "plain",
    "RUNTIME_AGENT_COMMANDS": "rescan,drain,rollback,undo",
}
"""Of the demo's agent. Nothing in its home is anybody's, so that checkpoints can be compared and gone back to."""


def start(running: ExitStack, home: Home, url: str) -> list[Child]:
    """Make what is missing of the demo and start its processes; *running* stops them."""
    folder = home.folder / "demo"
    make_folder(folder, 0o700)
    source, agent_home = folder / "engine-home", folder / "agent"
    os.environ |= SETTINGS
    try:
        if not is_complete(source):
            write_home(source, Shape(zone=UTC), now=wall_clock())
    except NotOurs as error:
        raise Declined(f"{error}.", f"Move {source} away.") from None
    if not _has_joined(agent_home, url):
        _join(url, agent_home, source, with_database(home.folder, _let_in))

    agent = Child("agent", [*AGENT, "run", "--home", agent_home], home.logs / "agent.log")
    mover = Child("demo", [*MOVER, source, "--zone", "UTC"], home.logs / "demo.log")
    for child in (agent, mover):
        running.callback(child.stop)
        child.start()
    return [agent, mover]


def _has_joined(agent_home: Path, url: str) -> bool:
    """Whether the agent is a runtime already; where the control plane has moved to another port, it is told."""
    path = agent_home / "identity.json"
    if not path.exists():
        return False
    identity: dict[str, Any] = json.loads(path.read_bytes())
    if identity.get("runtime_id") is None:
        return False
    if identity["server"] != url:
        beside = path.with_suffix(".moved")
        beside.touch(mode=0o600)
        beside.write_text(json.dumps({**identity, "server": url}))
        beside.replace(path)
    return True


def _join(url: str, agent_home: Path, source: Path, token: str) -> None:
    who: list[str | Path] = ["--token-stdin", "--name", RUNTIME, "--home", agent_home, "--source", f"engine:{source}"]
    words: list[str | Path] = [*AGENT, "join", url, *who]
    done = subprocess.run(words, input=token, capture_output=True, text=True, timeout=JOIN_S)  # noqa: S603 - ours
    if done.returncode:
        raise Declined(f"The demo's agent could not join: {done.stderr.strip()}")


async def _let_in(db: Database, keyring: Keyring) -> str:
    """A join token of the demo tenant, which is made if it is not there, owned by the first operator."""
    tenant_id = await db.tenant_of(tenants.ROUTE, SLUG.encode()) or await _make_tenant(db)
    async with db.tenant(tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
        _, token = await join_tokens.create(tx, shell(), keyring.pepper, project.id)
        return token


async def _make_tenant(db: Database) -> TenantId:
    async with db.platform() as platform:
        operators = await people.operators(platform, after=None, limit=1)
        accounts = await people.accounts(platform, [operator.account_id for operator in operators])
    async with db.new_tenant() as tx:
        tenant = await tenants.create(tx, shell(), SLUG, NAME)
        for account in accounts.values():
            await people.add_user(tx, shell(), account, "owner")
        project = await projects.named(tx, projects.DEFAULT)
        await policies.decide(tx, shell(), project.id, Wish(policy="plain"))
        return tenant.tenant_id
