"""The code is spoiled on purpose, in one place at a time: some test has to turn red, or nobody would notice.

Each sabotage is one line of one file, changed in a copy of the tree, and the tests that must notice it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "*_cache", "__pycache__", "screenshots")

DATABASE = "controlplane/db/database.py"
GUARD = "controlplane/http/authorize.py"
SPINE = "migrations/versions/0001_the_spine.py"
ISOLATION = "tests/architecture/test_isolation.py"
APART = "tests/http/test_tenants_apart.py"

SABOTAGES = {
    "a statement that forgets its tenant": (
        DATABASE,
        "return select(table).where(table.c.tenant_id == self.tenant_id)",
        "return select(table)",
        "tests/db/test_statements.py",
    ),
    "a table without its policy": (
        SPINE,
        'op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")',
        'table == "users" or op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")',
        ISOLATION,
    ),
    "a policy that lets everybody see": (
        SPINE,
        "TO cp_app USING ({MINE}) WITH CHECK ({MINE})",
        "TO cp_app USING (true) WITH CHECK ({MINE})",
        ISOLATION,
    ),
    "tables that their owner sees through": (
        SPINE,
        "FORCE ROW LEVEL SECURITY",
        "NO FORCE ROW LEVEL SECURITY",
        ISOLATION,
    ),
    "a tenant that outlives its transaction": (
        DATABASE,
        "set_config('app.tenant_id', :tenant_id, true)",
        "set_config('app.tenant_id', :tenant_id, false)",
        ISOLATION,
    ),
    "a key that opens every tenant's path": (
        GUARD,
        "if not principal.tenant.is_named(reference):",
        "if False:",
        APART,
    ),
    "somebody who is no member": (
        GUARD,
        "if principal.role is None and (surface is not Surface.CONSOLE or principal.operator_role is None):",
        "if False:",
        APART,
    ),
    "a permission that nobody asks for": (
        GUARD,
        "if its.permission is not None and not authorizer.decide(principal, its.permission).allow:",
        "if False:",
        APART,
    ),
    "a credential that opens every surface": (
        GUARD,
        "if its.surface not in SERVES[type(principal)]:",
        "if False:",
        "tests/http/test_every_operation.py",
    ),
    "a cursor without its tenant": (
        "controlplane/http/pages.py",
        'str(request.state.get("tenant_id"))',
        '""',
        "tests/http/test_manners_apart.py",
    ),
    "a change of any state": (
        "controlplane/http/preconditions.py",
        "if not _matches(wanted, tag, absent=True) or _matches(unwanted, tag, absent=False):",
        "if False:",
        "tests/http/test_preconditions.py",
    ),
    "two changes at the same time": (
        "controlplane/http/preconditions.py",
        "    await tx.alone(",
        "    str(",
        "tests/http/test_preconditions.py",
    ),
    "an Idempotency-Key that everybody shares": (
        "controlplane/http/idempotency.py",
        'principal=f"{actor.kind} {actor.id}",',
        'principal="",',
        "tests/http/test_idempotency.py",
    ),
    "a secret that is kept": (
        "controlplane/http/idempotency.py",
        "if name in shown}",
        "if True}",
        "tests/http/test_idempotency.py",
    ),
}


@pytest.fixture(scope="module")
def copy():
    with tempfile.TemporaryDirectory(prefix="spoiled-") as folder:
        Path(folder).chmod(0o755)
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        yield tree


@pytest.mark.parametrize("name", SABOTAGES)
def test_it_does_not_go_unnoticed(copy, name):
    file, before, after, tests = SABOTAGES[name]
    whole = (copy / file).read_text()
    assert before in whole, f"{file} has changed: what is to be spoiled now?"
    (copy / file).write_text(whole.replace(before, after, 1))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests],
            cwd=copy,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
        )
    finally:
        (copy / file).write_text(whole)

    assert done.returncode == 1, f"{name}: every test is green\n{done.stdout[-3000:]}"
