"""Whether an answer is a yes; if not, which failure it is, by status, code and the server's own rules."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from controlplane.kit.guard import Answer
from controlplane.kit.oauth.dialect import Dialect, Errors, Rule
from controlplane.kit.oauth.failures import Failure, Kind

_MEANINGS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "grant_dead": "invalid_grant bad_refresh_token invalid_refresh_token token_revoked token_expired expired_token "
        "invalid_code bad_verification_code access_denied",
        "needs_person": "interaction_required consent_required login_required account_selection_required invalid_rapt "
        "unmet_authentication_requirements",
        "app_fault": "invalid_client unauthorized_client incorrect_client_credentials bad_client_secret "
        "invalid_client_id invalid_client_secret",
        "request_fault": "invalid_request invalid_scope invalid_target unsupported_grant_type "
        "unsupported_response_type unsupported_token_type redirect_uri_mismatch invalid_redirect_uri",
        "throttled": "slow_down ratelimited rate_limited too_many_requests",
        "transient": "temporarily_unavailable server_error internal_error",
    }
)
CODES: Final[Mapping[str, Kind]] = MappingProxyType(
    {code: kind for kind, codes in _MEANINGS.items() for code in codes.split()}
)
"""What a code means wherever a server has no rule of its own."""

LONGEST_WAIT_S: Final = 7 * 86_400
DEEPEST: Final = 6

_WORDS = re.compile(r"[a-z][a-z_]{0,39}|[0-9]{1,7}")
"""Codes of servers' own that are repeated: words and small numbers. A secret that is sent back is neither."""


def said(answer: Answer, dialect: Dialect) -> dict[str, Any]:
    """What the answer says, if it is a yes; nothing in it may be relied on to be of any type.

    Raises:
        Failure: If it is anything else.
    """
    found = parsed(answer, dialect)
    if 200 <= answer.status < 300 and found is not None and not wrong(found, dialect.errors):
        return found
    raise failure(answer, found, dialect.errors)


def failure(answer: Answer, found: dict[str, Any] | None, errors: Errors) -> Failure:
    """What kind of no it is."""
    found = found or {}
    code = next(_texts(found, errors.codes), "")
    details = list(_texts(found, errors.details))
    wait_s = _wait_s(answer)
    rule = next((each for each in errors.rules if _fits(each, answer.status, code, details, found)), None)
    kind = rule.kind if rule else _kind(answer, code, details, wait_s)
    known = {*CODES, *(each.code for each in errors.rules)}
    shown = re.sub(r"[^A-Za-z0-9_.:-]", "_", code) if code in known else code if _WORDS.fullmatch(code) else ""
    return Failure(kind, shown or _ours(answer, code), sent=True, status=answer.status, retry_after_s=wait_s)


def parsed(answer: Answer, dialect: Dialect) -> dict[str, Any] | None:
    """The object that the answer is; None: it is none."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if dialect.answers.form and kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(answer.body.decode("utf-8", "replace")))
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def wrong(found: dict[str, Any], errors: Errors) -> bool:
    """Whether an answer with a good status is an error all the same."""
    if errors.ok and found.get(errors.ok) is not True:
        return True
    return bool(found.get("error"))


def at(found: Any, path: str) -> Any:
    """What stands at *path*, or None; at the empty one, *found* itself."""
    for step in path.split(".") if path else ():
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def text(value: Any) -> str:
    """*value* if it is text or a number, short and of one line; else empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    shown = str(value).strip()
    return shown if len(shown) <= 500 and shown.isprintable() else ""


def _kind(answer: Answer, code: str, details: list[str], wait_s: int | None) -> Kind:
    if answer.status == 429 or (answer.status == 503 and wait_s is not None):
        return "throttled"
    if answer.status in (502, 504):
        return "maybe_sent"
    if answer.status >= 500 or answer.status == 408:
        return "transient"
    if 300 <= answer.status < 400:
        return "malformed"
    for each in (*details, code):
        if each in CODES:
            return CODES[each]
    return "transient" if _html(answer) else "malformed"


def _ours(answer: Answer, code: str) -> str:
    """What to call it where the server has no name for it."""
    if 300 <= answer.status < 400:
        return "redirect"
    if code:
        return "unknown-code"
    if not answer.body.strip():
        return "empty"
    return "html" if _html(answer) else "no-code"


def _fits(rule: Rule, status: int, code: str, details: list[str], found: dict[str, Any]) -> bool:
    if rule.status is None and (status >= 500 or status == 429):
        return False  # trouble of the server's says nothing about a grant
    wanted = (
        rule.status in (None, status),
        rule.code in ("", code),
        not rule.detail or rule.detail in details,
        not rule.says or rule.says in _description(found).lower(),
    )
    return all(wanted)


def _description(found: dict[str, Any]) -> str:
    places = ("error_description", "error.message", "message", "detail")
    return " ".join(text(at(found, place)) for place in places)


def _texts(found: dict[str, Any], paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        value = at(found, path)
        yield from filter(None, map(text, value if isinstance(value, list) else [value]))


def _html(answer: Answer) -> bool:
    return "html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == b"<"


def _wait_s(answer: Answer) -> int | None:
    """Seconds that ``Retry-After`` asks for, as a number or until a date; by the server's own clock."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isdigit() and len(value) < 10:
        return min(int(value), LONGEST_WAIT_S)
    try:
        wait_s = (parsedate_to_datetime(value) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return max(0, min(int(wait_s), LONGEST_WAIT_S))
