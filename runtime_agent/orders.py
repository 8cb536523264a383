"""Checking commands: only what the control plane signed, for this runtime, is looked at any further."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime_agent.identity import Identity, decoded
from runtime_agent.problems import Refusal
from runtime_agent.wire.commands import Command, Order


class CommandForged(Refusal):
    """What came is not the control plane's: somebody on the way may be at it."""

    code = "command-forged"
    hint = "Look who ends TLS between here and the control plane. Nothing of it was carried out."


def checked(identity: Identity, order: Order) -> Command:
    """
    Raises:
        CommandForged: If it is not signed by a key that this runtime trusts, or is for another runtime.
    """
    public_key, command = identity.lease_keys.get(order.key), order.command
    if public_key is None:
        raise CommandForged(f"{command.command} is signed by a key that was never heard of: {order.key}")
    try:
        Ed25519PublicKey.from_public_bytes(decoded(public_key)).verify(decoded(order.signature), command.signed())
    except (InvalidSignature, ValueError):
        raise CommandForged(f"the signature of {command.command} is wrong") from None
    if (command.runtime, command.tenant) != (identity.runtime, identity.tenant):
        raise CommandForged(f"{command.command} was made for another runtime")
    return command
