"""The documentation says nothing of what is not there: links, paths, names and vectors."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from runtime_agent.wire import chain

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[a-z]*/README.md")})
MADE = {ROOT / "docs" / "reference" / name for name in ("permissions.md", "providers.md", "refusals.md", "settings.md")}
WRITTEN = [page for page in PAGES if page not in MADE]

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|`[^`]*`)+)\]\((?P<target>[^)\s]+)\)")
FOLDERS = "benchmarks|conformance|controlplane|docs|infra|migrations|runtime_agent|scripts|tests"
OURS = re.compile(rf"`((?:(?:{FOLDERS})/[\w./*-]*)|Makefile|pyproject\.toml)`")
NAME = re.compile(r"`(?:\w+\.)*(\w+)`")
TWO_SENTENCES = re.compile(r"[a-z)`]\. [A-Z]")
VECTOR = re.compile(r"^\| (\d) \|(.*?)\| `([0-9a-f]{64})` \|$", re.MULTILINE)
FOR_WHOM = re.compile(r"^(For whoever|For dev|For DevOps|Who should read)", re.IGNORECASE)


def named(page):
    return str(page.relative_to(ROOT))


def prose(page):
    return FENCED.sub("", page.read_text())


def links(page):
    """Text and target of every link to something of ours."""
    return [(found["text"], found["target"]) for found in LINK.finditer(prose(page)) if "://" not in found["target"]]


def resolved(page, target):
    path, _, anchor = target.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


def anchors(page):
    """What can be linked to: headings in lower case, blanks as hyphens, without the rest."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    broken = []
    for _, target in links(page):
        path, anchor = resolved(page, target)
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_name_in_a_link_to_code_is_in_that_file(page):
    absent = []
    for text, target in links(page):
        name = NAME.fullmatch(text)
        if name and target.endswith(".py") and not text.endswith(".py`"):
            code = resolved(page, target)[0].read_text()
            if not re.search(rf"^\s*(?:(?:async )?def|class) {name[1]}\b|^{name[1]}\b", code, re.MULTILINE):
                absent.append(f"{text} in {target}")
    assert absent == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_path_of_ours_exists(page):
    assert [path for path in OURS.findall(page.read_text()) if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_a_line_holds_one_sentence(page):
    lines = [line for line in prose(page).splitlines() if not line.startswith("|")]

    assert [line for line in lines if TWO_SENTENCES.search(line)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page.parts], ids=named)
def test_a_page_says_at_its_top_whom_it_is_for(page):
    top = [line for line in prose(page).splitlines() if line][1:3]

    assert page == ROOT / "README.md" or any(FOR_WHOM.match(line) for line in top)


def test_decisions_have_numbers_of_their_own_and_are_all_in_the_list():
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    listed = (ROOT / "docs" / "README.md").read_text()

    assert [name[:4] for name in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    assert [name for name in decisions if f"(decisions/{name})" not in listed] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")), ids=named)
def test_a_decision_has_its_four_parts_and_names_what_enforces_it(page):
    text = page.read_text()

    assert re.match(rf"# {page.name[:4]}: ", text)
    assert all(f"**{part}**" in text for part in ("Context.", "Decision.", "Consequences.", "Enforced by"))
    assert OURS.search(text.partition("**Enforced by**")[2])


def test_the_published_vectors_of_the_chain_hold():
    page = (ROOT / "docs" / "reference" / "wire.md").read_text()
    runtime = UUID(re.search(r"for the runtime `([0-9a-f-]{36})`", page)[1])
    vectors = VECTOR.findall(page)

    assert len(vectors) == 5
    for epoch, lines, head in vectors:
        encoded = [line.encode() for line in re.findall("`([^`]*)`", lines)]
        assert chain.extend(chain.origin(runtime, int(epoch)), encoded).hex() == head
