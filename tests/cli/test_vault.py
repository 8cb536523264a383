"""``controlplane vault``: keys are replaced beside a running server, and a command that was killed is gone on with."""

import json

import msgspec
import pytest

from controlplane.domain import keys
from tests.programs import controlplane, said


@pytest.fixture
def external(app_url, home):
    """The environment of an operator who brings a database; the home holds the keyring only."""
    keys.write(home / "secrets" / "keyring.json", keys.new())
    return {"CONTROLPLANE_DATABASE_URL": app_url, "CONTROLPLANE_KEY_REST_S": "0"}


@pytest.fixture
def acme(external, home):
    """A tenant with something that is sealed: the letter to its owner."""
    said(home, "tenant", "create", "acme", "--name", "Acme", "--owner", "ann@example.com", **external)


def standing(home, external):
    return json.loads(said(home, "vault", "status", "--json", **external))


def masters(home, external):
    return {master["name"]: master["state"] for master in standing(home, external)["masters"]}


def test_a_new_master_key_takes_over_and_the_old_one_goes_when_it_is_told_to(external, home, acme):
    ring = home / "secrets" / "keyring.json"
    before = keys.read(f"file:{ring}", {})

    assert "is done" in said(home, "vault", "rotate-kek", **external)
    assert masters(home, external) == {"k002": "current", "k001": "retired"}
    assert ring.stat().st_mode & 0o777 == 0o600
    assert "k001 is retired" in said(home, "vault", "status", **external)

    said(home, "vault", "rotate-kek", "--forget-retired", **external)

    after = keys.read(f"file:{ring}", {})
    assert sorted(after.keys) == ["k003"]
    assert keys.jwks(after)["keys"][-1]["kid"].startswith("certificate:")
    assert keys.certificate_keys(after)["k001"].public_key() == keys.certificate_keys(before)["k001"].public_key()
    assert after.pepper == before.pepper
    assert said(home, "tenant", "list", **external)


def test_a_tenants_data_keys_are_replaced(external, home, acme):
    done = json.loads(said(home, "vault", "rotate-dek", "--tenant", "acme", "--json", **external))
    platform = json.loads(said(home, "vault", "rotate-dek", "--platform", "--json", **external))

    assert (done["kind"], done["step"]) == ("data", "done")
    assert platform["step"] == "done"
    assert json.loads(said(home, "vault", "rewrap", "--json", **external))["step"] == "done"


def test_an_emergency_replaces_everything(external, home, acme):
    done = json.loads(said(home, "vault", "emergency", "--within", "5m", "--json", **external))

    assert (done["kind"], done["step"]) == ("emergency", "done")
    assert masters(home, external) == {"k002": "current", "k001": "retired"}
    assert all(not kind["former"] for kind in standing(home, external)["kinds"])


def test_a_keyring_in_a_variable_is_changed_where_the_variable_is(external, home, acme):
    old = keys.read(f"file:{home / 'secrets' / 'keyring.json'}", {})
    ring = {"CONTROLPLANE_KEK": "env:RING", "RING": msgspec.json.encode(old).decode()}

    refused = controlplane(home, "vault", "rotate-kek", **external, **ring)
    assert refused.returncode == 1
    assert "There is no new master key yet" in refused.stderr

    new = msgspec.structs.replace(old, keys={**old.keys, "mine": bytes(32)}, wrapping="mine")
    ring["RING"] = msgspec.json.encode(new).decode()
    assert "mine is configured and does not wrap yet" in said(home, "vault", "status", **external, **ring)
    said(home, "vault", "rotate-kek", **external, **ring)
    assert masters(home, {**external, **ring}) == {"mine": "current", "k001": "retired"}


def test_where_there_are_more_replicas_the_new_key_is_copied_first(external, home, acme, redis_url):
    shared = {**external, "CONTROLPLANE_REDIS_URL": redis_url}

    refused = controlplane(home, "vault", "rotate-kek", **shared)
    assert refused.returncode == 1
    assert "--stage" in refused.stderr
    assert "Copy it to every replica" in controlplane(home, "vault", "rotate-kek", "--stage", **shared).stderr
    assert masters(home, shared) == {"k001": "current"}
    said(home, "vault", "rotate-kek", **shared)

    assert masters(home, shared) == {"k002": "current", "k001": "retired"}


def test_one_owner_is_named(external, home):
    assert controlplane(home, "vault", "rotate-dek", **external).returncode == 2
    assert controlplane(home, "vault", "rotate-dek", "--tenant", "a", "--platform", **external).returncode == 2
    unknown = controlplane(home, "vault", "rotate-dek", "--tenant", "nobody", **external)
    assert (unknown.returncode, "There is no tenant" in unknown.stderr) == (1, True)
