"""``controlplane openapi`` and the document that is kept in the repository."""

import json
from pathlib import Path

from tests.programs import here, run

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def test_the_kept_document_is_that_of_this_release():
    done = run("controlplane", "openapi")

    assert done.stdout == KEPT.read_text(), (
        f"make it again: controlplane openapi --out {KEPT.relative_to(KEPT.parents[2])}"
    )


def test_it_can_be_written_to_a_file_with_json_on_standard_output_only(tmp_path):
    out = tmp_path / "openapi.json"

    done = here("openapi", "--out", out, "--json")

    assert json.loads(done.stdout) == {"out": str(out)}
    assert json.loads(out.read_text())["openapi"].startswith("3.1")
