"""One operation of the document: who may, what it is answered with, and which headers belong to it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from controlplane.http.authorize import Rule, Surface
from controlplane.http.document import parameters
from controlplane.http.document.examples import Examples
from controlplane.http.document.refusals import Reached
from controlplane.http.manners import Manners
from controlplane.kit.problems import Refusal

Operation: TypeAlias = dict[str, Any]

PROBLEM_JSON: Final = "application/problem+json"

OPENS: Final = {
    Surface.TENANT: ("apiKey", "session"),
    Surface.OPERATOR: ("operatorKey", "session"),
    Surface.RUNTIME: ("runtimeToken",),
    Surface.ME: ("session",),
    Surface.CONSOLE: ("session",),
}

ETAG: Final = '"cM5qtf0V1mKq3CrMJbeV"'
IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "Change it only if its ETag is still one of these (RFC 9110 section 13.1.1).",
    "schema": {"type": "string"},
    "example": ETAG,
}
IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "304 if its ETag is one of these (RFC 9110 section 13.1.2).",
    "schema": {"type": "string"},
    "example": ETAG,
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Sent again with it within 24 hours, the request is answered again and done once.",
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$", "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]},
}

REFERENCE: Final = "#/components/headers/"

HEADERS: Final = {
    "Deprecation": ("Since when this operation is to go (RFC 9745).", "@1767225600"),
    "ETag": ("Of this state of the object (RFC 9110 section 8.8.3).", ETAG),
    "Idempotency-Replayed": ("`true`: this is what the first request with this key was answered.", "true"),
    "Impersonated-By": (
        "Who really asked, `acc_…`, while an operator works as somebody of the tenant.",
        "acc_01m708nkw8f8tshbwj0hqsf1bv",
    ),
    "Link": (
        "The next page, where there is one; what to use instead of an operation that is to go (RFC 8288).",
        '</v1/tenants/acme/runs?cursor=k3Jd>; rel="next"',
    ),
    "Location": ("Where what was made can be found.", "/v1/tenants/acme/api-keys/key_01m708nkw8f8tshbwj0hqsf1bv"),
    "Request-Id": ("Of this request, in answers, logs and the audit log.", "req_01m708nkw8f8tshbwj0hqsf1bv"),
    "Retry-After": ("Seconds to wait.", "1"),
    "Sunset": ("When this operation will be gone (RFC 8594).", "Fri, 01 Jan 2027 00:00:00 GMT"),
    "WWW-Authenticate": ("How to say who one is.", "Bearer"),
}
"""Every header that is said here: what for, and an example."""

OF_STATUS: Final = {401: ("WWW-Authenticate",), 409: ("Retry-After",), 429: ("Retry-After",), 503: ("Retry-After",)}
"""Headers of refusals that help to go on."""


def complete(operation: Operation, its: Rule, manners: Manners, reached: Reached, examples: Examples) -> None:
    """Say in *operation* what Litestar does not know of it."""
    operation["parameters"] = _parameters(operation, its, manners)
    if not operation["parameters"]:
        del operation["parameters"]
    worn = ("Impersonated-By",) if its.surface is Surface.TENANT else ()
    operation["responses"] = {**_successes(operation, manners, examples, worn), **_references(reached)}
    if "requestBody" in operation:
        _exemplify(operation["requestBody"], examples)
    operation["security"] = []
    if not its.open_because and its.surface is not None:
        operation["security"] = [{name: []} for name in OPENS[its.surface]]
        operation["x-required-permission"] = its.permission or "none: being signed in is enough"
        if its.fresh:
            operation["x-fresh-proof"] = True
    if manners.deprecation is not None:
        operation["deprecated"] = True
    else:
        operation.pop("deprecated", None)
    if operation.get("description"):
        operation["summary"] = operation["description"].partition("\n")[0].partition(". ")[0].rstrip(".")


def headers(document: bytes) -> dict[str, Any]:
    """``#/components/headers``: those that are referred to in *document*."""
    return {
        name: {"description": what, "schema": {"type": "string"}, "example": example}
        for name, (what, example) in HEADERS.items()
        if f'{REFERENCE}{name}"'.encode() in document
    }


