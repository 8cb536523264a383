"""A tenant leaves one installation and comes to another, by the real program."""

import json
import zipfile

import pytest

from tests import programs
from tests.programs import command, said, told


@pytest.fixture
def elsewhere():
    with programs.empty_home() as home:
        told(home, "db", "init")
        yield home


@pytest.fixture
def tenant(running, shared_home):
    name = f"leaving-{programs.free_port()}"
    told(shared_home, "tenant", "create", name, "--name", "On its way", "--owner", f"{name}@example.com")
    return name


def test_a_tenant_is_exported_deleted_purged_and_imported_elsewhere(running, shared_home, tenant, elsewhere, tmp_path):
    """Two installations, each with a database of its own: takes some seconds."""
    identity = json.loads(told(shared_home, "tenant", "show", tenant, "--json"))["id"]
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"

    digest = said(shared_home, "tenant", "export", tenant, "--out", first)
    deleted = json.loads(told(shared_home, "tenant", "delete", tenant, "--grace", "1s", "--json"))
    assert deleted["status"] == "pending_deletion"
    assert programs.eventually(lambda: command(shared_home, "tenant", "purge", identity).returncode == 0)
    assert said(elsewhere, "tenant", "import", first) == identity
    again = told(elsewhere, "tenant", "export", tenant, "--out", second)

    assert again == digest
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        assert one.read("manifest.json") == other.read("manifest.json")
    assert first.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".*"))

    certificate = tmp_path / "certificate.json"
    certificate.write_text(told(shared_home, "tenant", "certificate", identity))
    key = told(shared_home, "tenant", "certificate-key")
    checked = programs.run("controlplane", "tenant", "verify-certificate", certificate, "--public-key", key)
    assert checked.returncode == 0, checked.stderr
    assert identity in checked.stdout
    certificate.write_text(certificate.read_text().replace('"accounts": 1', '"accounts": 0'))
    forged = programs.run("controlplane", "tenant", "verify-certificate", certificate, "--public-key", key)
    assert forged.returncode == 1
    assert (shared_home / "tombstones" / f"{identity}.json").exists()
    refused = command(shared_home, "tenant", "import", first)
    assert (refused.returncode, "had it" in refused.stderr) == (1, True)


def test_deleted_and_undeleted_a_tenant_is_what_it_was(shared_home, running, tenant):
    shown = json.loads(told(shared_home, "tenant", "show", tenant, "--json"))
    told(shared_home, "tenant", "suspend", tenant, "--reason", "unpaid", "--message", "call us")
    deleted = told(shared_home, "tenant", "delete", tenant)
    back = json.loads(told(shared_home, "tenant", "undelete", tenant, "--json"))
    resumed = json.loads(told(shared_home, "tenant", "resume", tenant, "--json"))

    assert "pending_deletion" in deleted
    assert (back["status"], back["status_reason"], back["status_message"]) == ("suspended", "unpaid", "call us")
    assert resumed["status"] == shown["status"] == "active"


def test_a_purge_before_its_time_is_refused(shared_home, running, tenant):
    told(shared_home, "tenant", "delete", tenant)

    refused = command(shared_home, "tenant", "purge", tenant)

    assert (refused.returncode, "grace is not over" in refused.stderr) == (1, True)


def test_tombstones_of_a_restored_database_are_applied(shared_home, running):
    assert json.loads(told(shared_home, "db", "tombstones", "--json")) == {"returned": 0}


def test_limits_are_shown_beside_what_is_in_use(shared_home, running, tenant):
    shown = json.loads(told(shared_home, "tenant", "show", tenant, "--json"))["limits"]

    assert shown["users"] == {"limit": None, "used": 1}
    assert shown["requests_per_minute"] == {"limit": 60000}
    assert "at most 60000" in told(shared_home, "tenant", "show", tenant)
