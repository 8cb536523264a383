import os

import pytest

from controlplane import settings
from controlplane.settings import SettingInvalid


@pytest.fixture
def environ(tmp_path):
    return {"CONTROLPLANE_HOME": str(tmp_path), "PATH": "/bin"}


def test_no_settings_at_all_work(environ, tmp_path):
    given = settings.read(environ)

    assert given.database_url is None
    assert given.kek == f"file:{tmp_path}/secrets/keyring.json"
    assert given.public_url == "http://127.0.0.1:8700"


def test_the_home_of_an_account_is_where_its_data_goes(tmp_path):
    found = settings.usual_home({"XDG_DATA_HOME": str(tmp_path)})

    assert str(found) == ("/var/lib/engine-cloud" if os.geteuid() == 0 else f"{tmp_path}/engine-cloud")


def test_the_environment_overrules_the_file(environ, tmp_path):
    (tmp_path / "controlplane.toml").write_text(
        'public_url = "https://one.example"\nredis_url = "redis://127.0.0.1:6379"\n'
    )

    given = settings.read({**environ, "CONTROLPLANE_PUBLIC_URL": "https://two.example"})

    assert (given.public_url, given.redis_url) == ("https://two.example", "redis://127.0.0.1:6379")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "http://x"),
        ("PUBLIC_URL", "https://x/path"),
        ("KEK", "keyring.json"),
        ("METRICS_TOKEN", "short"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,everybody"),
        ("SMTP_URL", "mail.example:25"),
        ("SMTP_URL", "smtp://robot:hunter2@mail.example:port"),
        ("SMTP_URL", "smtp://robot:hunter2@:25"),
        ("MAIL_FROM", "Engine Cloud"),
    ],
)
def test_an_ill_typed_setting_stops_the_start_by_its_name(environ, name, value):
    with pytest.raises(SettingInvalid, match=f"CONTROLPLANE_{name}: ") as caught:
        settings.read({**environ, f"CONTROLPLANE_{name}": value})
    assert value not in str(caught.value)


def test_plans_stand_in_the_file_and_in_the_environment(environ, tmp_path):
    (tmp_path / "controlplane.toml").write_text('default_plan = "free"\n[plans.free]\nusers = 5\n[plans.gold]\n')

    in_file = settings.read(environ)
    in_environment = settings.read({**environ, "CONTROLPLANE_PLANS": '{"free": {"users": 7}}'})

    assert in_file.plans["free"].limits()["users"] == 5
    assert in_file.plans["gold"].limits()["users"] is None
    assert in_environment.plans["free"].limits()["users"] == 7


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("free", "CONTROLPLANE_PLANS: Expected JSON"),
        ('{"standard": {"wishes": 3}}', "CONTROLPLANE_PLANS: there is no limit wishes"),
        ('{"standard": {"users": -2}}', "CONTROLPLANE_PLANS.*: Expected `int` >= -1"),
        ('{"free": {}}', "CONTROLPLANE_DEFAULT_PLAN: Expected one of the plans: free"),
    ],
)
def test_a_plan_that_cannot_be_stops_the_start(environ, value, complaint):
    with pytest.raises(SettingInvalid, match=complaint):
        settings.read({**environ, "CONTROLPLANE_PLANS": value})


@pytest.mark.parametrize("name", ["REDIS_ULR", "BLOB_STORE", "SMTP_HOST"])
def test_a_setting_that_nothing_reads_stops_the_start(environ, name):
    with pytest.raises(SettingInvalid, match=f"CONTROLPLANE_{name}: there is no such setting"):
        settings.read({**environ, f"CONTROLPLANE_{name}": "redis://x"})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("public_url = 5", "CONTROLPLANE_PUBLIC_URL"),
        ("public = 'x'", "CONTROLPLANE_PUBLIC"),
        ("= x", "controlplane.toml"),
        ("home = '/x'", "CONTROLPLANE_HOME"),
    ],
)
def test_a_wrong_file_stops_the_start(environ, tmp_path, content, complaint):
    (tmp_path / "controlplane.toml").write_text(content)

    with pytest.raises(SettingInvalid, match=complaint):
        settings.read(environ)


def test_printing_settings_shows_no_password(environ):
    given = settings.read({**environ, "CONTROLPLANE_DATABASE_URL": "postgresql://cp_app:hunter2@x/y"})

    assert "hunter2" not in repr(given)


def test_proxies_are_networks_or_single_addresses(environ):
    given = settings.read({**environ, "CONTROLPLANE_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,"})

    assert list(map(str, given.proxies())) == ["10.0.0.0/8", "192.0.2.7/32"]
    assert settings.read(environ).proxies() == ()


def test_a_mail_server_needs_somebody_whom_letters_are_from(environ):
    server = {"CONTROLPLANE_SMTP_URL": "smtps://robot:hunter2@mail.example"}

    with pytest.raises(SettingInvalid, match="CONTROLPLANE_MAIL_FROM: "):
        settings.read({**environ, **server})
    given = settings.read({**environ, **server, "CONTROLPLANE_MAIL_FROM": "Us <us@example.com>"})

    assert given.mail_from == "Us <us@example.com>"
    assert "hunter2" not in repr(given)


def test_resolvers_are_addresses_with_a_port_or_without(environ):
    given = settings.read({**environ, "CONTROLPLANE_DNS_SERVERS": "192.0.2.53, 192.0.2.54:5353,[2001:db8::1]:54"})

    assert given.resolvers() == (("192.0.2.53", 53), ("192.0.2.54", 5353), ("2001:db8::1", 54))
    with pytest.raises(SettingInvalid, match="CONTROLPLANE_DNS_SERVERS: "):
        settings.read({**environ, "CONTROLPLANE_DNS_SERVERS": "dns.example"})


def test_the_operators_provider_is_named_whole_or_not_at_all(environ):
    with pytest.raises(SettingInvalid, match="CONTROLPLANE_OPERATOR_SSO_CLIENT_ID: "):
        settings.read({**environ, "CONTROLPLANE_OPERATOR_SSO_ISSUER": "https://idp.example"})


def test_refreshes_go_as_fast_as_they_are_told():
    given = settings.read({"CONTROLPLANE_REFRESH_PACE": '{"call_s": 1, "deadline_s": 2}'})

    assert (given.refresh_pace.call_s, given.refresh_pace.deadline_s, given.refresh_pace.adopt_s) == (1.0, 2.0, 60.0)


@pytest.mark.parametrize(
    ("pace", "why"),
    [
        ('{"call_s": 30}', "deadline_s has to be longer than call_s"),
        ('{"calls_s": 3}', "there is no duration calls_s"),
        ('{"call_s": 0}', "CONTROLPLANE_REFRESH_PACE"),
        ("fast", "Expected JSON"),
    ],
)
def test_durations_that_do_not_go_together_stop_the_start(pace, why):
    with pytest.raises(SettingInvalid, match=why):
        settings.read({"CONTROLPLANE_REFRESH_PACE": pace})
