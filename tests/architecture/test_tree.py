"""What must not be in the repository: it has to work on any machine, from any mirror."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
REGISTRIES = ("pypi." + "org", "python" + "hosted", "npmjs." + "org", "deb.debian." + "org")
MACHINE = r"(?<![\w.])/(" + "|".join(("wo" + "rk", "fa" + "rm")) + r"|root/\.pyenv|opt/pypi)/"
UNFINISHED = r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b"
LARGEST_BYTES = 512 << 10
GENERATED = {"docs/reference/openapi.json"}
"""Nobody reviews these: what is in them is compared with what makes them (tests/cli/test_openapi.py)."""
VAGUE = {"utils", "common", "misc", "manager", "service", "handler", "base", "impl", "helpers"}


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def lines_with(pattern):
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # a picture
            continue
        found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in text.splitlines() if re.search(pattern, line)]
    return found


def test_no_path_of_one_machine_is_in_the_tree():
    assert lines_with(MACHINE) == []


def test_no_registry_is_named_so_that_any_mirror_will_do():
    assert lines_with("|".join(map(re.escape, REGISTRIES))) == []


def test_nothing_is_left_for_later():
    assert lines_with(UNFINISHED) == []


def test_the_locks_name_no_index_and_every_line_has_a_hash():
    for name in ("requirements.lock", "conformance.lock", "opinions.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
        assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(
            re.findall(r"^\S+==.*\\\n +--hash", text, re.MULTILINE)
        )


def test_every_dependency_has_its_reason_in_the_decisions():
    pyproject = (ROOT / "pyproject.toml").read_text()
    reasons = (ROOT / "docs/decisions/dependencies.md").read_text()
    wanted = set(re.findall(r'"([a-z][\w-]*)(?:\[[\w,]+\])?>=', pyproject))
    assert {name for name in wanted if f"| {name} |" not in reasons} == set()


def test_modules_have_names_that_say_something():
    assert [str(path.relative_to(ROOT)) for path in tracked() if path.suffix == ".py" and path.stem in VAGUE] == []


def test_no_file_is_too_large_to_review():
    large = {str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > LARGEST_BYTES}

    assert large - GENERATED == set()
