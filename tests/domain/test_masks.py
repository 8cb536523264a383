"""What can be done as somebody else is a list, and every permission stands in one of three."""

from uuid import UUID

from controlplane.domain.grants import Grant, Limit
from controlplane.domain.masks import CHANGES, NEVER, READS, ImpersonationForbids, allowed, narrowed
from controlplane.domain.permission_names import ADMINISTRATION, OPERATOR_PERMISSIONS, PERMISSIONS, ROLES


def test_every_permission_is_for_looking_for_working_or_never_used_as_somebody_else():
    assert READS | CHANGES | NEVER.keys() == PERMISSIONS.keys(), "a new permission is put into one of the three"
    assert not READS & CHANGES
    assert not (READS | CHANGES) & NEVER.keys()


def test_looking_is_what_its_name_says():
    assert {name for name in READS if not name.endswith(":read")} == set()
    assert {name for name in PERMISSIONS if name.endswith(":read")} == READS


def test_no_power_over_others_is_used_as_somebody_else():
    assert {"project:write"} == ADMINISTRATION & (READS | CHANGES), "projects hold no power of their own"


def test_nothing_across_tenants_is_on_the_list():
    assert not (READS | CHANGES) & OPERATOR_PERMISSIONS.keys()


def test_every_reason_is_a_sentence_for_whoever_is_refused():
    assert all(NEVER.values())
    assert ImpersonationForbids("api-key:create").detail == "keys are credentials"
    assert ImpersonationForbids("invented:later").detail == "it is not on the list of what can be"


def test_what_an_owner_holds_is_narrowed_and_stays_where_it_counts():
    limit = Limit(project_id=UUID(int=7))
    [grant] = narrowed([Grant(role="owner", permissions=ROLES["owner"], limit=limit)], "read_only")

    assert grant.permissions == READS
    assert grant.limit == limit


def test_a_mode_gives_nobody_what_they_do_not_hold():
    [grant] = narrowed([Grant(role="viewer", permissions=ROLES["viewer"])], "full")

    assert grant.permissions == ROLES["viewer"]
    assert allowed("read_only") < allowed("full")
