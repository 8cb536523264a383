"""A second opinion on row-level security: pgrls reads the catalog, and proves the policies with Z3."""

import asyncio
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from controlplane.cli.home import Home, kept
from controlplane.db import schema as t
from controlplane.db.roles import Urls

PGRLS = Path(__file__).parents[1] / ".venv/opinions/bin/pgrls"

PARTITIONS = "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE relkind = 'r'"
TRIGGERS = """
    SELECT format('public.%s.%s', relname, tgname)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE NOT tgisinternal AND proname IN ('refuse_change', 'refuse_unless_purging', 'refuse_second_seal') AND NOT prosecdef
"""

NOT_ASKED = {
    "SEC007": "each table has one policy: there is nothing that a restrictive one would have to hold",
    "SEC019": "without a tenant it is loud, on purpose: tests/architecture/test_isolation.py",
    "SEC027": "the wall is between tenants; whom of their own tenant somebody sees, their roles say",
}
"""Rules that are left out, each with its reason."""

REASONS = {
    "SEC001": "tables that belong to no tenant: a PlatformTx names them and nothing else",
    "SEC009": "partitions are reached through their table, which has the policy: nobody has a grant on them",
    "SEC013": "they refuse and nothing else: refuse_unless_purging asks whether the tenant it is in is being purged",
    "SEC014": "make_partition shows nothing, and makes nothing but partitions of tables on its list",
    "SEC016": "cp_operator can only read, and nobody logs in as it; cp_owner is for migrations",
    "SEC029": "replicas step into cp_operator for one read-only transaction: tests/architecture/test_operator_tx.py",
}
"""What is accepted of rules that are asked, and why."""


@pytest.fixture(scope="module")
def owner(up):
    return kept(Home(up.home).database, Urls).owner


@pytest.fixture(scope="module")
def accepted(owner):
    """The objects that a rule need not speak of."""

    async def names():
        connection = await asyncpg.connect(owner)
        try:
            return [[row[0] for row in await connection.fetch(query)] for query in (PARTITIONS, TRIGGERS)]
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:  # in this one the browser's loop may be running
        partitions, triggers = thread.submit(lambda: asyncio.run(names())).result()
    return {
        "SEC001": [f"public.{name}" for name in sorted(t.PLATFORM | {"alembic_version"})],
        "SEC009": [f"public.{name}" for name in partitions],
        "SEC013": triggers,
        "SEC014": ["public.make_partition"],
        "SEC016": ["cp_operator", "cp_owner"],
        "SEC029": ["cp_app"],
    }


@pytest.fixture
def pgrls(owner, accepted, tmp_path):
    config = tmp_path / "pgrls.toml"
    lines = ["[lint]", 'fail_on = "info"', f"disable = {json.dumps(sorted(NOT_ASKED))}"]
    for rule, names in accepted.items():
        lines += [f"[lint.rules.{rule}] # {REASONS[rule]}", f"allowlist = {json.dumps(names)}"]
    config.write_text("\n".join(lines) + "\n")

    def run(*words):
        command = [PGRLS, *words, "--database-url", owner, "--config", config]
        return subprocess.run(command, capture_output=True, text=True)

    return run


def test_nothing_to_object_to(pgrls):
    done = pgrls("lint")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["anon", "cross-tenant", "write"])
def test_isolation_is_proven(pgrls, mode):
    done = pgrls("verify", "--mode", mode, "--strict")

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 leaking, 0 unverified" in done.stdout
    assert "PROVEN" in done.stdout
