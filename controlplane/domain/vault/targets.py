"""Where a call for a runtime goes, and which headers go along: to the provider's own hosts, and nothing of ours."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import SplitResult, unquote_plus, urlsplit

from msgspec import Struct

from controlplane.domain.vault import paths
from controlplane.domain.vault.contents import Place
from controlplane.domain.vault.paths import Call, Method
from controlplane.domain.vault.provider import Provider
from controlplane.kit.problems import Refusal

USUAL: Final = frozenset(
    {"accept", "accept-language", "content-language", "content-type", "if-match", "if-modified-since", "if-none-match"}
    | {"if-unmodified-since", "idempotency-key", "prefer"}
)
"""Headers that callers may send. No Range: an echo of the credential must not come in pieces that nobody recognizes.
None that overrides the method, names another host, or says where a request came from."""

PASSED: Final = frozenset(
    {"content-disposition", "content-language", "content-length", "content-type", "etag", "last-modified", "link"}
    | {"location", "retry-after", "sunset", "deprecation", "x-request-id", "request-id", "preference-applied"}
)
"""Headers that come back, besides what is said of rates. No cookies, no challenges."""

RATES: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")

OVERRIDES: Final = frozenset({"_method", "x-http-method-override", "$httpmethod", "httpmethod"})
"""Names in a query by which some servers take another method than the one that was decided on."""


class CallUnpinned(Refusal):
    code, status, title = "call-unpinned", 409, "It is not settled where this credential may be sent"
    hint = "Only a connection whose provider is in the catalogue, or that has an api_base, is called with."


class CallHostRefused(Refusal):
    code, status, title = "call-host-refused", 403, "This credential is not sent there"
    hint = "Call a host of the provider's: https, no port, no credentials in the address."

    def __init__(self, hosts: Iterable[str]) -> None:
        super().__init__("")
        self.hosts = sorted(hosts)

    def facts(self) -> dict[str, object]:
        return {"hosts": self.hosts}


class CallHeaderRefused(Refusal):
    code, status, title = "call-header-refused", 400, "This header does not go along"
    hint = "Send the usual ones of a request, and those of the provider's own that its entry in the catalogue names."

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def facts(self) -> dict[str, object]:
        return {"header": self.name}


class Target(Struct, frozen=True, kw_only=True):
    url: str
    call: Call


def target(where: Place, method: Method, url: str) -> Target:
    """What *url* is, for a connection that may be used at *where*.

    Raises:
        CallUnpinned: If that is nowhere.
        CallHostRefused: If it is elsewhere.
        CallPathRefused: If it can be read in more than one way.
    """
    own = _own(where)
    if own is None and not where.hosts:
        raise CallUnpinned
    if url.startswith("/"):
        url = _base(where, own) + url
    try:
        asked = urlsplit(url)
        host = asked.hostname or ""
        origin = _origin(asked)
    except ValueError:
        raise CallHostRefused(_named(where, own)) from None
    pinned = origin == _origin(own) if own else asked.netloc == host and _is_one_of(host, where.hosts)
    if not pinned or "@" in asked.netloc or (own is None and asked.scheme != "https"):
        raise CallHostRefused(_named(where, own))
    path = asked.path or "/"
    if any(unquote_plus(each.partition("=")[0]).lower() in OVERRIDES for each in asked.query.split("&")):
        raise paths.CallPathRefused("the query has another method in it")
    call = Call(method=method, host=host, path=path, plain=paths.plain(path))
    return Target(url=f"{asked.scheme}://{asked.netloc}{path}" + (f"?{asked.query}" if asked.query else ""), call=call)


def sent(provider: Provider | None, given: Mapping[str, str]) -> dict[str, str]:
    """
    Raises:
        CallHeaderRefused: If there is one that does not go along.
    """
    may = USUAL | {name.lower() for name in (provider.api.takes if provider else ())}
    for name in given:
        if name.lower() not in may:
            raise CallHeaderRefused(name)
    return dict(given)


def passed(headers: Mapping[str, str]) -> dict[str, str]:
    """What of an answer's headers comes back."""
    return {name: value for name, value in headers.items() if name in PASSED or name.startswith(RATES)}


def _own(where: Place) -> SplitResult | None:
    """The connection's own address, if it is one of the provider's.

    Raises:
        CallUnpinned: If it is not.
    """
    if not where.api_base:
        return None
    own = urlsplit(where.api_base)
    if where.hosts and not (own.scheme == "https" and _is_one_of(own.netloc, where.hosts)):
        raise CallUnpinned
    return own


def _base(where: Place, own: SplitResult | None) -> str:
    """What comes before a mere path.

    Raises:
        CallHostRefused: If that could be several.
    """
    if own is not None:
        return where.api_base.rstrip("/")
    if where.hosts[0].startswith("*"):
        raise CallHostRefused(where.hosts)
    return f"https://{where.hosts[0]}"


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.hostname or "", port


def _named(where: Place, own: SplitResult | None) -> list[str]:
    return [own.netloc] if own is not None else list(where.hosts)


def _is_one_of(host: str, hosts: Iterable[str]) -> bool:
    return any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in hosts)
