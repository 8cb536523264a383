from typing import get_args
from uuid import UUID

import pytest

from controlplane.domain.permissions import (
    OPERATOR_PERMISSIONS,
    OPERATOR_ROLES,
    OPERATORS_IN_TENANTS,
    PERMISSIONS,
    ROLES,
    ApiKey,
    Authorizer,
    NotYours,
    OperatorKey,
    Person,
    Role,
    Runtime,
    UnknownRole,
    check_may_grant,
)
from controlplane.domain.tenants import Tenant
from tests.conftest import FrozenClock

ID = UUID(int=1)
TENANT = Tenant(tenant_id=ID, slug="acme", name="Acme", status="active", status_reason="", created_at=FrozenClock().now)


def key(role):
    return ApiKey(id=ID, tenant=TENANT, role=role)


def person(**more):
    return Person(account_id=ID, session_id=ID, name="P", email="p@example.com", **more)


def decide(principal, permission):
    return Authorizer().decide(principal, permission)


def test_every_role_is_named_in_the_api():
    assert set(get_args(Role)) == ROLES.keys()


def test_roles_hold_only_permissions_that_exist():
    for held in [*ROLES.values(), *OPERATORS_IN_TENANTS.values()]:
        assert held <= PERMISSIONS.keys()
    for held in OPERATOR_ROLES.values():
        assert held <= OPERATOR_PERMISSIONS.keys()


def test_no_tenant_role_reaches_across_tenants():
    assert not PERMISSIONS.keys() & OPERATOR_PERMISSIONS.keys()


def test_no_operator_makes_credentials_of_a_tenants_api():
    for held in OPERATORS_IN_TENANTS.values():
        assert not {permission for permission in held if permission.startswith("api-key:")} - {"api-key:read"}
        assert "tenant:own" not in held


def test_a_decision_names_the_rule():
    assert decide(key("viewer"), "run:read") == decide(key("viewer"), "session:read")
    assert decide(key("viewer"), "run:read").rule_id == "role:viewer"
    assert decide(key("viewer"), "api-key:create").rule_id == "none"


def test_a_role_that_is_gone_holds_nothing():
    assert not decide(key("emperor"), "run:read").allow


def test_a_person_is_nothing_outside_a_tenant():
    assert not decide(person(role="owner"), "run:read").allow
    assert decide(person(role="owner", tenant=TENANT), "run:read").allow


def test_an_operator_looks_into_a_tenant_by_the_operators_role():
    operator = person(operator_role="viewer", tenant=TENANT)

    assert decide(operator, "run:read").rule_id == "operator-in-tenant:viewer"
    assert not decide(operator, "join-token:create").allow


def test_an_operator_who_is_a_member_acts_as_a_member():
    both = person(operator_role="admin", tenant=TENANT, role="billing")

    assert not decide(both, "run:read").allow


def test_an_operator_key_does_what_its_operator_does_across_tenants():
    operator = OperatorKey(id=ID, account_id=ID, operator_role="viewer")

    assert decide(operator, "operator:tenant-read").allow
    assert not decide(operator, "operator:tenant-write").allow
    assert not decide(operator, "run:read").allow


def test_a_runtime_reports_and_nothing_else():
    runtime = Runtime(id=ID, tenant_id=ID, generation=1)

    assert decide(runtime, "sync:write").allow
    assert not any(decide(runtime, permission).allow for permission in PERMISSIONS)


@pytest.mark.parametrize(
    ("granter", "role", "may"),
    [
        ("owner", "owner", True),
        ("owner", "admin", True),
        ("admin", "owner", False),
        ("admin", "admin", True),
        ("admin", "developer", True),
        ("developer", "viewer", True),
        ("developer", "auditor", False),
        ("viewer", "developer", False),
        ("user_admin", "viewer", False),
    ],
)
def test_nobody_hands_on_what_they_do_not_hold(granter, role, may):
    if may:
        check_may_grant(key(granter), role)
    else:
        with pytest.raises(NotYours):
            check_may_grant(key(granter), role)


def test_a_role_that_does_not_exist_cannot_be_handed_on():
    with pytest.raises(UnknownRole):
        check_may_grant(key("owner"), "emperor")
