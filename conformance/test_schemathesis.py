"""Requests that nobody thought of, made from the served document: every check of schemathesis, two tenants as peers."""

import asyncio
import itertools
import json
import re
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

HOOKS = Path(__file__).with_name("schemathesis_checks.py")

serial = itertools.count(1)

SECONDS, LONG_S = 60, 300
"""That a run may take at most; the latter where there are a hundred operations."""

CONFIG = """
base-url = "{url}"
hooks = "{hooks}"
seed = 1
max-time = {seconds}
continue-on-failure = true
request-timeout = 40 # events are waited for up to 30 s
max-redirects = 0 # they lead to pages

[generation]
database = "none"
unique-inputs = true

# 400: a role that does not exist, a password that everybody has: what no schema can say, and each with its code; that
# it is never "not well formed" is a check of ours. 410: an invitation that is over. 412 and 422: what is well formed may still be about another state, or
# a key that had another request. 414: each part may be as long as it is and the whole too long
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "410", "412", "414", "422", "429", "5xx"]

# 412: of which state is asked before what is to be changed
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "414", "415", "422", "428", "429", "5xx"]

# 428 says in the words of RFC 6585 that If-Match is missing
[checks.missing_required_header]
expected-statuses = ["400", "401", "403", "406", "415", "422", "428"]

{left_out}
# browsers are led on, whatever a provider has written into their address
[[operations]]
include-name = "GET /v1/auth/sso/callback"
checks.negative_data_rejection.enabled = false

# what is revoked, and what waits for its deletion, stays to be seen: that is what these mean here
[[operations]]
include-name = {kept}
checks.use_after_free.enabled = false

{more}
"""

KEPT_TO_BE_SEEN = (
    "GET /v1/operator/keys/{key}",
    "GET /v1/operator/tenants/{target}",
    "GET /v1/operator/tenants/{target}/certificate",
    "GET /v1/operator/tenants/{target}/limits",
    "GET /v1/tenants/{tenant}/api-keys/{key}",
    "GET /v1/tenants/{tenant}/invitations/{invitation}",
    "GET /v1/tenants/{tenant}/join-tokens/{token}",
    "GET /v1/tenants/{tenant}/runtimes/{runtime}",
    "GET /v1/tenants/{tenant}/scim-tokens/{scim_token}",
)

ANYTHING, NOTHING = "", "^$"
"""Names of operations."""

ENDS_IT = {
    "key": "^(apiKeys(Revoke|RevokeMany|Rotate)|serviceAccounts(Change|Remove)|roleAssignmentsWithdraw)$",
    "operator": "^operatorKeysRevoke$",
    "session": "^(authSignOut|meSessionsEnd|meSessionsEndAll)$",
    "tenant": "^tenantRemove$",
}
"""Operations after which a credential may open nothing any more: they are tried apart, lest the rest be let off."""


@pytest.fixture
def tenants(up):
    """Two tenants with an API key each, by slug."""
    found = {}
    for slug in (f"tried-{next(serial)}", f"tried-{next(serial)}"):
        said(up.home, "tenant", "create", slug, "--name", slug)
        found[slug] = said(up.home, "api-key", "create", "--tenant", slug, "--name", "schemathesis", "--role", "owner")
    return found


@pytest.fixture
def operator_secrets(up):
    """The key of an operator, and the token of a session of theirs."""

    async def work(db, keyring):
        async with db.platform() as tx:
            account = await people.account_for(tx, shell(), f"schemathesis-{next(serial)}@example.com")
            await people.make_operator(tx, shell(), account.id)
            _, key = await operator_keys.create(tx, shell(), keyring.pepper, account.id, "schemathesis")
            return {"key": key, "session": await sign_ins.begin(tx, shell(), keyring.pepper, account.id, "tests")}

    return aside(lambda: with_database(up.home, work))


