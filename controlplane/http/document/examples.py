"""Examples, made from the schemas themselves: each is one that its schema allows."""

import re
from typing import Any, Final

from controlplane.http.document.parameters import NO_ZERO, SAMPLE, Schema

IDS: Final = {
    "Agent": "agt",
    "ApiKey": "key",
    "Approval": "apr",
    "BrowserSession": "bs",
    "Budget": "bud",
    "Checkpoint": "cp",
    "Command": "cmd",
    "Config": "cfg",
    "ConnectSession": "cns",
    "Connection": "con",
    "Delivery": "dlv",
    "Disclosure": "dis",
    "Domain": "dom",
    "Event": "aud",
    "Export": "exp",
    "Group": "grp",
    "Impersonation": "imp",
    "Invitation": "inv",
    "ItemResult": "key",
    "JoinToken": "jt",
    "Lease": "lea",
    "Me": "acc",
    "Member": "usr",
    "Membership": "ten",
    "OperatedTenant": "ten",
    "OAuthApp": "app",
    "Operator": "acc",
    "OperatorKey": "key",
    "Passkey": "pk",
    "Payload": "evt",
    "Policy": "pol",
    "Project": "prj",
    "Role": "role",
    "RoleAssignment": "asg",
    "Rotation": "rot",
    "Run": "run",
    "Runtime": "rt",
    "ScimToken": "scm",
    "ServiceAccount": "sa",
    "Session": "ses",
    "SsoConnection": "sso",
    "Tenant": "ten",
    "User": "usr",
    "Webhook": "whk",
}
"""What kind of id an object has, by how the name of its schema begins."""

MOMENT: Final = "2026-11-09T13:41:25.650Z"

WORDS: Final[dict[str, Any]] = {
    "account": f"acc_{SAMPLE}",
    "action": "api-key.created",
    "agent": "invoice_review",
    "client_id": "engine-cloud",
    "client_secret": "(the secret of this client)",
    "created_by": f"acc_{SAMPLE}",
    "current_node": "report",
    "default_role": "viewer",
    "description": "What the finance team reads.",
    "email": "ada@example.com",
    "environment": "prod",
    "event": f"evt_{SAMPLE}",
    "expires_in": 7_776_000,
    "hint": "ec_sk_…x7Qp",
    "issuer": "https://login.example.com/acme",
    "ids": [f"key_{SAMPLE}"],
    "key": "(the key, shown this once)",
    "name": "Nightly import",
    "new": "a sentence that nobody guesses",
    "networks": ["192.0.2.0/24"],
    "outcome": "success",
    "owner": "ada@example.com",
    "password": "a sentence that nobody guesses",
    "paths": ["/repos/acme/*/issues/**"],
    "path": ["intake", "risk_review", "report"],
    "permissions": ["run:read", "session:read"],
    "project": "default",
    "reason": "The invoice of October is unpaid.",
    "request_id": f"req_{SAMPLE}",
    "role": "viewer",
    "roles": ["viewer"],
    "runtime": f"rt_{SAMPLE}",
    "scopes": ["run:read"],
    "secret": "(the secret, shown this once)",
    "session": f"ses_{SAMPLE}",
    "slug": "acme",
    "status": "active",
    "tenant": "acme",
    "timestamp": MOMENT,
    "token": "(the token, shown this once)",
    "type": "runtime.joined",
    "types": ["runtime.joined", "runtime.silent"],
    "url": "https://hooks.acme.example/engine-cloud",
}
"""By the name of the member; left aside where its schema does not allow it."""

HEX: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

PUBLIC_KEY: Final = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""That of RFC 8037 appendix A.2."""

PATTERNED: Final = (
    *(MOMENT, HEX, HEX[:32], HEX[:16], PUBLIC_KEY, "08:00"),
    *(f"bud_{SAMPLE}", f"cmd_{SAMPLE}", f"tail_{SAMPLE}", f"logs-cmd_{SAMPLE}.zip"),
)
"""What fits the patterns there are."""


class Examples:
    """Of the schemas of one document."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas

    def put_into(self, media: dict[str, Any]) -> None:
        """Give *media* an example: its schema, where that has a name, for all who refer to it."""
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        if not name:
            media["example"] = self.of(media["schema"])
        elif "examples" not in self._schemas[name]:
            self._schemas[name]["examples"] = [self.of(media["schema"])]

    def of(self, schema: Schema, name: str = "", owner: str = "") -> Any:
        """A value that *schema* allows.

        Args:
            name: Of the member that it is for.
            owner: Name of the schema that has this member.
        """
        if "$ref" in schema:
            owner = schema["$ref"].rpartition("/")[2]
            return self.of(self._schemas[owner], name, owner)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                shared = {each: value for each, value in schema.items() if each != choice}
                return self.of({**shared, **schema[choice][0]}, name, owner)
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, owner)
        if schema.get("type") == "array":
            known = WORDS.get(name)
            return known if isinstance(known, list) else [self.of(schema["items"], name, owner)]
        return _value(schema, name, owner)

    def _object(self, schema: Schema, owner: str) -> dict[str, Any]:
        wanted = schema.get("properties", {})
        return {name: self.of(each, name, owner) for name, each in wanted.items() if _is_shown(each)}


def _is_shown(schema: Schema) -> bool:
    return not schema.get("x-only-repeated")


def _value(schema: Schema, name: str, owner: str) -> Any:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next(each for each in kinds if each != "null")
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return WORDS[name] if name in WORDS and WORDS[name] in schema["enum"] else schema["enum"][0]
    if kind == "string":
        return _text(schema, name, owner)
    if kind == "boolean":
        return bool(schema.get("default", False))
    if kind in ("integer", "number"):
        return _number(schema, name)
    return None


def _number(schema: Schema, name: str) -> int:
    known = WORDS.get(name, schema.get("default"))
    least, most = int(schema.get("minimum", 0)), int(schema.get("maximum", 2**53))
    return known if isinstance(known, int) and least <= known <= most else max(least, min(1, most))


def _text(schema: Schema, name: str, owner: str) -> str:
    if "examples" in schema:
        return str(schema["examples"][0])
    if schema.get("format") == "date-time":
        return MOMENT
    if schema.get("format") == "uuid":
        return "01920000-0000-7000-8000-000000000000"
    if schema.get("pattern", NO_ZERO) != NO_ZERO:
        wanted = (str(WORDS.get(name, name)), *PATTERNED)
        return next((each for each in wanted if _fits(schema["pattern"], each)), name)
    if name == "id":
        plain = owner.removeprefix("Created").removeprefix("Whole").rpartition("_")[2]
        kinds = [kind for start, kind in IDS.items() if plain.startswith(start)]
        return f"{kinds[-1]}_{SAMPLE}" if kinds else "session_20261109_134125_40151023"
    known = WORDS.get(name)
    found = known if isinstance(known, str) else name or "text"
    return found[: schema.get("maxLength")].ljust(int(schema.get("minLength", 0)), "…")


def _fits(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None
