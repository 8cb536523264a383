import pytest

from controlplane.kit.canonical import canonical


def test_keys_are_sorted_and_nothing_is_wasted():
    assert canonical({"b": [1, True, None], "a": {"d": "x", "c": -5}}) == b'{"a":{"c":-5,"d":"x"},"b":[1,true,null]}'


def test_strings_are_escaped_as_rfc_8785_says():
    assert canonical('€$\x0f\nA\'B"\\"/') == b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\"/"'


@pytest.mark.parametrize("value", [1.5, 2**53, {"ä": 1}, {1: 2}, b"", [{"a": {1.0}}]])
def test_what_other_languages_read_differently_is_not_written(value):
    with pytest.raises(AssertionError):
        canonical(value)