def responses(every: Iterable[Reached]) -> dict[str, Any]:
    """``#/components/responses``: one for each set of refusals that an operation has under one status."""
    return {_name(each): _refused(status, each) for reached in every for status, each in _by_status(reached)}


def problem_examples(refusals: Reached) -> dict[str, Any]:
    """``#/components/examples``: a problem of each code."""
    return {refusal.code: {"summary": refusal.title, "value": _problem(refusal)} for refusal in _sorted(refusals)}


def _parameters(operation: Operation, its: Rule, manners: Manners) -> list[dict[str, Any]]:
    found = list(operation.get("parameters", ()))
    for parameter in found:
        parameters.complete(parameter, its.surface)
    if manners.state is not None:
        found.append({**IF_MATCH, "required": manners.needs_match})
    if manners.shows_object:
        found.append(IF_NONE_MATCH)
    if manners.takes_key:
        found.append(IDEMPOTENCY_KEY)
    return found


def _successes(operation: Operation, manners: Manners, examples: Examples, also: Sequence[str]) -> dict[str, Any]:
    found = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    said = ["Request-Id", *also]
    said += ["ETag"] if manners.shows_object else []
    said += ["Idempotency-Replayed"] if manners.takes_key else []
    said += ["Link"] if _is_a_page(operation) or manners.deprecation is not None else []
    said += ["Deprecation", "Sunset"] if manners.deprecation is not None else []
    for status, answer in found.items():
        if status == "204":
            answer.pop("content", None)
        answer["headers"] = _refer(*said, *(["Location"] if status == "201" and manners.made_up is not None else []))
        _exemplify(answer, examples)
    if manners.shows_object:
        found["304"] = {"description": "You have it already", "headers": _refer("Request-Id", "ETag")}
    return found


def _is_a_page(operation: Operation) -> bool:
    return any(each["name"] == "cursor" for each in operation.get("parameters", ()))


def _references(reached: Reached) -> dict[str, Any]:
    found = {status: _name(each) for status, each in _by_status(reached)}
    return {str(status): {"$ref": f"#/components/responses/{name}"} for status, name in found.items()}


def _by_status(reached: Reached) -> list[tuple[int, list[type[Refusal]]]]:
    by_status: dict[int, list[type[Refusal]]] = defaultdict(list)
    for refusal in _sorted(reached):
        by_status[int(refusal.status)].append(refusal)
    return sorted(by_status.items())


def _name(refusals: list[type[Refusal]]) -> str:
    """Of a response: the codes that it can have."""
    return ".".join(each.code for each in refusals)


def _refused(status: int, refusals: list[type[Refusal]]) -> dict[str, Any]:
    return {
        "description": "; ".join(dict.fromkeys(each.title for each in refusals)),
        "headers": _refer("Request-Id", *OF_STATUS.get(status, ())),
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {each.code: {"$ref": f"#/components/examples/{each.code}"} for each in refusals},
            }
        },
    }


def _refer(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"{REFERENCE}{name}"} for name in names}


def _exemplify(holder: dict[str, Any], examples: Examples) -> None:
    for media in holder.get("content", {}).values():
        if media.get("schema") and media["schema"].get("format") != "binary":
            examples.put_into(media)


def _sorted(refusals: Reached) -> list[type[Refusal]]:
    return list({each.code: each for each in sorted(refusals, key=lambda each: (each.code, each.__module__))}.values())


def _problem(refusal: type[Refusal]) -> dict[str, Any]:
    return {
        "type": f"/problems/{refusal.code}",
        "title": refusal.title,
        "status": int(refusal.status),
        "detail": "",
        "code": refusal.code,
        "hint": refusal.hint if isinstance(refusal.hint, str) else "",
        "request_id": "req_01m708nkw8f8tshbwj0hqsf1bv",
    }
