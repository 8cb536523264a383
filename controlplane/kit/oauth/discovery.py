"""What an authorization server says of itself (RFC 8414, OpenID Connect Discovery), as a :class:`Server`."""

from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from controlplane.kit.guard import Answer
from controlplane.kit.oauth.calling import Caller, Request, send
from controlplane.kit.oauth.dialect import ClientAuth, Dialect, Lookup, Revoking, Server
from controlplane.kit.problems import Refusal

OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"

AUTH: Final[tuple[tuple[str, ClientAuth], ...]] = (
    ("private_key_jwt", "key"),
    ("client_secret_basic", "basic"),
    ("client_secret_post", "post"),
    ("none", "none"),
)

USERINFO: Final = Lookup(facts={"account": ("sub",), "name": ("name", "preferred_username"), "email": ("email",)})


class ServerUnusable(Refusal):
    """An authorization server that did not answer, or says of itself what cannot be worked with."""

    code, status, title = "oauth-server-unusable", 400, "The authorization server cannot be used like this"
    hint = "Check the address, and that its metadata can be read from here: docs/howto/add-a-provider.md."


class Metadata(Struct, frozen=True, kw_only=True):
    """The part of the metadata that matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    device_authorization_endpoint: str = ""
    pushed_authorization_request_endpoint: str = ""
    require_pushed_authorization_requests: bool = False
    registration_endpoint: str = ""
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] | None = None
    response_types_supported: tuple[str, ...] = ("code",)
    scopes_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False
    client_id_metadata_document_supported: bool = False

    def endpoints(self) -> list[str]:
        """Every address that there is."""
        return [value for name, value in msgspec.structs.asdict(self).items() if name.endswith("_endpoint") and value]


async def metadata(
    caller: Caller, issuer: str, *, first: Literal["openid", "oauth"] = "openid", pkce: bool = False
) -> Metadata:
    """What *issuer* says of itself.

    Args:
        issuer: The document has to name exactly this one.
        pkce: Whether a server is refused that does not say that it checks S256.

    Raises:
        ServerUnusable: If there is no such document, or it is another's, or leaves no safe way.
        Failure: If nobody answered.
    """
    for place in places(issuer, first):
        answer = await send(caller, Request(url=place, method="GET"))
        if 400 <= answer.status < 500:
            continue
        return _checked(issuer, read(answer, Metadata, "the metadata"), pkce=pkce)
    raise ServerUnusable("there is no metadata")


def places(issuer: str, first: Literal["openid", "oauth"]) -> list[str]:
    """Where the metadata can be: with a path in the issuer, well-known places come before it, or after it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")

    def at(place: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, place, "", ""))

    oauth, openid = at(OAUTH + path), at(path + OPENID)
    inserted = [at(OPENID + path)] if path else []
    return [openid, oauth] if first == "openid" else [oauth, *inserted, openid]


def server_of(found: Metadata, *, dialect: Dialect | None = None, resources: Sequence[str] = ()) -> Server:
    """The server that *found* describes; *dialect* says what metadata do not."""
    dialect = dialect or Dialect()
    asking = msgspec.structs.replace(dialect.asking, auth=preferred(found.token_endpoint_auth_methods_supported))
    revoking = dialect.revoking or (Revoking() if found.revocation_endpoint else None)
    lookup = dialect.lookup or (USERINFO if found.userinfo_endpoint else None)
    return Server(
        issuer=found.issuer,
        says_issuer=found.authorization_response_iss_parameter_supported,
        authorize=found.authorization_endpoint,
        token=found.token_endpoint,
        revoke=found.revocation_endpoint,
        introspect=found.introspection_endpoint,
        par=found.pushed_authorization_request_endpoint,
        par_required=found.require_pushed_authorization_requests,
        device=found.device_authorization_endpoint,
        lookup=found.userinfo_endpoint,
        resources=tuple(resources),
        dialect=msgspec.structs.replace(dialect, asking=asking, revoking=revoking, lookup=lookup),
    )


def preferred(methods: Sequence[str]) -> ClientAuth:
    """Of what a server takes, how a client with a secret says who it is; without one, ``none`` is the app's to say."""
    wanted: Sequence[tuple[str, ClientAuth]] = [pair for pair in AUTH if pair[1] in ("basic", "post")]
    return next((ours for theirs, ours in (*wanted, *AUTH) if theirs in methods), "basic")


def read(answer: Answer, into: type[Any], what: str) -> Any:
    """
    Raises:
        ServerUnusable: If the answer is not that.
    """
    if answer.status != 200:
        raise ServerUnusable(f"{what} is answered with status {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ServerUnusable(f"{what} is not what it should be") from error


def _checked(issuer: str, found: Metadata, *, pkce: bool) -> Metadata:
    scheme = urlsplit(issuer).scheme
    if found.issuer != issuer:
        raise ServerUnusable("the metadata name another issuer")
    if any(urlsplit(each).scheme not in ("https", scheme) or not urlsplit(each).hostname for each in found.endpoints()):
        raise ServerUnusable("an address in the metadata is not https")
    if "code" not in found.response_types_supported:
        raise ServerUnusable("it does not know the authorization code flow")
    methods = found.code_challenge_methods_supported
    if (pkce and methods is None) or (methods is not None and "S256" not in methods):
        raise ServerUnusable("it does not say that it checks PKCE with S256")
    return found
