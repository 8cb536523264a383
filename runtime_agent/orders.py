"""Checking commands: only what the control plane signed, for this runtime, is looked at any further."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime_agent.identity import Identity, decoded
from runtime_agent.problems import Refusal
from runtime_agent.wire.commands import Command, Order
from runtime_agent.wire.logs import Ask, Tail


class CommandForged(Refusal):
    """What came is not the control plane's: somebody on the way may be at it."""

    code = "command-forged"
    hint = "Look who ends TLS between here and the control plane. Nothing of it was carried out."


def checked(identity: Identity, order: Order) -> Command:
    """
    Raises:
        CommandForged: If it is not signed by a key that this runtime trusts, or is for another runtime.
    """
    _check(identity, order.command.command, order.command, order.key, order.signature)
    return order.command


def tail(identity: Identity, ask: Ask) -> Tail:
    """As :func:`checked`, of a log that somebody looks at."""
    _check(identity, ask.tail.tail, ask.tail, ask.key, ask.signature)
    return ask.tail


def _check(identity: Identity, name: str, said: Command | Tail, key: str, signature: str) -> None:
    public_key = identity.lease_keys.get(key)
    if public_key is None:
        raise CommandForged(f"{name} is signed by a key that was never heard of: {key}")
    try:
        Ed25519PublicKey.from_public_bytes(decoded(public_key)).verify(decoded(signature), said.signed())
    except (InvalidSignature, ValueError):
        raise CommandForged(f"the signature of {name} is wrong") from None
    if (said.runtime, said.tenant) != (identity.runtime, identity.tenant):
        raise CommandForged(f"{name} was made for another runtime")
