"""The sabotages that ``make sabotage`` tries still fit the code they are to break."""

from pathlib import Path

import pytest

from scripts.ablations import ABLATIONS
from scripts.log_sabotages import LOGS
from scripts.sabotages import SABOTAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sabotage", [*SABOTAGES, *LOGS, *ABLATIONS], ids=lambda sabotage: sabotage.name)
def test_the_lines_are_there_once_and_so_are_the_tests(sabotage):
    for change in (sabotage, *sabotage.besides):
        assert (ROOT / change.file).read_text().count(change.was) == 1
        assert change.was != change.becomes
    for named in sabotage.noticed_by:
        path, _, test = named.partition("::")
        assert f"def {test}" in (ROOT / path).read_text()


def test_there_are_ten_at_least_and_one_for_each_rule_of_the_protocols_model():
    assert len(SABOTAGES) >= 10
    assert len(ABLATIONS) == 12
