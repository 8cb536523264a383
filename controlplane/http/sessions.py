"""The browser's side of a session: its cookie, and the defence against other people's pages."""

from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.domain.sign_ins import LONGEST
from controlplane.kit.problems import Refusal

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSite(Refusal):
    """A page of somebody else made this browser send the request."""

    code, status, title = "cross-site", 403, "This request came from another site's page"
    hint = "Open the console at its own address."


class SessionCookie(Struct, frozen=True, kw_only=True):
    """How the session's token travels: ``__Host-`` and Secure, or plainly where the public address is http."""

    name: str
    secure: bool

    def holding(self, token: str) -> Cookie:
        lifetime_s = int(LONGEST.total_seconds())
        return Cookie(key=self.name, value=token, max_age=lifetime_s, secure=self.secure, httponly=True, samesite="lax")

    def gone(self) -> Cookie:
        return Cookie(key=self.name, value="", max_age=0, secure=self.secure, httponly=True, samesite="lax")


def cookie_for(public_url: str, name: str = "session") -> SessionCookie:
    secure = public_url.startswith("https:")
    return SessionCookie(name=f"__Host-{name}" if secure else name, secure=secure)


def refuse_foreign_pages(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Let changes through only from our own pages, and from programs, which bring their credential themselves.

    Browsers say where a request comes from in ``Sec-Fetch-Site``, older ones in ``Origin``; programs say neither.

    Raises:
        CrossSite: If another site's page is behind it.
    """
    headers = connection.headers
    if connection.scope.get("method") in SAFE_METHODS or "authorization" in headers:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == headers.get("host") or origin == _public(connection)
    if not ours:
        raise CrossSite


def _public(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    parts = urlsplit(connection.app.state.public_url)
    return f"{parts.scheme}://{parts.netloc}"
