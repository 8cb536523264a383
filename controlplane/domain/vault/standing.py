"""How a connection's token stands: whether it can be handed out, is to be followed by the next, or waited for."""

import math
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.vault import pauses
from controlplane.domain.vault.connections import GONE, Auth, ConnectionGone, ConnectionUnconfirmed, State
from controlplane.domain.vault.pace import Pace
from controlplane.kit.ids import OAuthAppId
from controlplane.kit.oauth.dialect import Refreshing
from controlplane.kit.problems import NotFound, Refusal

Age: TypeAlias = Literal["live", "ageing", "over"]
"""``ageing``: good for now, and the next is to be got. ``over``: nothing to be handed out any more."""


class Look(Struct, frozen=True, kw_only=True):
    """What decides, without a secret."""

    provider: str
    auth: Auth
    app_id: OAuthAppId | None
    platform_app_id: OAuthAppId | None
    state: State
    state_reason: str
    cred_version: int
    access_exp: datetime | None
    next_refresh_at: datetime | None
    rstate: str
    fail_class: str | None
    refreshed_at: datetime | None
    created_at: datetime
    has_refresh: bool

    def can_refresh(self, refreshing: Refreshing) -> bool:
        """Whether there is a next token to be had without a person."""
        return can_refresh(self.auth, self.has_refresh, refreshing)

    def age(self, now: datetime, refreshing: Refreshing, pace: Pace) -> Age:
        """Of the token, by *now*."""
        if self.access_exp is None or self.auth == "static":
            return "live"
        left_s = (self.access_exp - now).total_seconds()
        life_s = (self.access_exp - (self.refreshed_at or self.created_at)).total_seconds()
        if left_s <= min(pace.least_left_s, life_s / 10):
            return "over"
        kills = refreshing.kills_access_after_s is not None
        return "ageing" if left_s <= pace.margin_s(life_s, kills) else "live"

    def is_short(self, now: datetime, least: timedelta, pace: Pace) -> bool:
        """Whether the token does not last for *least* any more, and the next one would. It would not, if this one is
        just as new.
        """
        if self.access_exp is None or self.auth == "static":
            return False
        since = self.refreshed_at or self.created_at
        life = self.access_exp - since
        return self.access_exp - now < least <= life and now - since >= min(timedelta(seconds=pace.again_s), life / 2)

    def wait_s(self, now: datetime) -> float | None:
        """How long nothing is tried because it has failed; None: for good, until somebody sees to it."""
        if self.fail_class is None:
            return 0.0
        if self.fail_class == "blocked" or self.next_refresh_at is None:
            return None
        return max(0.0, (self.next_refresh_at - now).total_seconds())


class NeedsReauth(Refusal):
    code, status, title = "connection-needs-reauth", 409, "Only a person can make this connection work again"
    hint = "Connect the account anew; the connection keeps its id."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def facts(self) -> dict[str, object]:
        return {"reason": self.reason}


class ConnectionDisabled(Refusal):
    code, status, title = "connection-disabled", 409, "This connection is disabled"
    hint = "Enable it first."


class NotRefreshable(Refusal):
    code, status, title = "connection-not-refreshable", 409, "There is nothing to refresh here"
    hint = "A credential that somebody has typed in is replaced, not refreshed."


class AppBroken(Refusal):
    code, status, title = "oauth-app-broken", 409, "The provider does not take the app's credentials"
    hint = "Put the app's right secret in; its connections go on by themselves."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def facts(self) -> dict[str, object]:
        return {"reason": self.reason}


class RefreshFailing(Refusal):
    """The token has expired, and the next cannot be had right now."""

    code, status, title = "connection-refresh-failing", 503, "The next token cannot be had right now"
    hint = "Try again when Retry-After is over. The connection says what fails."

    def __init__(self, kind: str, wait_s: float | None) -> None:
        """
        Args:
            kind: What fails; empty: it only takes long.
            wait_s: None: until somebody sees to it.
        """
        super().__init__(kind)
        self.kind, self.wait_s = kind, max(1, math.ceil(wait_s)) if wait_s is not None else 3600

    def facts(self) -> dict[str, object]:
        return {"kind": self.kind, "retry_after": self.wait_s}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.wait_s)}


def can_refresh(auth: Auth, has_refresh: bool, refreshing: Refreshing) -> bool:
    """As :meth:`Look.can_refresh`.

    Args:
        has_refresh: There is a refresh token.
    """
    if auth != "oauth2":
        return auth != "static"
    return has_refresh if refreshing.by == "refresh_token" else refreshing.by == "access_token"


async def look(tx: TenantTx, connection_id: UUID) -> Look:
    """
    Raises:
        NotFound: If this tenant has no such connection.
    """
    its = t.connections.c
    wanted = tx.select(t.connections).add_columns(its.refresh_blob.is_not(None).label("has_refresh"))
    found = await tx.first(Look, wanted.where(its.id == connection_id))
    if found is None:
        raise NotFound
    return found


async def app_wait(tx: TenantTx, seen: Look) -> tuple[str, timedelta | None]:
    """Why the connection's app keeps its provider from being called (empty: it does not), and for how long."""
    app = await pauses.standing(tx, seen.app_id, seen.platform_app_id)
    if app.state == "broken":
        return app.state_reason or "broken", None
    if app.paused_until is not None and app.paused_until > tx.now:
        return "paused", app.paused_until - tx.now
    return "", None


NOT_SERVED: Final = (ConnectionUnconfirmed, ConnectionDisabled, ConnectionGone, NeedsReauth)


def check_served(seen: Look) -> None:
    """
    Raises:
        ConnectionUnconfirmed, ConnectionDisabled, ConnectionGone, NeedsReauth: If nothing is handed out of it.
    """
    if seen.state == "needs_reauth":
        raise NeedsReauth(seen.state_reason)
    if seen.state == "pending_confirm":
        raise ConnectionUnconfirmed
    if seen.state == "disabled":
        raise ConnectionDisabled
    if seen.state in GONE:
        raise ConnectionGone
