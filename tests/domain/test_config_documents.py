"""What a document of configuration may say, and what several come to."""

import pytest

from controlplane.domain.configs import checking
from controlplane.domain.configs.checking import ConfigInvalid
from controlplane.domain.configs.merging import merged


def test_documents_come_to_the_same_whatever_was_written_first():
    wide = {"agent": {"scan_interval_s": 60, "log_level": "info"}, "prompts": {"a": {"text": "x"}, "b": {"text": "y"}}}
    narrow = {"agent": {"log_level": "debug"}, "prompts": {"a": None, "b": {"text": "z"}}}

    assert merged([wide, narrow]) == {
        "agent": {"scan_interval_s": 60, "log_level": "debug"},
        "prompts": {"b": {"text": "z"}},
    }
    assert merged([{"prompts": {"a": {"text": "x"}}}, {"prompts": None}]) == {}


def test_what_is_kept_in_by_a_wider_document_no_narrower_one_lets_out():
    wide = {"redaction": {"words": ["Quandt"], "withhold": ["goals"]}, "content": {"policy": "metadata"}}
    narrow = {"redaction": {"words": ["Acme"]}, "content": {"policy": "plain"}}

    assert (
        merged([wide, narrow])
        == merged([narrow, wide])
        == {
            "redaction": {"words": ["Acme", "Quandt"], "withhold": ["goals"]},
            "content": {"policy": "metadata"},
        }
    )
    assert merged([wide, {"redaction": None, "content": None}]) == merged([wide])


@pytest.mark.parametrize(
    ("typed", "line", "place"),
    [
        ('{\n"agent": {"scan_interval": 5}}', 2, "agent.scan_interval"),
        ('{"agent":\n {"scan_interval_s": "5"}}', 2, "agent.scan_interval_s"),
        ('{"redaction": {"words": ["abc",\n "x"]}}', 2, "redaction.words[1]"),
        ('{"plugins": {\n"../../etc": {"version": "1"}}}', 2, "plugins.../../etc"),
        ('{"skills": {"..": {"text": ""}}}', 1, "skills..."),
        ('{"prompts": {"a": {"text": "\\u0000"}}}', 1, "prompts.a"),
        ('{"agents": {}}', 1, "agents"),
        ('{\n"agent": {}\n"x"}', 3, ""),
        ('{"agent": {}, "agent": {}}', 1, ""),
        ("[" * 100_000, 1, ""),
        ('{"agent": NaN}', 1, ""),
        ('"' + "x" * 600_000 + '"', 1, ""),
        ("[]", 1, ""),
    ],
)
def test_what_is_no_document_is_refused_with_the_place(typed, line, place):
    with pytest.raises(ConfigInvalid) as refused:
        checking.read(typed)

    assert (refused.value.errors[0].line, refused.value.errors[0].place) == (line, place)


def test_a_document_that_is_too_large_is_refused():
    with pytest.raises(ConfigInvalid, match="bytes"):
        checking.check({"prompts": {f"p{number}": {"text": "x" * 60_000} for number in range(3)}})
