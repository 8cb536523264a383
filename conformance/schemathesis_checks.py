"""A check of ours, beside those of schemathesis: what the document allows is never "not well formed"."""

import schemathesis
from schemathesis import Case, CheckContext, Response


@schemathesis.check
def allowed_is_well_formed(_: CheckContext, response: Response, case: Case) -> None:
    """Of a request that fits the document it may be said that it cannot be, with a code; not that it has no shape."""
    fits = case.meta is not None and case.meta.generation.mode.is_positive
    if fits and response.status_code == 400 and response.json().get("code") == "validation-failed":
        raise AssertionError(f"fits the document, and is not well formed: {response.json()['detail']}")
