"""What the text of a parameter has to look like: bounds that handlers keep and types cannot say."""

from typing import Any, Final, TypeAlias

from controlplane.domain import consumers
from controlplane.domain.logs import LOGS
from controlplane.domain.permission_names import PERMISSIONS
from controlplane.domain.vault.provider import ID as PROVIDER_ID
from controlplane.http.authorize import Surface
from controlplane.http.pages import MOST_CURSOR
from controlplane.http.sso import returning
from controlplane.http.tenant_api.events import LONGEST_LIST
from controlplane.http.words import LONGEST

Schema: TypeAlias = dict[str, Any]

SAMPLE: Final = "01m708nkw8f8tshbwj0hqsf1bv"
"""The 26 characters of an id in examples."""

KINDS: Final = {
    "agent": "agt",
    "approval": "apr",
    "assignment": "asg",
    "checkpoint": "cp",
    "budget": "bud",
    "command": "cmd",
    "config": "cfg",
    "app": "app",
    "connect_session": "cns",
    "delivery": "dlv",
    "disclosure": "dis",
    "domain": "dom",
    "event": "aud",
    "export": "exp",
    "group": "grp",
    "impersonation": "imp",
    "invitation": "inv",
    "key": "key",
    "lease": "lea",
    "message": "evt",
    "passkey": "pk",
    "policy": "pol",
    "rotation": "rot",
    "run": "run",
    "runtime": "rt",
    "runtime_key": "key",
    "scim_token": "scm",
    "session": "ses",
    "tail": "tail",
    "service_account": "sa",
    "token": "jt",
    "user": "usr",
    "webhook": "whk",
}
"""Parameters that are an id and nothing else, and of what kind."""

NO_ZERO: Final = r"^[^\u0000]*$"
"""PostgreSQL keeps every character but this one."""

INSTANT: Final = r"^2[01]\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)$"


def text(longest: int, example: str) -> Schema:
    """Some characters, at least one."""
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": NO_ZERO, "examples": [example]}


def identity(kind: str) -> Schema:
    """``rt_`` and 26 characters of Crockford's base 32, 128 bits of which count."""
    pattern = f"^{kind}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"
    return {"type": "string", "pattern": pattern, "examples": [f"{kind}_{SAMPLE}"]}


def _instant() -> Schema:
    return {"type": "string", "format": "date-time", "pattern": INSTANT, "examples": ["2026-11-09T13:41:25.650Z"]}


def _brought(name: str, example: str) -> Schema:
    """What a provider adds to an address. More of it is not read, and refused no other way than a wrong one."""
    return {"type": "string", "maxLength": returning.READ[name], "examples": [example]}


KNOWN: Final[dict[str, Schema]] = {
    **{name: identity(kind) for name, kind in KINDS.items()},
    "action": text(LONGEST, "role.created"),
    "actor": text(LONGEST, f"acc_{SAMPLE}"),
    "code": _brought("code", "SplxlOBeZQQYbYS6WxSbIA"),
    "connection": {**identity("(con|sso)"), "examples": [f"con_{SAMPLE}"]},
    "consumer": {"type": "string", "pattern": consumers.NAME, "examples": ["billing"]},
    "cursor": {"type": "string", "minLength": 1, "maxLength": MOST_CURSOR},
    "error": _brought("error", "access_denied"),
    "iss": _brought("iss", "https://login.example.com/acme"),
    "kind": text(LONGEST, "node_complete"),
    "label": text(LONGEST, "team=data"),
    "log": {"type": "string", "enum": list(LOGS), "examples": ["details"]},
    "name": text(63, "greeting"),
    "node": text(LONGEST, "report"),
    "other": identity("cp"),
    "owner_ref": text(LONGEST, "user-7"),
    "permission": {"type": "string", "enum": sorted(PERMISSIONS), "examples": ["run:read"]},
    "project": text(LONGEST, "default"),
    "provider": {"type": "string", "pattern": PROVIDER_ID, "examples": ["google"]},
    "q": text(LONGEST, "invoice"),
    "replacement": text(LONGEST, "viewer"),
    "role": text(LONGEST, "viewer"),
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["0" * 64]},
    "since": _instant(),
    "state": _brought("state", "af0ifjsldkj"),
    "target": text(LONGEST, "acme"),
    "tenant": text(LONGEST, "acme"),
    "types": {
        "type": "string",
        "maxLength": LONGEST_LIST,
        "pattern": "^([a-z._-]+(,[a-z._-]+)*)?$",
        "examples": ["runtime.joined,runtime.silent"],
    },
    "until": _instant(),
    "version": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$", "examples": ["1"]},
}

NAMES_OF_AGENTS: Final = text(LONGEST, "invoice_review")
"""In a query ``agent`` is a name, in a path it is an id."""

SESSIONS_OF_BROWSERS: Final = identity("bs")
"""What ``session`` is where somebody looks after their own account."""


def complete(parameter: dict[str, Any], surface: Surface | None) -> None:
    """Put into *parameter* what is known of it by its name, and take out what says nothing."""
    for name in ("allowEmptyValue", "allowReserved", "deprecated"):
        if not parameter.get(name, True):
            del parameter[name]
    schema = _stated(parameter["schema"])
    known = KNOWN.get(parameter["name"])
    if parameter["in"] == "query" and parameter["name"] == "agent":
        known = NAMES_OF_AGENTS
    if parameter["name"] == "session" and surface is Surface.ME:
        known = SESSIONS_OF_BROWSERS
    if schema.get("type") == "array":
        schema["items"] = {**schema["items"], **(known or {})}
    elif schema.get("type") == "string" and "enum" not in schema:
        schema |= known or {}
    parameter["schema"] = schema


def _stated(schema: Schema) -> Schema:
    """*schema* without the null that stands for a parameter which is not given."""
    others = [each for each in schema.get("oneOf", ()) if each != {"type": "null"}]
    if len(others) == 1:
        schema = {**others[0], **{name: value for name, value in schema.items() if name != "oneOf"}}
    if "null" in (kinds := schema.get("type", ())) and isinstance(kinds, list):
        [kind] = (each for each in kinds if each != "null")
        schema = {**schema, "type": kind, "enum": [each for each in schema["enum"] if each is not None]}
    return schema
