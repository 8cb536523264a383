"""Signatures of webhooks, as Standard Webhooks 1.0.0 has them: HMAC-SHA-256 over id, time and body."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"

SECRET_BYTES: Final = 32


def mint() -> str:
    """A secret as its holder sees it: ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(holders: Sequence[str], message: str, at: datetime, body: bytes) -> dict[str, str]:
    """What goes along with *body*, so that its receiver knows whose it is and when it was sent.

    Args:
        holders: Secrets as minted; during a rotation two, and either proves it.
        message: Its id, the same whenever it is sent.
    """
    seconds = str(int(at.timestamp()))
    signed = f"{message}.{seconds}.".encode() + body
    signatures = " ".join(f"v1,{_signature(secret, signed)}" for secret in holders)
    return {"webhook-id": message, "webhook-timestamp": seconds, "webhook-signature": signatures}


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
