"""What may leave the network: every text of a record passes through here.

The list of fields is the first wall: the record structs have no place for memory, inputs, results, prompts, tool
arguments or stack traces, and the readers do not even decode them. This is the second: what remains is bounded,
printable, one line, and free of paths and of things that look like keys.
"""

import re
import unicodedata
from typing import Any

NAME_MAX = 200
LINE_MAX = 500
KEY_MAX = 300
"""As the wire bounds ``Name``, ``Line`` and ``Key``; characters."""

_LONGEST_LOOK = 2000
"""Characters of a text that are looked at. The first line of anything longer is cut far below."""

_SUSPECT = re.compile(
    r"""
    (?P<url>\b(?:[a-z][a-z0-9+.-]{1,20})(?<!file)://[^\s"'`<>]+)
  | (?P<secret>
      \bbearer[ \t]+[\w.~+/=-]{8,}
    | \b(?:basic|token|jwt)[ \t]+(?=\S*[\d=])[\w.~+/=-]{8,}
    | \b(?:sk|ec|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[a-z]|ya29|hf|npm|pypi|whsec|dop_v1|[rp]k_(?:live|test))[-_.][\w.-]{6,}
    | \b(?:AKIA|ASIA|AIza|SG\.|gAAAA|eyJ)[\w.-]{8,}
    | \b[\w-]{0,40}(?:pass(?:word|wd|phrase)|secret|api[_-]?key|authorization|credential|cookie)s?["']?\s*[:=]\s*["']?
        (?:(?:bearer|basic|token)[ ]+)?[^\s"',;]+
    | \b[\w-]{0,40}token["']?\s*[:=]\s*["']?(?!\d{1,9}\b)[^\s"',;]+
    | -----BEGIN[ ].*
    )
  | (?P<path>
      (?P<quote>["'`])(?:file:/+|~?/|[a-z]:[\\/]|\\\\)[^"'`]*(?P=quote)?
    | (?<![\w.])(?:file:/+|~/|/(?=[\w.~@-])|[a-z]:[\\/]|\\\\)[^\s"'`]*(?:[ ][^\s"'`/\\]*[/\\][^\s"'`]*)*
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Addresses, keys and paths. A quoted path goes on to its quote, blanks and all; a bare one as long as words hold a slash."""
_HOST = re.compile(r"(?P<scheme>[^:]+)://(?:[^/?#\s]*@)?(?P<host>[\w.-]{1,253}(?::\d{1,5})?)(?=[/?#,;)\]}]|$)")
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_HEX = re.compile(r"[0-9a-fA-F]{4}[0-9a-fA-F-]+")
_CLASS = re.compile(
    r"\b(?P<name>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Timeout|TimedOut|Refused|Interrupt|Exit|Warning|Failure))\b"
)


def plain(value: Any, limit: int) -> str:
    """*value* as printable text of at most *limit* characters, on one line; empty if it is no text.

    Control characters become blanks; bidirectional marks, zero-width characters, private use and lone surrogates go.
    """
    if not isinstance(value, str):
        return ""
    if len(value) <= limit and value.isascii() and value.isidentifier():
        return value
    text = value[:_LONGEST_LOOK]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_printable(character) for character in text)
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())[:limit].rstrip()


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp", "Zs"}:
        return " "
    return "" if category[0] == "C" else character


def name(value: Any) -> str | None:
    """A name that the source chose: of an agent, a node, a tool, a model. None if nothing is left of it."""
    return plain(value, NAME_MAX) or None


def names(values: Any, most: int) -> list[str]:
    """The last *most* of the names in *values*; what is no name is left out."""
    if not isinstance(values, list):
        return []
    return [known for value in values[-most:] if (known := name(value))]


def line(value: Any) -> str:
    """The first line of a message that people wrote for people, without paths and keys."""
    if not isinstance(value, str):
        return ""
    head = value.lstrip()[:_LONGEST_LOOK]
    first = head.splitlines()[0] if head else ""
    return _scrubbed(plain(first, _LONGEST_LOOK))[:LINE_MAX].rstrip()


def passage(value: str) -> str:
    """A line of any length, such as a log has, without paths and keys; tabs become blanks."""
    text = value
    if not (text.isascii() and text.isprintable()):
        text = "".join(_printable(character) for character in text)
    return _scrubbed(text)


def _scrubbed(text: str) -> str:
    return _LONG.sub(_unless_word, _SUSPECT.sub(_stand_in, text))


def _stand_in(found: re.Match[str]) -> str:
    """Of an address scheme and host stay: they say what was called; path and query may say for whom, with which key."""
    if found.lastgroup == "secret":
        return "[secret]"
    if found.group("url"):
        host = _HOST.match(found.group())
        return f"{host['scheme']}://{host['host']}" if host else "[address]"
    return "[path]"


def _unless_word(run: re.Match[str]) -> str:
    text = run.group()
    if _HEX.fullmatch(text):
        return "[secret]"
    digits = any(character.isdigit() for character in text)
    mixed = text.lower() != text != text.upper()
    return "[secret]" if digits and (mixed or len(text) >= 40) else text


def error_class(text: str, otherwise: str) -> str:
    """The exception's class that *text* (already a :func:`line`) begins with or speaks of, else *otherwise*."""
    found = _CLASS.search(text)
    return found.group("name")[:NAME_MAX] if found else otherwise
