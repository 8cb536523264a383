"""Break the code on purpose, one place at a time, and see that some test notices: ``python -m scripts.sabotages``.

Each sabotage is made in a copy of the checkout and tried with the tests that ought to notice it. A sabotage that does
not apply any more (the line has changed) and one that no test notices both end this with status 1.
"""

import subprocess
import sys

from scripts.ablations import ABLATIONS
from scripts.log_sabotages import LOGS
from scripts.sabotage import Moved, Sabotage, broken

SABOTAGES = (
    Sabotage(
        name="a refresh that is written down by whoever was taken over",
        file="controlplane/domain/vault/intents.py",
        was="AND cred_version = :version AND fence = :fence",
        becomes="AND cred_version = :version AND fence >= :fence",
        noticed_by=("tests/refreshing/test_takeovers.py",),
    ),
    Sabotage(
        name="a used refresh token that is sent again at once",
        file="controlplane/domain/vault/flights.py",
        was="wait_s = self._pace.adopt_s",
        becomes="wait_s = 0.0",
        noticed_by=("tests/refreshing/test_takeovers.py",),
    ),
    Sabotage(
        name="an orphan that nobody adopts",
        file="controlplane/domain/vault/keeping.py",
        was="    if not found:\n        return False\n    [orphan]",
        becomes="    if found or not found:\n        return False\n    [orphan]",
        noticed_by=("tests/refreshing/test_takeovers.py",),
    ),
    Sabotage(
        name="a lease by a policy that was changed",
        file="controlplane/domain/vault/reading.py",
        was=" AND coalesce(h.version, 0) = :policies_version",
        becomes="",
        noticed_by=("tests/http/test_leases.py",),
    ),
    Sabotage(
        name="a lease that lasts longer than its token",
        file="controlplane/domain/vault/leasing.py",
        was="return now + min(may, left) if left >= _least(ask) else None",
        becomes="return now + may",
        noticed_by=("tests/http/test_leases_alive.py",),
    ),
    Sabotage(
        name="a lease that has a new token fetched whenever somebody wants it long",
        file="controlplane/domain/vault/standing.py",
        was=" and now - since >= min(timedelta(seconds=pace.again_s), life / 2)",
        becomes="",
        noticed_by=("tests/http/test_leases_alive.py",),
    ),
    Sabotage(
        name="a lease of a token that dies, and nobody hears of it",
        file="controlplane/domain/vault/leased.py",
        was="await tx.run(living.values(dies_at=tx.now + dies_in))",
        becomes="await tx.run(living.values(dies_at=None))",
        noticed_by=("tests/http/test_leases_alive.py",),
    ),
    Sabotage(
        name="a mask that fits every session",
        file="controlplane/domain/sign_ins.py",
        was="ON x.session_id = s.id AND x.token_hash = :mask_hash",
        becomes="ON x.token_hash = :mask_hash",
        noticed_by=("tests/http/test_impersonation_bounds.py",),
    ),
    Sabotage(
        name="an impersonation that goes on against the tenant's policy",
        file="controlplane/domain/impersonation/acting.py",
        was=" AND t.impersonation_policy <> 'never'",
        becomes="",
        noticed_by=("tests/http/test_impersonation_bounds.py",),
    ),
    Sabotage(
        name="everything that somebody may, for whoever works as them",
        file="controlplane/domain/masks.py",
        was='return READS | CHANGES if mode == "full" else READS',
        becomes="return READS | CHANGES | NEVER.keys()",
        noticed_by=("tests/domain/test_masks.py", "tests/http/test_impersonation_bounds.py"),
    ),
    Sabotage(
        name="a statement that does not name its tenant",
        file="controlplane/db/database.py",
        was="return select(table).where(table.c.tenant_id == self.tenant_id, *self.sight.conditions(table))",
        becomes="return select(table).where(*self.sight.conditions(table))",
        noticed_by=("tests/architecture/test_isolation.py",),
    ),
    Sabotage(
        name="a table without its policy",
        file="migrations/versions/0001_the_spine.py",
        was='        op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING',
        becomes='        table == "users" or op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING',
        noticed_by=("tests/architecture/test_isolation.py",),
    ),
    Sabotage(
        name="a policy that lets everybody see",
        file="migrations/versions/0004_roles.py",
        was='op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING ({MINE}) WITH CHECK ({MINE})")',
        becomes='op.execute(f"CREATE POLICY tenant ON {table} TO cp_app USING (true) WITH CHECK (true)")',
        noticed_by=("tests/architecture/test_isolation.py",),
    ),
    Sabotage(
        name="row-level security that is not forced",
        file="migrations/versions/0004_roles.py",
        was='op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")',
        becomes="pass",
        noticed_by=("tests/architecture/test_isolation.py",),
    ),
    Sabotage(
        name="a tenant that stays on the connection",
        file="controlplane/db/database.py",
        was="""ENTERING = "set_config('app.tenant_id', :tenant_id, true)\"""",
        becomes="""ENTERING = "set_config('app.tenant_id', :tenant_id, false)\"""",
        noticed_by=("tests/architecture/test_isolation.py",),
    ),
    Sabotage(
        name="a cursor that is good in every tenant",
        file="controlplane/http/pages.py",
        was='repr((str(request.state.get("tenant_id")), request.scope',
        becomes="repr((request.scope",
        noticed_by=("tests/http/test_pages.py", "tests/http/test_manners_apart.py"),
    ),
    Sabotage(
        name="a key that opens every tenant",
        file="controlplane/http/authorize.py",
        was="if not principal.tenant.is_named(reference):",
        becomes="if not reference:",
        noticed_by=("tests/architecture/test_locks.py", "tests/http/test_tenants_apart.py"),
    ),
    Sabotage(
        name="somebody who is no member",
        file="controlplane/http/authorize.py",
        was="if not principal.is_member and (surface is not Surface.CONSOLE or principal.operator_role is None):",
        becomes="if not principal:",
        noticed_by=("tests/http/test_tenants_apart.py",),
    ),
    Sabotage(
        name="a permission that nobody asks for",
        file="controlplane/http/authorize.py",
        was="if not authorizer.decide(principal, permission).allow:",
        becomes="if not principal:",
        noticed_by=("tests/http/test_tenants_apart.py", "tests/http/test_every_operation.py"),
    ),
    Sabotage(
        name="a credential that opens every surface",
        file="controlplane/http/authorize.py",
        was="if surface not in SERVES[type(principal)]:",
        becomes="if not surface:",
        noticed_by=("tests/architecture/test_locks.py",),
    ),
    Sabotage(
        name="a revoked key that still opens",
        file="controlplane/domain/credentials.py",
        was="if key.revoked_at is not None:",
        becomes="if key.revoked_at is not None and not key.grants:",
        noticed_by=("tests/http/test_credentials.py", "tests/http/test_tenant_admin.py"),
    ),
    Sabotage(
        name="a limited role that sees everything",
        file="controlplane/http/transaction.py",
        was="tx.sight = await sights.sight(tx, request.user, its.permissions)",
        becomes="await sights.sight(tx, request.user, its.permissions)",
        noticed_by=("tests/http/test_limited_roles.py",),
    ),
    Sabotage(
        name="a page of the console that forgets what is seen",
        file="controlplane/http/console/pages/runtimes.py",
        was="WHERE (CAST(:seen AS uuid[]) IS NULL OR r.id = ANY (CAST(:seen AS uuid[])))",
        becomes="WHERE (CAST(:seen AS uuid[]) IS NULL OR true)",
        noticed_by=("tests/http/test_limited_roles.py",),
    ),
    Sabotage(
        name="a group that hands on more than its administrator holds",
        file="controlplane/domain/handing_on.py",
        was='    for grant in await holdings.of(tx, Holder("group", group_id)):',
        becomes="    for grant in ():",
        noticed_by=("tests/http/test_roles.py",),
    ),
    Sabotage(
        name="two last owners who do not wait for one another",
        file="controlplane/domain/holdings.py",
        was="await tx.first(_Tenant, tx.select(t.tenants).with_for_update(key_share=True))",
        becomes="await tx.first(_Tenant, tx.select(t.tenants))",
        noticed_by=("tests/domain/test_last_owner.py",),
    ),
    Sabotage(
        name="a change that nobody hears of",
        file="controlplane/domain/roles.py",
        was='audit.record(tx, actor, "role.created", _target(added[0].id), permissions=sorted(held))',
        becomes="pass",
        noticed_by=("tests/http/test_roles.py",),
    ),
    Sabotage(
        name="a change of any state",
        file="controlplane/http/preconditions.py",
        was="if not _matches(wanted, tag, absent=True) or _matches(unwanted, tag, absent=False):",
        becomes="if not tag:",
        noticed_by=("tests/http/test_preconditions.py",),
    ),
    Sabotage(
        name="two changes at the same time",
        file="controlplane/http/preconditions.py",
        was="    await tx.alone(",
        becomes="    str(",
        noticed_by=("tests/http/test_preconditions.py",),
    ),
    Sabotage(
        name="an Idempotency-Key that everybody shares",
        file="controlplane/http/idempotency.py",
        was='principal=" ".join(filter(None, (actor.kind, actor.id, actor.impersonator))),',
        becomes='principal="",',
        noticed_by=("tests/http/test_idempotency.py",),
    ),
    Sabotage(
        name="a secret that is kept",
        file="controlplane/http/idempotency.py",
        was="if name in shown}",
        becomes="if name}",
        noticed_by=("tests/http/test_idempotency.py",),
    ),
    Sabotage(
        name="a callback in whichever browser has been here",
        file="controlplane/http/connecting/returning.py",
        was="if not tokens.is_same(desk.pepper, desk.shown, transaction.cookie_hash):",
        becomes="if not desk.shown:",
        noticed_by=("tests/http/test_connecting_hostile.py",),
    ),
    Sabotage(
        name="somebody else who is signed in comes back for whoever began",
        file="controlplane/http/connecting/returning.py",
        was="if person is None or person.account_id != session.person_id:",
        becomes="if person is None:",
        noticed_by=("tests/http/test_connecting_hostile.py",),
    ),
    Sabotage(
        name="an answer at any app's address",
        file="controlplane/http/connecting/returning.py",
        was='if expected is None or parse_id("app", app) != expected:',
        becomes="if expected is None:",
        noticed_by=("tests/http/test_connecting_hostile.py",),
    ),
    Sabotage(
        name="a callback that can come twice",
        file="controlplane/domain/vault/connecting.py",
        was=" AND consumed_at IS NULL AND expires_at > :now",
        becomes=" AND expires_at > :now",
        noticed_by=("tests/domain/vault/test_connecting.py",),
    ),
    Sabotage(
        name="a program that confirms for whichever end user",
        file="controlplane/domain/vault/confirming.py",
        was="person_id is not None or session.owner_ref != owner_ref",
        becomes="person_id is not None",
        noticed_by=("tests/domain/vault/test_confirming.py",),
    ),
    Sabotage(
        name="a connection that becomes another account's",
        file="controlplane/domain/vault/confirming.py",
        was="earlier.account_key != account_key and not session.other_account",
        becomes="earlier.account_key is None",
        noticed_by=("tests/domain/vault/test_confirming.py",),
    ),
    Sabotage(
        name="a deleted connection that keeps its tokens",
        file="controlplane/domain/vault/leaving.py",
        was="await connections.write(tx, before.id, SHREDDED)",
        becomes="await connections.write(tx, before.id, {})",
        noticed_by=("tests/domain/vault/test_leaving.py",),
    ),
    Sabotage(
        name="a credential that opens as any version",
        file="controlplane/domain/vault/sealed.py",
        was="text_id(CONNECTION, connection_id), cred_version)",
        becomes="text_id(CONNECTION, connection_id))",
        noticed_by=("tests/domain/vault/test_connections.py",),
    ),
    Sabotage(
        name="a shared app's secret sent where a tenant says",
        file="controlplane/domain/vault/servers.py",
        was="if app.is_platform and provider.needs_own_app(given):",
        becomes="if app.is_platform and provider.needs_own_app({}):",
        noticed_by=("tests/http/test_connections_api.py",),
    ),
    Sabotage(
        name="browsers sent wherever an address begins alike",
        file="controlplane/domain/vault/return_urls.py",
        was="t.return_urls.c.url == url",
        becomes="t.return_urls.c.url.startswith(url[:20])",
        noticed_by=("tests/domain/vault/test_connecting.py",),
    ),
    Sabotage(
        name="a data key that is destroyed under somebody who seals with it",
        file="controlplane/domain/keys/data.py",
        was="        wanted = wanted.with_for_update(read=True, key_share=True)",
        becomes="        pass",
        noticed_by=("tests/domain/test_rotations.py",),
    ),
    Sabotage(
        name="a newer envelope under one that was sealed anew",
        file="controlplane/domain/rotations/resealing.py",
        was=" AND r.{column.column} = anew.old",
        becomes="",
        noticed_by=("tests/domain/test_rotations.py",),
    ),
    Sabotage(
        name="a data key that is destroyed while somebody reads with it",
        file="controlplane/domain/rotations/running.py",
        was="rests_until=tx.now + work.rest",
        becomes="rests_until=tx.now",
        noticed_by=("tests/domain/test_rotations.py",),
    ),
    Sabotage(
        name="the keyring of another installation",
        file="controlplane/domain/keys/masters.py",
        was="    if not hmac.compare_digest(mark, sealing.mark):",
        becomes="    if not mark:",
        noticed_by=("tests/domain/test_master_keys.py",),
    ),
    Sabotage(
        name="a master key that is retired under somebody who wraps with it",
        file="controlplane/domain/keys/masters.py",
        was=".order_by(its.name).with_for_update()",
        becomes=".order_by(its.name)",
        noticed_by=("tests/domain/test_master_keys.py",),
    ),
    Sabotage(
        name="the credentials of a suspended tenant",
        file="controlplane/domain/keys/data.py",
        was="    if row.kind in HELD and not though_suspended:",
        becomes="    if not row.kind:",
        noticed_by=("tests/http/test_vault_api.py",),
    ),
)


def main(wanted: list[str]) -> int:
    """Try all, or those in whose name one of *wanted* stands."""
    unnoticed = []
    for sabotage in (*SABOTAGES, *LOGS, *ABLATIONS):
        if wanted and not any(word in sabotage.name for word in wanted):
            continue
        problem = attempt(sabotage)
        print(
            f"{'NOT NOTICED' if problem else 'noticed':12} {sabotage.name}{f': {problem}' if problem else ''}",
            flush=True,
        )
        unnoticed += [sabotage] if problem else []
    return 1 if unnoticed else 0


def attempt(sabotage: Sabotage) -> str:
    """Why it was not noticed; empty where it was."""
    try:
        with broken(sabotage) as copy:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *sabotage.noticed_by]
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)  # noqa: S603 our own tests
    except Moved as moved:
        return str(moved)
    return "" if done.returncode == 1 and "failed" in done.stdout else f"the tests ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
