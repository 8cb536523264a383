"""What is read out of a page of the console: names begin with what is to be seen, and no column is without one."""

import re
from pathlib import Path

import pytest

from controlplane.http.console.pages.roles import GROUPS

TEMPLATES = Path(__file__).parents[2] / "controlplane/http/console/templates"
PAGES = sorted(TEMPLATES.rglob("*.html"))
NAMED = re.compile(r'<button[^>]*aria-label="([^"]*)"[^>]*>([^<{]+)<')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TEMPLATES)))
def test_a_button_is_called_as_it_says_and_a_column_has_a_name(page):
    text = page.read_text()

    assert [name for name, said in NAMED.findall(text) if not name.startswith(said.strip())] == []
    assert re.findall(r"<th[^>]*>\s*</th>", text) == []


def test_permissions_of_one_kind_stand_together():
    nouns = [noun for noun, _ in GROUPS]

    assert len(nouns) == len(set(nouns))
    assert {choice.name.partition(":")[0] for noun, choices in GROUPS for choice in choices if noun == "user"} == {
        "user"
    }
