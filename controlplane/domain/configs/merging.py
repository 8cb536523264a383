"""From several documents to one: later ones change what earlier ones say, except that what is kept in stays kept in."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from runtime_agent.wire.content import POLICIES

Json: TypeAlias = dict[str, Any]

GROWING: Final = ("withhold", "words", "shapes")
"""Of redaction: what a wider document takes out, a narrower one cannot let through."""


def merged(documents: Iterable[Mapping[str, Any]]) -> Json:
    """What *documents* come to, the widest first: each is a merge patch (RFC 7396) of those before it.

    A null takes away what stands there. Redaction adds up and the strictest content policy wins, whatever the order.
    """
    whole: Json = {}
    grown: dict[str, set[str]] = {name: set() for name in GROWING}
    policies = []
    for document in documents:
        redaction = document.get("redaction") or {}
        for name in GROWING:
            grown[name].update(redaction.get(name) or ())
        if policy := (document.get("content") or {}).get("policy"):
            policies.append(policy)
        whole = _patched(whole, {key: value for key, value in document.items() if key not in {"redaction", "content"}})
    if redaction := {name: sorted(values) for name, values in grown.items() if values}:
        whole["redaction"] = redaction
    if policies:
        whole["content"] = {"policy": min(policies, key=POLICIES.index)}
    return {name: part for name, part in whole.items() if part}


def _patched(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _patched(result.get(name), value)
    return result
