"""Looking across tenants is for those who run the service, and for chores."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MAY_LOOK_ACROSS_TENANTS = (
    "controlplane/chores/",
    "controlplane/cli/",
    "controlplane/domain/idempotency.py",  # the work of the chore forget-kept-answers
    "controlplane/domain/keys/masters.py",  # which master keys anything is wrapped under, before serving
    "controlplane/domain/rotations/",  # the work of the chore rotate-keys
    "controlplane/domain/silences.py",  # the work of the chores mark-silent-runtimes and count-runtimes
    "controlplane/http/console/",
    "controlplane/http/impersonating.py",  # for operators, at both their doors
    "controlplane/http/operator_api/",
)
DEFINES_IT = "controlplane/db/database.py"

SETTINGS = (
    "set_config('app.tenant_id', :tenant_id, true)",
    'BE_OPERATOR = "BEGIN READ ONLY; SET LOCAL ROLE cp_operator"',
    'text("SET LOCAL ROLE cp_audit_pruner"), text("SET LOCAL ROLE NONE")',
)
"""Each on a line of its own; all of them end with the transaction."""


def test_only_operators_and_chores_look_across_tenants():
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "controlplane").rglob("*.py")
        if ".operator(" in path.read_text()
    }

    assert {path for path in users - {DEFINES_IT} if not path.startswith(MAY_LOOK_ACROSS_TENANTS)} == set()


def test_only_what_the_transactions_set_is_set_anywhere():
    setting = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "controlplane").rglob("*.py")
        for line in path.read_text().splitlines()
        if "set_config(" in line or "SET LOCAL ROLE" in line
    ]

    assert setting == [DEFINES_IT] * len(SETTINGS)
    assert all(setting in (ROOT / DEFINES_IT).read_text() for setting in SETTINGS)
