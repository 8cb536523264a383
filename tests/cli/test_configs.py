"""``controlplane config``: a document made, changed, looked at and taken back, and what a mistake in it says."""

import json
import re

import pytest

from tests.programs import command, said, told


@pytest.fixture(scope="module", autouse=True)
def shaped(running, shared_home):
    return said(shared_home, "tenant", "create", "shaped", "--name", "Shaped")


def test_a_document_is_set_listed_shown_and_taken_back(shared_home, tmp_path):
    file = tmp_path / "zone.json"
    file.write_text('{"prompts": {"greeting": {"text": "Hello"}}}')
    words = ("config", "set", str(file), "--tenant", "shaped", "--label", "zone=eu", "--canary", "ring=0")
    made = told(shared_home, *words).strip()
    assert re.fullmatch(r"cfg_[0-9a-z]{26}", made)
    told(shared_home, "config", "rollout", made, "--tenant", "shaped")

    listed = json.loads(told(shared_home, "config", "list", "--tenant", "shaped", "--json"))["data"]
    assert [(each["id"], each["scope"], each["version"]) for each in listed] == [(made, "label:zone=eu", 1)]
    shown = json.loads(told(shared_home, "config", "show", made, "--tenant", "shaped", "--json"))
    assert shown == {"prompts": {"greeting": {"text": "Hello", "version": 1}}}


def test_a_mistake_is_refused_with_its_line(shared_home, tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text('{\n"agent": {\n"scan_interval": 5}}')

    done = command(shared_home, "config", "set", str(file), "--tenant", "shaped")

    assert done.returncode == 1
    assert "line 3: agent.scan_interval" in done.stderr
