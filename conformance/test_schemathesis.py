"""Requests that nobody thought of, made from the served document: every check of schemathesis, two tenants as peers."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from controlplane.cli.reach import with_database
from controlplane.cli.shell import shell
from controlplane.domain import operator_keys, people, sign_ins
from controlplane.kit.clock import wall_clock
from tests.http.agents import Agent
from tests.programs import said

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

SECONDS = 60
"""Of each run."""

CONFIG = """
base-url = "{url}"
seed = 1
max-time = {seconds}
continue-on-failure = true

[generation]
database = "none"
unique-inputs = true

# 412 and 422: what is well formed may still be about another state, or a key that had another request
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "422", "429", "5xx"]

# what is revoked stays to be seen: that is what revoking means here
[checks.use_after_free]
enabled = false

{more}
"""


@pytest.fixture(scope="module")
def tenants(up):
    """Two tenants with an API key each, by slug."""
    found = {}
    for slug in ("tenant-a", "tenant-b"):
        said(up.home, "tenant", "create", slug, "--name", slug)
        found[slug] = said(up.home, "api-key", "create", "--tenant", slug, "--name", "schemathesis", "--role", "owner")
    return found


@pytest.fixture(scope="module")
def operator_secrets(up):
    """The key of an operator, and the token of a session of theirs."""

    async def work(db, keyring):
        async with db.platform() as tx:
            account = await people.account_for(tx, shell(), "schemathesis@example.com")
            await people.make_operator(tx, shell(), account.id)
            _, key = await operator_keys.create(tx, shell(), keyring.pepper, account.id, "schemathesis")
            return {"key": key, "session": await sign_ins.begin(tx, shell(), keyring.pepper, account.id, "tests")}

    return aside(lambda: with_database(up.home, work))


@pytest.fixture
def schemathesis(up, tmp_path):
    """Run it on some operations, with what its configuration has to say besides; its output where it found something."""

    def run(which, more, *words):
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format(url=up.url, seconds=SECONDS, more=more))
        document = tmp_path / "openapi.json"
        document.write_text(json.dumps(without_cursors(up.get("/openapi.json").json())))
        only = ["--include-path-regex", which, "--checks", "all", "--suppress-health-check", "all"]
        done = subprocess.run(
            [SCHEMATHESIS, "--config-file", tmp_path / "schemathesis.toml", "run", document, *only, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        return done.stdout[-20_000:] if done.returncode else None

    return run


def test_a_tenants_operations_with_another_tenant_as_peer(schemathesis, tenants, tmp_path):
    wfc = {
        "auth": [
            {"name": slug, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
            for slug, key in tenants.items()
        ]
    }
    (tmp_path / "wfc.yaml").write_text(yaml.safe_dump(wfc))
    more = '[auth.wfc]\npath = "wfc.yaml"\nuser = "tenant-a"\npeers = ["tenant-a", "tenant-b"]\n'

    assert schemathesis("^/v1/tenants/", f'{more}[parameters]\n"path.tenant" = "tenant-a"\n') is None


def test_the_operators_operations(schemathesis, operator_secrets):
    more = f'[auth.openapi.operatorKey]\nbearer = "{operator_secrets["key"]}"\n'

    assert schemathesis("^/v1/operator", more) is None


def test_what_one_does_about_oneself(schemathesis, operator_secrets):
    more = f'[auth.openapi.session]\napi_key = "{operator_secrets["session"]}"\n'

    assert schemathesis("^/v1/me", more) is None


def test_a_runtimes_operations(schemathesis, tenants, up):
    token = aside(lambda: asyncio.run(_joined(up, said(up.home, "join-token", "create", "--tenant", "tenant-a"))))

    more = f'[auth.openapi.runtimeToken]\nbearer = "{token}"\n'

    # batches of the log are no JSON: the real programs send them, under faults, in tests/faults
    assert schemathesis("^/v1/runtime/(sync/hello|sync/diff|heartbeat)", more) is None


def test_what_is_open_to_all(schemathesis):
    assert schemathesis("^/(livez|readyz|v1/auth/(link|sign-in)|v1/runtime/(enroll|token)|.well-known)", "") is None


def without_cursors(document):
    """The served document, but for what only the server can make: that is in tests/http/test_pages.py."""
    for operations in document["paths"].values():
        for operation in operations.values():
            found = operation.get("parameters", [])
            operation["parameters"] = [each for each in found if each["name"] != "cursor"]
    return document


async def _joined(up, join_token):
    async with httpx.AsyncClient(base_url=up.url) as client:
        agent = Agent(client, wall_clock)
        agent.token = "none-yet"
        reply = await agent.enroll(join_token)
        assert reply.status_code == 201, reply.text
        return agent.token


def aside(work):
    """Done in a thread of its own: in this one the browser's loop may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
