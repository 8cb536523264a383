"""A check of ours, beside those of schemathesis: what the document allows is never "not well formed"."""

import schemathesis
from schemathesis import Case, CheckContext, Response

NUL = "a text with a NUL character"
"""What browsers add to a passkey's answer has no schema that could say so; where there is one, it does."""


@schemathesis.check
def allowed_is_well_formed(_: CheckContext, response: Response, case: Case) -> None:
    """Of a request that fits the document it may be said that it cannot be, with a code; not that it has no shape."""
    fits = case.meta is not None and case.meta.generation.mode.is_positive
    if not fits or response.status_code != 400:
        return
    problem = response.json()
    if problem["code"] == "validation-failed" and problem["detail"] != NUL:
        raise AssertionError(f"fits the document, and is not well formed: {problem['detail']}")
