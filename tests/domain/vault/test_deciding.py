"""Policies decide: nothing is allowed by itself, no wins over yes, and every selector and condition counts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from controlplane.domain.vault.deciding import (
    ANOTHER_PROJECT,
    NO_POLICY,
    Asking,
    Conditions,
    Connections,
    Hours,
    Rule,
    Subject,
    Wanted,
    decide,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
ASKING = Asking(runtime="rt_1", project="prj_1", labels={"zone": "eu"}, agent="invoice_review", purpose="billing")
WANTED = Wanted(
    connection="con_1", provider="google", project=None, owner="u-7", labels={"team": "a"}, scopes=["mail", "drive"]
)


def rule(number=1, effect="allow", modes=("lease",), who=None, what=None, **conditions):
    return Rule(
        id=UUID(int=number),
        name=f"p{number}",
        effect=effect,
        subject=Subject(**(who or {})),
        connections=Connections(**(what or {})),
        modes=modes,
        conditions=Conditions(**conditions),
    )


def may(*rules, mode="lease", asking=ASKING, wanted=WANTED, now=NOON):
    return decide(rules, asking, wanted, mode, now)


def test_nothing_is_allowed_by_itself():
    assert (may().allowed, may().rule) == (False, NO_POLICY)


def test_no_wins_whatever_the_order():
    yes, no = rule(1), rule(2, "deny")

    for rules in ((yes, no), (no, yes)):
        assert may(*rules).policy is no
        assert not may(*rules).allowed


@pytest.mark.parametrize(
    "who",
    [
        {"runtimes": ["rt_1", "rt_2"]},
        {"agents": ["invoice*"]},
        {"projects": ["prj_1"]},
        {"labels": {"zone": "eu"}},
        {},
    ],
)
def test_a_subject_that_holds_who_asks(who):
    assert may(rule(who=who)).allowed


@pytest.mark.parametrize(
    "who",
    [
        {"runtimes": ["rt_2"]},
        {"agents": ["invoice"]},
        {"agents": ["[i]nvoice_review "]},
        {"projects": ["prj_2"]},
        {"labels": {"zone": "us"}},
        {"labels": {"zone": "eu", "tier": "1"}},
        {"runtimes": ["rt_1"], "agents": ["other"]},
    ],
)
def test_a_subject_that_does_not(who):
    assert may(rule(who=who)).rule == NO_POLICY


@pytest.mark.parametrize(
    ("what", "allowed"),
    [
        ({"ids": ["con_1"]}, True),
        ({"ids": ["con_2"]}, False),
        ({"providers": ["google"]}, True),
        ({"providers": ["slack"]}, False),
        ({"owners": ["u-7"]}, True),
        ({"owners": ["u-8"]}, False),
        ({"labels": {"team": "a"}}, True),
        ({"labels": {"team": "b"}}, False),
        ({"providers": ["google"], "owners": ["u-8"]}, False),
    ],
)
def test_connections_are_selected(what, allowed):
    assert may(rule(what=what)).allowed is allowed


def test_who_may_use_something_may_know_of_it_and_who_may_not_know_may_not_use_it():
    assert may(rule(modes=("proxy",)), mode="metadata").allowed
    assert not may(rule(modes=("proxy",))).allowed
    assert not may(rule(1), rule(2, "deny", modes=("metadata",))).allowed
    assert may(rule(1), rule(2, "deny", modes=("proxy",))).allowed


def test_another_projects_connection_is_out_of_reach_of_every_policy():
    wanted = Wanted(**{**{n: getattr(WANTED, n) for n in WANTED.__struct_fields__}, "project": "prj_2"})

    assert may(rule(), wanted=wanted).rule == ANOTHER_PROJECT


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ({"scopes": ["mail", "drive", "more"]}, True),
        ({"scopes": ["mail"]}, False),
        ({"scopes": []}, False),
        ({"purposes": ["billing"]}, True),
        ({"purposes": ["other"]}, False),
        ({"not_before": NOON}, True),
        ({"not_before": NOON + timedelta(seconds=1)}, False),
        ({"not_after": NOON}, False),
        ({"hours": Hours(since="08:00", until="18:00", days=["mon"])}, True),
        ({"hours": Hours(since="08:00", until="18:00", days=["tue"])}, False),
        ({"hours": Hours(since="08:00", until="12:00")}, False),
        ({"hours": Hours(since="12:00", until="08:00", days=["mon"])}, True),
    ],
)
def test_conditions_hold_or_do_not(conditions, allowed):
    assert may(rule(**conditions)).allowed is allowed


def test_a_night_belongs_to_the_day_on_which_it_begins():
    night = Hours(since="22:00", until="06:00", days=["mon"])

    assert night.hold(datetime(2026, 11, 23, 23, tzinfo=UTC))
    assert night.hold(datetime(2026, 11, 24, 5, tzinfo=UTC))
    assert not night.hold(datetime(2026, 11, 23, 5, tzinfo=UTC))


def test_the_policy_that_lets_it_last_longest_decides():
    assert may(rule(1, max_ttl_s=60), rule(2, max_ttl_s=600)).max_ttl_s == 600
    assert may(rule(1, max_ttl_s=60), rule(2)).max_ttl_s is None


def test_who_could_is_asked_for_whatever_purpose_and_time():
    could = Asking(runtime="rt_1", project="prj_1", labels={}, purpose=None)
    night = Hours(since="01:00", until="02:00")

    assert may(rule(purposes=["x"], hours=night), asking=could, now=None).allowed
    assert may(rule(1), rule(2, "deny", purposes=["x"]), asking=could, now=None).allowed
    assert may(rule(1), rule(2, "deny", hours=night), asking=could, now=None).allowed
    assert not may(rule(1), rule(2, "deny"), asking=could, now=None).allowed
