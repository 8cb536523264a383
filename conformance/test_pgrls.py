"""A second opinion on row-level security: pgrls reads the catalog, and proves the policies with Z3."""

import json
import subprocess
from pathlib import Path

import pytest

from controlplane.cli.home import Home, kept
from controlplane.db.roles import Urls

ROOT = Path(__file__).parents[1]
PGRLS = ROOT / ".venv/opinions/bin/pgrls"


@pytest.fixture(scope="module")
def pgrls(up):
    owner = kept(Home(up.home).database, Urls).owner

    def run(*words):
        done = subprocess.run(
            [PGRLS, *words, "--database-url", owner, "--config", ROOT / "conformance/pgrls.toml"],
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_nothing_to_object_to(pgrls):
    status, said = pgrls("lint", "--fail-on", "info")

    assert status == 0, said


@pytest.mark.parametrize("mode", ["anon", "cross-tenant", "write"])
def test_isolation_is_proven(pgrls, mode):
    status, said = pgrls("verify", "--mode", mode, "--strict", "--format", "json")

    assert status == 0, said
    assert json.loads(said)