@pytest.fixture
def schemathesis(up, tmp_path):
    """Run it on some operations, with what its configuration has to say besides; its output where it found something."""

    def run(which, more, *, only=ANYTHING, without=NOTHING, seconds=SECONDS):
        document = tmp_path / "openapi.json"
        served = without_cursors(up.get("/openapi.json").json())
        served["paths"] = {path: of for path, of in served["paths"].items() if re.search(which, path)}
        document.write_text(json.dumps(served))
        names = {"kept": json.dumps(KEPT_TO_BE_SEEN), "left_out": left_out(served, only, without)}
        given = {"url": up.url, "hooks": HOOKS, "seconds": seconds, "more": more, **names}
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format(**given))
        easy = ["--suppress-health-check", "all"]
        done = subprocess.run(
            [SCHEMATHESIS, "--config-file", tmp_path / "schemathesis.toml", "run", document, *easy],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, "\n".join(line[:500] for line in (done.stdout + done.stderr).splitlines())

    return run


@pytest.fixture
def as_two(tenants, tmp_path):
    """The configuration for a tenant with another one as peer, who must reach nothing of the first's."""
    first, *_ = tenants
    wfc = {
        "auth": [
            {"name": slug, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
            for slug, key in tenants.items()
        ]
    }
    (tmp_path / "wfc.yaml").write_text(yaml.safe_dump(wfc))
    peers = f'user = "{first}"\npeers = {json.dumps(list(tenants))}'
    return f'[auth.wfc]\npath = "wfc.yaml"\n{peers}\n[parameters]\n"path.tenant" = "{first}"\n'


def test_a_tenants_operations_with_another_tenant_as_peer(schemathesis, as_two):
    ends = f"{ENDS_IT['key']}|{ENDS_IT['tenant']}"

    schemathesis("^/v1/tenants/", as_two, without=ends, seconds=LONG_S)


@pytest.mark.parametrize("ends", ["key", "tenant"])
def test_what_ends_a_tenants_access_or_the_tenant(schemathesis, as_two, ends):
    schemathesis("^/v1/tenants/", as_two, only=ENDS_IT[ends])


def test_the_operators_operations(schemathesis, operator_secrets):
    more = f'[auth.openapi.operatorKey]\nbearer = "{operator_secrets["key"]}"\n'

    schemathesis("^/v1/operator", more, without=ENDS_IT["operator"])


def test_what_ends_an_operators_access(schemathesis, operator_secrets):
    more = f'[auth.openapi.operatorKey]\nbearer = "{operator_secrets["key"]}"\n'

    schemathesis("^/v1/operator", more, only=ENDS_IT["operator"])


def test_what_one_does_about_oneself(schemathesis, operator_secrets):
    more = f'[auth.openapi.session]\napi_key = "{operator_secrets["session"]}"\n'

    schemathesis("^/v1/(me|auth/sso/(break|conf|link))", more, without=ENDS_IT["session"])


def test_what_ends_a_session(schemathesis, operator_secrets):
    more = f'[auth.openapi.session]\napi_key = "{operator_secrets["session"]}"\n'

    schemathesis("^/v1/(me|auth)", more, only=ENDS_IT["session"])


def test_a_runtimes_operations(schemathesis, tenants, up):
    tenant, *_ = tenants
    token = aside(lambda: asyncio.run(_joined(up, said(up.home, "join-token", "create", "--tenant", tenant))))

    more = f'[auth.openapi.runtimeToken]\nbearer = "{token}"\n'

    # batches of the log are no JSON: the real programs send them, under faults, in tests/faults
    schemathesis("^/v1/runtime/(sync/hello|sync/diff|heartbeat)", more)


def test_what_is_open_to_all(schemathesis):
    sessions = "^auth(SignOut|SsoBreakGlass|SsoConfirm|SsoLink)$"

    which = "^/(livez|readyz|v1/auth/|v1/runtime/(enroll|token)|.well-known)"
    schemathesis(which, "", without=sessions)


def left_out(document, only, without):
    """What leaves out the operations that do not fit *only*, or fit *without*; their paths still say which there are."""
    names = [each["operationId"] for operations in document["paths"].values() for each in operations.values()]
    found = [name for name in names if re.search(without, name) or not re.search(only, name)]
    assert len(found) < len(names), "there is something to be tried"
    return f"[[operations]]\ninclude-operation-id = {json.dumps(found)}\nenabled = false\n" if found else ""


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
