"""How one authorization server is spoken to, as data: its addresses, and where it departs from the specifications."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from controlplane.kit.oauth.failures import Kind
from controlplane.kit.secret import Secret

ClientAuth: TypeAlias = Literal["post", "basic", "basic-raw", "key", "none"]
"""How a client proves who it is.

``basic`` encodes id and secret as forms do before joining them (RFC 6749, section 2.3.1), ``basic-raw`` does not, for
servers that do not decode; ``key`` is a JWT signed by the client's own key (RFC 7523); ``none``: a public client.
"""

Member: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$")]
"""The name of one in a JSON answer, or of a parameter."""

Seconds: TypeAlias = Annotated[int, Meta(ge=1)]
Path: TypeAlias = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,5})?$")]
"""Into a JSON answer: names and positions, joined by dots; empty: the answer itself."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Makes an answer a failure of a kind. Whatever it names has to be so; the first rule that fits decides."""

    kind: Kind
    code: str = ""
    status: int | None = None
    detail: str = ""
    """Exactly one of the server's finer codes (``Errors.details``)."""
    says: str = ""
    """Part of the description, in lower case. Never alone: descriptions are for people, and change."""


class Errors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where this server says what is wrong."""

    ok: str = ""
    """Name of a member that is false when an answer with status 200 is an error."""
    codes: tuple[Path, ...] = ("error", "error.code", "error.type", "code", "errorCode")
    details: tuple[Path, ...] = ("error_subtype", "suberror", "error_codes")
    rules: tuple[Rule, ...] = ()


class Answers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the tokens stand in an answer."""

    form: bool = False
    """Answers may come as forms, where they say so."""
    at: tuple[Path, ...] = ("",)
    """What may hold the tokens; the first that has an access token is taken."""
    access: Member = "access_token"
    refresh: Member = "refresh_token"
    lifetime_s: Seconds | None = None
    """Of an access token that is not said to end. None: it does not, or nobody knows."""
    refresh_lifetime_s: Seconds | None = None
    scopes_by: str = " ,"
    """Characters between scopes."""
    facts: Mapping[str, tuple[Path, ...]] = {}
    """What else an answer tells, by our names: ``account``, ``name``, ``email``, ``api_base``, … The first path that
    leads to something counts."""
    api_hosts: tuple[str, ...] = ()
    """The only hosts that ``api_base`` may be at: names, or ``*.`` and a name. Another is left out."""


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a JWT is here that a client signs to be given tokens for it (RFC 7523, section 2.1)."""

    scopes: Literal["parameter", "claim"] = "parameter"
    """Where the scopes stand: beside the assertion, or in it."""
    subject: Literal["client", "given", "wanted"] = "client"
    """Whom it speaks of where nobody is named. ``client``: the client. ``given``: nobody. ``wanted``: somebody has to be
    named."""


class Asking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this server wants to be asked."""

    auth: ClientAuth = "post"
    body: Literal["form", "json"] = "form"
    client_id: Member = "client_id"
    """What it calls the client's id."""
    pkce: Literal["required", "used", "unproved", "off"] = "used"
    """``required``: the server insists. ``unproved``: sent, and nobody has seen the server check it. ``off``: sending
    it breaks something."""
    scopes_by: str = " "
    scopes: Literal["asked", "unknown"] = "asked"
    """``unknown``: the server has no scopes to ask for."""
    scopes_required: tuple[str, ...] = ()
    """Asked for whatever else is."""
    authorize: Mapping[str, str] = {}
    """Parameters that every authorization request carries."""
    exchange: Mapping[str, str] = {}
    """Parameters that every exchange of a code carries."""
    refresh: Mapping[str, str] = {}
    """Parameters that every refresh carries."""
    assertion: Assertion = Assertion()
    headers: Mapping[str, str] = {}
    code_ends: str = ""
    """What codes may end in that is no part of them."""
    signed_callback: str = ""
    """Name of the parameter that holds an HMAC of the others, made with the client's secret."""
    callback_host: str = ""
    """Name of the parameter that says at which host the code is good. Only compared."""


