"""What can go wrong at somebody else's token endpoint, told apart by what to do about it."""

from typing import Final, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "not_sent",
    "maybe_sent",
    "throttled",
    "transient",
    "grant_dead",
    "needs_person",
    "app_fault",
    "request_fault",
    "malformed",
    "blocked",
]
"""
- ``not_sent``: nobody was reached (name, connection, TLS): the provider knows of nothing, so trying again is harmless.
- ``maybe_sent``: no answer, or a gateway's: the provider may have done it. A refresh token may be used up.
- ``throttled``: too often; ``retry_after_s`` if it says how long.
- ``transient``: the provider's own trouble.
- ``grant_dead``: the grant is no more, or the code or token is not one.
- ``needs_person``: a person has to sign in or consent again.
- ``app_fault``: the client, its secret or its registration: every connection of the app is hit, none is to blame.
- ``request_fault``: we asked wrongly, or the catalogue is wrong.
- ``malformed``: an answer that says neither yes nor no.
- ``blocked``: an address that must not be called.
"""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

DID_NOTHING: Final[frozenset[Kind]] = frozenset({"not_sent", "throttled", "blocked"})
"""After these, what was sent is as good as before."""


class Failure(Exception):
    """A call that brought nothing. Its text holds no secret and nothing that a stranger wrote."""

    def __init__(
        self,
        kind: Kind,
        code: str = "",
        *,
        sent: bool,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """
        Args:
            code: The provider's own where there is one (``invalid_grant``), else ours (``timeout``, ``html``); at most
                60 characters of ``A-Za-z0-9_.:-``.
            sent: Whether the provider may have read the request.
            status: Of the answer; None: there was none.
        """
        super().__init__(f"{kind}: {code or status or 'no code'}")
        self.kind, self.code, self.sent = kind, code, sent
        self.status, self.retry_after_s = status, retry_after_s
