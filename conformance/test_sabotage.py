"""The code is spoiled on purpose, in one place at a time: some test has to turn red, or nobody would notice."""

import pytest

from scripts.sabotages import SABOTAGES, attempt


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_it_does_not_go_unnoticed(sabotage):
    assert attempt(sabotage) == ""
