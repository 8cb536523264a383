"""The sabotages that ``make sabotage`` tries still fit the code they are to break."""

from pathlib import Path

import pytest

from scripts.sabotages import SABOTAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_line_is_there_once_and_so_are_the_tests(sabotage):
    assert (ROOT / sabotage.file).read_text().count(sabotage.was) == 1
    assert sabotage.was != sabotage.becomes
    assert all((ROOT / tests).exists() for tests in sabotage.noticed_by)


def test_there_are_ten_at_least():
    assert len(SABOTAGES) >= 10
