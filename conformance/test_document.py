"""What others who know OpenAPI say of ours: openapi-spec-validator and Spectral, the latter with rules of ours."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/reference/openapi.json"
RULES = ROOT / "conformance/spectral.yaml"
VALIDATOR = ROOT / ".venv/opinions/bin/openapi-spec-validator"
SPECTRAL = ROOT / ".venv/node/node_modules/.bin/spectral"
CREATE = "/v1/tenants/{tenant}/api-keys"


@pytest.fixture(scope="module")
def spectral():
    if not (SPECTRAL.exists() and shutil.which("node")):
        pytest.fail("Spectral is missing: make conformance installs it with npm, which has to be there")

    def complaints(path):
        done = subprocess.run(
            [SPECTRAL, "lint", path, "--ruleset", RULES, "--format", "json", "--fail-severity", "hint", "--quiet"],
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip(), done.stderr
        return [f"{each['code']}: {'.'.join(map(str, each['path']))}" for each in json.loads(done.stdout)]

    return complaints


def _no_security(document):
    del document["paths"][CREATE]["post"]["security"]


def _no_permission(document):
    del document["paths"][CREATE]["post"]["x-required-permission"]


def _plain_errors(document):
    document["components"]["responses"]["not-found"]["content"] = {"application/json": {"examples": {"x": {}}}}


def _anything_else(document):
    document["paths"][CREATE]["post"]["responses"]["default"] = {"description": "who knows"}


def _no_bound(document):
    document["paths"][CREATE]["get"]["parameters"].append({"name": "x", "in": "query", "schema": {"type": "string"}})


def _unknown_members(document):
    del document["components"]["schemas"]["NewApiKey"]["additionalProperties"]


def _no_example(document):
    del document["components"]["schemas"]["NewApiKey"]["examples"]


def test_the_validator_finds_the_document_valid():
    done = subprocess.run([VALIDATOR, DOCUMENT], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_spectral_has_nothing_to_say(spectral):
    assert spectral(DOCUMENT) == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_no_security, "every-operation-says-who-may"),
        (_no_permission, "every-locked-operation-names-its-permission"),
        (_plain_errors, "every-error-is-a-problem"),
        (_anything_else, "nothing-but-what-is-named"),
        (_no_bound, "text-of-a-parameter-is-bounded"),
        (_unknown_members, "bodies-take-nothing-unknown"),
        (_no_example, "every-body-has-an-example"),
    ],
)
def test_a_spoiled_document_is_noticed(spectral, tmp_path, spoil, code):
    document = json.loads(DOCUMENT.read_text())
    spoil(document)
    spoiled = tmp_path / "openapi.json"
    spoiled.write_text(json.dumps(document))

    assert [each for each in spectral(spoiled) if each.startswith(f"{code}:")] != []