class Swap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live access token for one that lives longer, at servers without refresh tokens."""

    grant_type: str
    field: Member
    method: Literal["GET", "POST"] = "POST"
    client: Literal["id+secret", "secret", "none"] = "none"


class Refreshing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an access token is followed by the next, and what becomes of the one before."""

    by: Literal["refresh_token", "access_token", "minting", "nothing"] = "refresh_token"
    """What is sent. ``minting``: made anew from the app's own key; ``nothing``: a person connects again."""
    rotates: Literal["always", "sometimes", "never", "unknown"] = "unknown"
    """Whether the refresh token changes. Whatever this says, one that comes is kept."""
    replay: Literal["stable", "grace", "until_used", "strict", "unknown"] = "unknown"
    """What happens when a used refresh token is sent again. ``stable``: nothing. ``grace``: it works for ``grace_s``.
    ``until_used``: it works until its successor is used. ``strict``: it fails, and may end the grant. ``unknown``: as
    ``strict``."""
    grace_s: Seconds | None = None
    kills_access_after_s: Annotated[int, Meta(ge=0)] | None = None
    """Seconds after a refresh at which access tokens from before it die. None: they live on."""
    idle_days: Seconds | None = None
    """A grant that is not refreshed for so long ends."""
    longest_days: Seconds | None = None
    """A grant ends after so long, whatever is done."""
    repeats_redirect: bool = False
    """The refresh carries ``redirect_uri`` as well."""
    swap: Swap | None = None


class Revoking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a grant is given back."""

    method: Literal["POST", "DELETE", "GET"] = "POST"
    carried: Literal["form", "json", "query", "bearer", "not"] = "form"
    """How the token goes along."""
    which: Literal["refresh", "access"] = "refresh"
    """Which is sent, where there are both."""
    field: Member = "token"
    auth: ClientAuth | Literal["dialect"] = "dialect"
    facts: Mapping[str, str] = {}
    """Further fields: theirs to our name of the fact."""
    gone: tuple[int, ...] = ()
    """Statuses that say there is no such token, any more."""
    ends: Literal["grant", "token", "installation"] = "grant"


class Lookup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to learn whose account it is, with the access token."""

    method: Literal["GET", "POST"] = "GET"
    header: str = "Authorization"
    scheme: str = "Bearer"
    """Before the token; empty: nothing."""
    headers: Mapping[str, str] = {}
    facts: Mapping[str, tuple[Path, ...]] = {}


class Dialect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    asking: Asking = Asking()
    answers: Answers = Answers()
    errors: Errors = Errors()
    refreshing: Refreshing = Refreshing()
    lengthening: Swap | None = None
    """Done with the token of every exchange, at once."""
    revoking: Revoking | None = None
    lookup: Lookup | None = None


class Server(Struct, frozen=True, kw_only=True):
    """An authorization server, with every variable filled in."""

    token: str
    authorize: str = ""
    """Empty: no browser is sent there."""
    issuer: str = ""
    """What ``iss`` of a callback has to be, exactly; empty: not known."""
    says_issuer: bool = False
    """A callback without ``iss`` is not this server's (RFC 9207)."""
    refresh: str = ""
    """Empty: as ``token``."""
    lengthen: str = ""
    revoke: str = ""
    """May hold ``{client_id}``."""
    introspect: str = ""
    par: str = ""
    par_required: bool = False
    device: str = ""
    lookup: str = ""
    resources: tuple[str, ...] = ()
    """What tokens are for (RFC 8707): in both requests."""
    dialect: Dialect = Dialect()


class Client(Struct, frozen=True, kw_only=True):
    """Who we are at a server."""

    id: str
    secret: Secret | None = None
    key: Secret | None = None
    """A private key as PEM: for ``key``, and for apps that mint."""
    key_id: str = ""
    redirect_uri: str = ""
    auth: ClientAuth | None = None
    """None: as the dialect says."""
