"""Permissions and refusals are published, and change in plain sight or not at all."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from controlplane.domain.permission_names import (
    OPERATOR_PERMISSIONS,
    PERMISSIONS,
    RUNTIME_PERMISSIONS,
    SCIM_PERMISSIONS,
)
from controlplane.http.proof import Lock
from scripts import references

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages():
    return references.pages()


@pytest.mark.parametrize("name", ["permissions.json", "permissions.md", "providers.md", "refusals.md", "settings.md"])
def test_the_committed_page_is_what_the_code_makes(pages, name):
    assert (references.FOLDER / name).read_text() == pages[name], "on purpose? python -m scripts.references"


def test_every_permission_is_asked_for_by_some_operation():
    locks = msgspec.json.decode((references.FOLDER / "permissions.json").read_bytes(), type=list[Lock])
    known = {*PERMISSIONS, *OPERATOR_PERMISSIONS, *RUNTIME_PERMISSIONS, *SCIM_PERMISSIONS}

    assert known == {lock.permission for lock in locks if lock.permission}


def test_every_code_has_one_meaning():
    codes = Counter(refusal.code for refusal in references.every_refusal())

    assert [code for code, uses in codes.items() if uses > 1] == []


def test_codes_are_words_with_hyphens():
    odd = [each.code for each in references.every_refusal() if each.code != each.code.lower() or "_" in each.code]

    assert odd == []


def test_every_refusal_says_what_to_do_next():
    assert [each.__name__ for each in references.every_refusal() if not each.hint] == []


def test_every_refusal_is_raised_in_some_test():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    untested = [
        each.code for each in references.every_refusal() if each.code not in tests and each.__name__ not in tests
    ]
    assert untested == []
