"""The checks of scim2-cli against a real server with two tenants: every one of them succeeds in each."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests import programs

SCIM2 = Path(sys.executable).with_name("scim2")
CHECK_S = 300


def cli(up: programs.Up, *args: str) -> str:
    program = Path(sys.executable).with_name("controlplane")
    done = subprocess.run([program, *args, "--home", up.home], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def call(up: programs.Up, path: str, credential: str, body: dict[str, object] | None = None) -> dict:
    given = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {credential}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{up.url}{path}", given, headers), timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def tokens(up: programs.Up) -> dict[str, str]:
    """A SCIM token of each of two tenants, one of which has people and groups already."""
    found = {}
    for slug in ("first-scim", "second-scim"):
        cli(up, "tenant", "create", slug, "--name", slug)
        key = cli(up, "api-key", "create", "--tenant", slug, "--name", "conformance", "--role", "owner")
        found[slug] = call(up, f"/v1/tenants/{slug}/scim-tokens", key, {"name": "scim2"})["token"]
    for number in range(40):
        user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"canary{number}@first.example"}
        call(up, "/scim/v2/Users", found["first-scim"], user)
    return found


@pytest.mark.parametrize("slug", ["second-scim", "first-scim"])
def test_every_check_succeeds(up: programs.Up, tokens: dict[str, str], slug: str):
    environment = {**os.environ, "SCIM_CLI_HEADERS": f"Authorization: Bearer {tokens[slug]}"}

    done = subprocess.run(
        [SCIM2, "--url", f"{up.url}/scim/v2", "test", "-v"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=CHECK_S,
    )

    verdicts = re.split(r"^(?=(?:SUCCESS|ERROR|CRITICAL|SKIPPED) )", done.stdout, flags=re.MULTILINE)[1:]
    assert [verdict[:2000] for verdict in verdicts if not verdict.startswith("SUCCESS ")] == []
    assert len(verdicts) > 120
    assert done.returncode == 0, done.stdout[-2000:]


def test_nothing_of_the_other_tenant_was_touched_or_told(up: programs.Up, tokens: dict[str, str]):
    first = call(up, "/scim/v2/Users?count=200", tokens["first-scim"])
    second = call(up, "/scim/v2/Users?count=200", tokens["second-scim"])

    assert sum("canary" in each["userName"] for each in first["Resources"]) == 40
    assert "canary" not in json.dumps(second)
