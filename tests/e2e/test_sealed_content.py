"""A sealed checkpoint and everything that the control plane holds: database, object store, keyring. None of it opens it."""

import json
import zipfile
from base64 import b64decode, b64encode, urlsafe_b64decode
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from controlplane.demo.home import Shape
from runtime_agent import identity as identities
from runtime_agent.content import sealing
from runtime_agent.content.sealing import NotOpened, Sealed
from runtime_agent.identity import decoded
from runtime_agent.outbox import open_outbox
from tests import programs
from tests.e2e.conftest import Site
from tests.e2e.test_content import files, shown

KEY_BYTES = 32


class Holdings:
    """All that an operator of the control plane can lay hands on, in every form in which a key could stand in it."""

    def __init__(self, home, dump):
        programs.told(home, "db", "backup", str(dump))
        with zipfile.ZipFile(dump) as backup:
            self.parts = [backup.read(name) for name in backup.namelist()]
        self.keyring = (home / "secrets" / "keyring.json").read_bytes()
        self.blobs = [path.read_bytes() for path in (home / "blobs").rglob("*") if path.is_file()]
        self.parts += [self.keyring, *self.blobs]

    def have(self, secret):
        """Whether *secret* stands anywhere, as it is or as text."""
        forms = (secret, secret.hex().encode(), b64encode(secret).rstrip(b"="))
        forms += (b64encode(secret, b"-_").rstrip(b"="),)
        return any(form in part for form in forms for part in self.parts)

    def master_keys(self):
        """Every key that can be made of the keyring's texts."""
        for text in _texts(json.loads(self.keyring)):
            for read in (urlsafe_b64decode, b64decode, bytes.fromhex):
                try:
                    raw = read(text + "=" * (-len(text) % 4) if read is not bytes.fromhex else text)
                except ValueError:
                    continue
                for start in range(max(len(raw) - KEY_BYTES, 0) + 1):
                    if len(raw[start : start + KEY_BYTES]) == KEY_BYTES:
                        yield raw[start : start + KEY_BYTES]
            yield sha256(text.encode()).digest()


def _texts(value):
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


@pytest.fixture
def tenant_key(tmp_path):
    path = tmp_path / "tenant.key"
    public = programs.agent(tmp_path, "content", "keygen", path).stdout.strip()
    return path, public


def test_nothing_that_the_control_plane_holds_opens_it_and_the_tenants_key_does(up, place, tmp_path, tenant_key):
    path, public = tenant_key
    settings = {"RUNTIME_AGENT_CONTENT": "sealed", "RUNTIME_AGENT_CONTENT_KEY": public}
    site = Site(up, place, Shape(sessions=4, zone=UTC), datetime.now(UTC), **settings)
    site.decide("sealed", public_key=public)
    site.once()
    session, row = next((session, row) for session, row in shown(site) if row["restorable"])
    document = files(site)[session, row["source"]["id"]]
    export = tmp_path / "export.json"
    export.write_bytes(site.content(row["id"]))
    outbox = open_outbox(site.agent / "outbox.db", identities.load(site.agent).id)
    [(material,)] = outbox.rows("SELECT material FROM content_keys")
    outbox.close()
    package = json.loads(export.read_bytes())

    held = Holdings(up.home, tmp_path / "everything.zip")

    assert held.have(bytes.fromhex(package["digest"])), "it is looked at where it stands"
    assert any(b64decode(package["chunks"][0]) == blob for blob in held.blobs)
    secrets = (decoded(path.read_text().strip()), material, material[:KEY_BYTES], material[KEY_BYTES:])
    assert not any(held.have(secret) for secret in secrets)
    memory = json.loads(document)["shared_memory"]
    assert not any(str(value).encode() in blob for value in memory.values() for blob in held.blobs)
    assert not any(_opens(key, package) for key in held.master_keys())
    opened = programs.agent(tmp_path, "content", "open", export, "--key", path)
    assert opened.stdout.encode() == document


def _opens(key, package):
    """Whether *key* is the tenant's, or one that a chunk is sealed with."""
    try:
        sealing.envelope_of(key, decoded(package["sealed_key"]))
    except NotOpened:
        form = Sealed(sealing.Envelope("", key + bytes(KEY_BYTES), b""))
    else:
        return True
    try:
        form.opened(b64decode(package["chunks"][0]), package["size"])
    except NotOpened:
        return False
    return True
