"""Browsers that are away at a provider: a ticket for some minutes, bound to this browser and good for one return.

Nothing of a flow that could be used is kept: the state is a hash, and nonce and verifier follow from the state.
"""

import base64
import hmac
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.kit import tokens
from controlplane.kit.ids import SsoId
from controlplane.kit.problems import Refusal

LIFETIME: Final = timedelta(minutes=10)

Purpose: TypeAlias = Literal["sign-in", "confirm", "link", "test"]


class FlowOver(Refusal):
    """Unknown, used, expired and another browser's are the same to whoever comes with one."""

    code, status, title = "sso-flow-over", 401, "This sign-in was not begun here, or took too long"
    hint = "Begin again, in this browser."


class Flow(Struct, frozen=True, kw_only=True):
    purpose: Purpose
    connection_id: SsoId | None
    """None: the platform's own provider."""
    issuer: str
    """Whose answer it has to be."""
    session_id: UUID | None = None
    """The session that began it, where it has to end in the same."""
    return_to: str = ""
    begun_at: datetime


ENDED = text("DELETE FROM sso_flows WHERE expires_at <= :now")
ENDED_TOKENS = text("DELETE FROM logout_tokens WHERE expires_at <= :now")


async def begin(tx: PlatformTx, pepper: bytes, browser: str, flow: Flow) -> str:
    """Remember *flow* and return its state, which is kept only as a hash.

    Args:
        browser: What only this browser has.
    """
    state = tokens.link_secret()
    await tx.run(
        tx.insert(t.sso_flows).values(
            state_hash=tokens.fingerprint(pepper, state),
            browser_hash=tokens.fingerprint(pepper, browser),
            purpose=flow.purpose,
            connection_id=flow.connection_id,
            issuer=flow.issuer,
            session_id=flow.session_id,
            return_to=flow.return_to,
            begun_at=tx.now,
            expires_at=tx.now + LIFETIME,
        )
    )
    return state


async def claim(tx: PlatformTx, pepper: bytes, browser: str, state: str) -> Flow:
    """Use the flow up, in one statement. What comes in another browser uses nothing up.

    Raises:
        FlowOver: If there is none for this state in this browser.
    """
    its = t.sso_flows.c
    mine = tx.delete(t.sso_flows).where(
        its.state_hash == tokens.fingerprint(pepper, state),
        its.browser_hash == tokens.fingerprint(pepper, browser),
        its.expires_at > tx.now,
    )
    found = await tx.take(Flow, mine)
    if not found:
        raise FlowOver
    return found[0]


async def forget_ended(tx: PlatformTx) -> int:
    """Delete what took too long, and logout tokens that would not count any more; return how many."""
    return await tx.run(ENDED.bindparams(now=tx.now)) + await tx.run(ENDED_TOKENS.bindparams(now=tx.now))


def nonce(pepper: bytes, state: str) -> str:
    """What the ID token has to carry."""
    return _derived(pepper, "nonce", state)


def verifier(pepper: bytes, state: str) -> str:
    """Of PKCE: 43 characters (RFC 7636, section 4.1)."""
    return _derived(pepper, "verifier", state)


def _derived(pepper: bytes, what: str, state: str) -> str:
    digest = hmac.digest(pepper, f"sso {what} {state}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
