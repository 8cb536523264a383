"""``controlplane budget``: one made, listed, looked at, changed and deleted, and what is refused."""

import json
import re

import pytest

from tests.programs import command, said, told


@pytest.fixture(scope="module", autouse=True)
def thrifty(running, shared_home):
    return said(shared_home, "tenant", "create", "thrifty", "--name", "Thrifty")


def test_a_budget_is_made_listed_changed_and_deleted(shared_home):
    words = ("--tenant", "thrifty", "--usd", "12.50", "--period", "week", "--zone", "Europe/Berlin", "--pause")
    made = told(shared_home, "budget", "create", "a week", *words).strip()
    assert re.fullmatch(r"bud_[0-9a-z]{26}", made)
    assert json.loads(told(shared_home, "budget", "show", made, "--tenant", "thrifty", "--json"))["data"] == []

    told(shared_home, "budget", "change", made, "--tenant", "thrifty", "--usd", "10", "--warn-at", "75", "--warn")
    [its] = json.loads(told(shared_home, "budget", "list", "--tenant", "thrifty", "--json"))["data"]
    assert (its["id"], its["limit"], its["unit"], its["warn_at"]) == (made, 10_000_000, "micro_usd", [75])
    assert (its["action"], its["used"], its["left"], its["zone"]) == ("warn", 0, 10_000_000, "Europe/Berlin")
    told(shared_home, "budget", "delete", made, "--tenant", "thrifty")


@pytest.mark.parametrize(
    ("words", "exit_code", "why"),
    [
        (("--tokens", "1", "--usd", "1"), 1, "one limit"),
        ((), 1, "one limit"),
        (("--usd", "1.2345678"), 2, "six decimals"),
        (("--tokens", "1", "--warn-at", "120"), 2, "no percentages"),
        (("--tokens", "1", "--zone", "Mars/Olympus"), 1, "no such time zone"),
    ],
)
def test_what_is_no_budget_is_refused(shared_home, words, exit_code, why):
    done = command(shared_home, "budget", "create", "x", "--tenant", "thrifty", *words)

    assert done.returncode == exit_code
    assert why in done.stderr
