"""Settings: the file, the environment above it, and what is refused."""

import pytest

from runtime_agent import home, settings
from runtime_agent.problems import BadSetting, Refusal


def write(folder, text):
    (folder / "agent.toml").write_text(text)


def test_nothing_set_is_the_default(tmp_path):
    assert settings.read(tmp_path, {}) == settings.Settings()


def test_the_environment_overrules_the_file(tmp_path):
    write(tmp_path, 'source_timezone = "UTC"\nkeep_days = 3\n')

    found = settings.read(tmp_path, {"RUNTIME_AGENT_KEEP_DAYS": "1.5", "RUNTIME_AGENT_SOURCES": "engine:/a"})

    assert (found.source_timezone, found.keep_days, found.sources) == ("UTC", 1.5, ["engine:/a"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keep_days = true", "keep_days in agent.toml: expected `float`, got `bool`"),
        ("keep_dais = 1", "keep_dais in agent.toml: there is no such setting"),
        ("keep_mib = 0", "keep_mib in agent.toml: expected `int` >= 1"),
        ("sources = 7", "sources in agent.toml: expected `array`, got `int`"),
        ("keep_days = ", "cannot be read"),
    ],
)
def test_a_wrong_setting_in_the_file_is_named(tmp_path, text, said):
    write(tmp_path, text)

    with pytest.raises(BadSetting) as refused:
        settings.read(tmp_path, {})

    assert said in str(refused.value)


def test_a_wrong_setting_in_the_environment_is_named(tmp_path):
    with pytest.raises(BadSetting, match="RUNTIME_AGENT_KEEP_MIB: expected"):
        settings.read(tmp_path, {"RUNTIME_AGENT_KEEP_MIB": "many"})


def test_a_join_token_in_the_environment_is_no_setting(tmp_path):
    assert settings.read(tmp_path, {"RUNTIME_AGENT_JOIN_TOKEN": "x", "RUNTIME_AGENT_HOME": "/x"}) == settings.Settings()


def test_two_sources_of_a_kind_are_refused():
    with pytest.raises(BadSetting, match="two sources of kind 'engine'"):
        settings.Settings(sources=["engine:/a", "engine:/b"]).opened()


def test_sources_are_written_beside_what_else_stands_in_the_file(tmp_path):
    write(tmp_path, '# ours\nsources = ["engine:/old"]\nkeep_days = 3\n')

    settings.remember_sources(tmp_path, ['engine:/with "quotes"'])

    found = settings.read(tmp_path, {})
    assert (found.sources, found.keep_days) == (['engine:/with "quotes"'], 3)
    assert "# ours" in (tmp_path / "agent.toml").read_text()


def test_a_file_that_cannot_be_changed_safely_is_left_to_a_person(tmp_path):
    write(tmp_path, 'sources = [\n  "engine:/old",\n]\n')

    with pytest.raises(BadSetting) as refused:
        settings.remember_sources(tmp_path, ["engine:/new"])

    assert 'sources = ["engine:/new"]' in refused.value.hint
    assert "/old" in (tmp_path / "agent.toml").read_text()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RUNTIME_AGENT_HOME": "/x"}, "/x"),
        ({"XDG_DATA_HOME": "/d"}, "/d/runtime-agent"),
        ({"HOME": "/h"}, "/h/.local/share/runtime-agent"),
    ],
)
def test_the_home_is_where_the_contract_says(monkeypatch, environment, expected):
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert str(settings.default_home(environment)) == expected


def test_roots_home_is_under_var_lib(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert str(settings.default_home({"HOME": "/root"})) == "/var/lib/runtime-agent"


class TestHome:
    def test_it_is_made_closed(self, tmp_path):
        home.prepare(tmp_path / "a/b")

        assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700

    def test_a_folder_that_cannot_be_made_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")

        with pytest.raises(Refusal, match="cannot be made"):
            home.prepare(tmp_path / "file/agent")

    def test_a_file_is_replaced_whole(self, tmp_path):
        home.write_whole(tmp_path / "x", b"one")
        home.write_whole(tmp_path / "x", b"two")

        assert (tmp_path / "x").read_bytes() == b"two"
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_two_processes_do_not_share_it(self, tmp_path):
        with home.only_process(tmp_path):
            assert home.holder(tmp_path) is not None
            with pytest.raises(Refusal, match="another runtime-agent"), home.only_process(tmp_path):
                raise AssertionError("never")
        assert home.holder(tmp_path) is None
