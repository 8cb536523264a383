from uuid import UUID

import pytest

from controlplane.domain.grants import EVERYWHERE, Grant, Limit
from controlplane.domain.permission_names import (
    ADMINISTRATION,
    ANYWHERE,
    OPERATOR_PERMISSIONS,
    OPERATOR_ROLES,
    OPERATORS_IN_TENANTS,
    PERMISSIONS,
    RESERVED,
    ROLES,
    WITHIN_PROJECTS,
    WITHIN_RUNTIMES,
)
from controlplane.domain.permissions import (
    ApiKey,
    Authorizer,
    NotYours,
    OperatorKey,
    Person,
    Runtime,
    check_grantable,
    check_takeable,
    held_by,
    limits_of,
)
from controlplane.domain.roles import MEANINGS
from controlplane.domain.tenants import Tenant
from tests.conftest import FrozenClock

ID = UUID(int=1)
TENANT = Tenant(tenant_id=ID, slug="acme", name="Acme", status="active", status_reason="", created_at=FrozenClock().now)
PROJECT, OTHER = UUID(int=7), UUID(int=8)


def grant(role, **limit):
    return Grant(role=role, permissions=ROLES.get(role, frozenset()), limit=Limit(**limit), assignment_id=ID)


def key(*roles):
    return ApiKey(id=ID, tenant=TENANT, grants=tuple(grant(role) for role in roles))


def limited(role, **limit):
    return ApiKey(id=ID, tenant=TENANT, grants=(grant(role, **limit),))


def person(*roles, **more):
    member = {"user_id": ID, "grants": tuple(grant(role) for role in roles)} if roles else {}
    return Person(account_id=ID, session_id=ID, name="P", email="p@example.com", **member, **more)


def decide(principal, permission, place=None):
    return Authorizer().decide(principal, permission, place)


def test_every_role_says_what_it_is():
    assert MEANINGS.keys() == ROLES.keys()


def test_roles_hold_only_permissions_that_exist():
    for held in [*ROLES.values(), *OPERATORS_IN_TENANTS.values()]:
        assert held <= PERMISSIONS.keys()
    for held in OPERATOR_ROLES.values():
        assert held <= OPERATOR_PERMISSIONS.keys()


def test_no_tenant_role_reaches_across_tenants():
    assert not PERMISSIONS.keys() & OPERATOR_PERMISSIONS.keys()


def test_what_limits_and_reserves_names_permissions_that_exist():
    assert PERMISSIONS.keys() >= WITHIN_RUNTIMES | WITHIN_PROJECTS | ANYWHERE | RESERVED | ADMINISTRATION
    assert not WITHIN_RUNTIMES & WITHIN_PROJECTS


def test_no_operator_makes_credentials_of_a_tenants_api():
    for held in OPERATORS_IN_TENANTS.values():
        assert not held & ADMINISTRATION


def test_a_decision_names_the_rule_and_the_assignment():
    decision = decide(key("billing", "viewer"), "run:read")

    assert (decision.allow, decision.rule_id) == (True, "role:viewer")
    assert decision.grant == grant("viewer")
    assert decide(key("viewer"), "api-key:create").rule_id == "none"


def test_a_role_that_is_gone_holds_nothing():
    assert not decide(key("emperor"), "run:read").allow


def test_a_person_is_nothing_outside_a_tenant():
    assert not decide(person("owner"), "run:read").allow
    assert decide(person("owner", tenant=TENANT), "run:read").allow


def test_several_roles_add_up():
    assert held_by(key("billing", "user_admin")) == ROLES["billing"] | ROLES["user_admin"]


def test_an_operator_looks_into_a_tenant_by_the_operators_role():
    operator = person(operator_role="viewer", tenant=TENANT)

    assert decide(operator, "run:read").rule_id == "operator-in-tenant:viewer"
    assert not decide(operator, "join-token:create").allow


def test_an_operator_who_is_a_member_acts_as_a_member():
    both = person("billing", operator_role="admin", tenant=TENANT)

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
    ("limit", "held"),
    [
        ({"project_id": PROJECT}, WITHIN_RUNTIMES | WITHIN_PROJECTS | ANYWHERE),
        ({"labels": {"env": "dev"}}, WITHIN_RUNTIMES | ANYWHERE),
        ({"project_id": PROJECT, "labels": {"env": "dev"}}, WITHIN_RUNTIMES | ANYWHERE),
    ],
)
def test_a_limited_role_gives_only_what_can_be_limited(limit, held):
    assert held_by(limited("admin", **limit)) == held
    assert limits_of(limited("admin", **limit), "session:read") == (Limit(**limit),)


def test_one_role_without_limits_lifts_those_of_another():
    both = ApiKey(id=ID, tenant=TENANT, grants=(grant("viewer", project_id=PROJECT), grant("viewer")))

    assert limits_of(both, "session:read") is None
    assert limits_of(limited("billing"), "session:read") == ()


def test_a_decision_about_a_place_looks_at_the_limits():
    dev = limited("developer", project_id=PROJECT, labels={"env": "dev"})
    here = Limit(project_id=PROJECT, labels={"env": "dev", "zone": "eu"})

    assert decide(dev, "runtime:write", here).allow
    assert not decide(dev, "runtime:write", Limit(project_id=OTHER, labels=here.labels)).allow
    assert not decide(dev, "runtime:write", Limit(project_id=PROJECT, labels={"env": "prod"})).allow


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
        check_grantable(key(granter), ROLES[role], role=role)
    else:
        with pytest.raises(NotYours):
            check_grantable(key(granter), ROLES[role], role=role)


@pytest.mark.parametrize(
    ("limit", "may"),
    [
        ({"project_id": PROJECT}, True),
        ({"project_id": PROJECT, "labels": {"env": "dev"}}, True),
        ({"project_id": OTHER}, False),
        ({"labels": {"env": "dev"}}, False),
        ({}, False),
    ],
)
def test_what_one_holds_somewhere_is_handed_on_there_only(limit, may):
    holder = limited("viewer", project_id=PROJECT)

    if may:
        check_grantable(holder, ROLES["viewer"], Limit(**limit))
    else:
        with pytest.raises(NotYours):
            check_grantable(holder, ROLES["viewer"], Limit(**limit))


def test_labels_are_handed_on_with_more_labels_only():
    holder = limited("viewer", labels={"env": "dev"})

    check_grantable(holder, ROLES["viewer"], Limit(labels={"env": "dev", "zone": "eu"}))
    for wider in ({"zone": "eu"}, {"env": "prod"}, {}):
        with pytest.raises(NotYours):
            check_grantable(holder, ROLES["viewer"], Limit(labels=wider))


def test_nobody_disarms_who_administers_more():
    check_takeable(key("user_admin"), (grant("developer"), grant("auditor"), grant("user_admin")))
    for more in ("admin", "owner"):
        with pytest.raises(NotYours):
            check_takeable(key("user_admin"), (grant(more),))


def test_everywhere_covers_everything():
    assert EVERYWHERE.covers(Limit(project_id=PROJECT, labels={"a": "b"}))
    assert EVERYWHERE.is_everywhere
