"""What a token endpoint gives: read in the server's dialect, checked, and held as secrets."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from controlplane.kit.guard import Answer
from controlplane.kit.oauth.dialect import Answers, Path
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.judging import at, text
from controlplane.kit.secret import Secret

LONGEST: Final = 16_384
"""Characters of a token."""

LONGEST_LIFE_S: Final = 10 * 366 * 86_400
MOST_SCOPES: Final = 500

REFRESH_LIVES: Final = (
    *("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"),
    "authorization_expires_in",
)
"""Where servers say how long a refresh token, or all of the grant, lives. The soonest end counts."""

_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,9})?")


class Tokens(Struct, frozen=True, kw_only=True):
    access: Secret
    refresh: Secret | None = None
    """None: none came. Whoever refreshed keeps the one they have."""
    type: str = "Bearer"
    expires_in_s: int | None = None
    """From the answer's arrival. None: it does not end, or nobody knows when."""
    refresh_expires_in_s: int | None = None
    scopes: tuple[str, ...] | None = None
    """What was granted, each once. None: not said, which means: as asked (RFC 6749, section 5.1)."""
    facts: Mapping[str, str] = {}
    """By the catalogue's names: ``account`` is who it is at the provider and stays so, ``name`` and ``email`` are for
    people, ``api_base`` is where the API is."""
    id_token: Secret | None = None
    """Not checked here."""


def tokens(answer: Answer, found: dict[str, Any], answers: Answers) -> Tokens:
    """What *found*, the object in *answer*, gives.

    A lifetime or scopes that cannot be read are as if not said: a grant is not thrown away for them.

    Raises:
        Failure: ``malformed`` if there is no access token, or one that is none.
    """
    holder = _holder(found, answers)
    if holder is None or (access := _token(holder.get(answers.access), answer)) is None:
        raise Failure("malformed", "no-token", sent=True, status=answer.status)
    return Tokens(
        access=access,
        refresh=_token(holder.get(answers.refresh), answer),
        type=_type(holder.get("token_type")),
        expires_in_s=_expiry(answer, holder, answers.lifetime_s),
        refresh_expires_in_s=_refresh_life(holder, answers.refresh_lifetime_s),
        scopes=scopes(holder.get("scope", holder.get("scopes")), answers.scopes_by),
        facts=facts(found, answers.facts, answers.api_hosts),
        id_token=_token(holder.get("id_token"), answer),
    )


def scopes(value: Any, separators: str = " ,") -> tuple[str, ...] | None:
    """Text or a list, as scopes in the order they came, each once; None: there is no telling."""
    if isinstance(value, str):
        value = re.split(f"[{re.escape(separators)}]+", value)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return None
    return tuple(dict.fromkeys(each for each in map(text, value[:MOST_SCOPES]) if each))


def facts(found: dict[str, Any], wanted: Mapping[str, tuple[Path, ...]], hosts: tuple[str, ...] = ()) -> dict[str, str]:
    """What *found* tells of the account; an ``api_base`` that is not at one of *hosts* is left out."""
    told = {name: next(filter(None, (text(at(found, path)) for path in paths)), "") for name, paths in wanted.items()}
    if "api_base" in told and not at_home(told["api_base"], hosts):
        del told["api_base"]
    return {name: value for name, value in told.items() if value}


def at_home(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether *url* is https, without port or credentials, at one of *hosts*."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.port is None and "@" not in parts.netloc
    except ValueError:
        return False
    host = parts.hostname or ""
    return plain and any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in hosts)


def _holder(found: dict[str, Any], answers: Answers) -> dict[str, Any] | None:
    places = [place for path in answers.at if isinstance(place := at(found, path), dict)]
    return next((place for place in places if place.get(answers.access)), None)


def _token(value: Any, answer: Answer) -> Secret | None:
    """
    Raises:
        Failure: ``malformed`` if it is something, but no token.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or _TOKEN.fullmatch(value) is None:
        raise Failure("malformed", "not-a-token", sent=True, status=answer.status)
    return Secret(value)


def _type(value: Any) -> str:
    shown = text(value)
    return shown if re.fullmatch(r"[A-Za-z0-9_-]{1,30}", shown) and shown.lower() != "bearer" else "Bearer"


def _expiry(answer: Answer, holder: dict[str, Any], otherwise: int | None) -> int | None:
    if (life := _seconds(holder.get("expires_in"))) is not None:
        return life or None
    until = _instant(holder.get("expires_at"))
    try:
        now = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return otherwise
    if until is None or now.tzinfo is None:
        return otherwise
    return max(1, min(int((until - now).total_seconds()), LONGEST_LIFE_S))


def _refresh_life(holder: dict[str, Any], otherwise: int | None) -> int | None:
    lives = [life for name in REFRESH_LIVES if (life := _seconds(holder.get(name))) is not None]
    if not lives:
        return otherwise
    return min((life for life in lives if life), default=None)


def _seconds(value: Any) -> int | None:
    """A number of seconds, written as a number or as text; 0: never. None: there is no telling."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if _NUMBER.fullmatch(str(value).strip()) is None:
        return None
    return min(int(float(value)), LONGEST_LIFE_S)


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        until = datetime.fromisoformat(value)
    except ValueError:
        return None
    return until if until.tzinfo else None
