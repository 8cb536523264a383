"""Asking for slices, and trusting only what the control plane signed for this runtime."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime_agent.budgets import standing
from runtime_agent.credentials import Credentials
from runtime_agent.identity import Identity, decoded
from runtime_agent.outbox import Outbox, budgeting, spending
from runtime_agent.problems import Refusal
from runtime_agent.server import Server
from runtime_agent.wire.budgets import Ask, Leased, Use


class BudgetForged(Refusal):
    """What came is not the control plane's: somebody on the way may be at it."""

    code = "budget-forged"
    hint = "Look who ends TLS between here and the control plane. Nothing of it was taken."


async def ask(outbox: Outbox, server: Server, credentials: Credentials) -> tuple[Leased, list[Use]]:
    """Say what was used, hold what is answered, and return both.

    What the answer says was used, and what is not found here, was used by sessions that are gone: it goes on counting.

    Raises:
        BudgetForged: If it is not the control plane's.
        Unreachable, Busy, Refused: As of any call.
        DiskFull: If it cannot be kept.
    """
    held = budgeting.held(outbox)
    counted = {budgeting.period(each): spending.used(outbox, each) for each in held.slices.slices} if held else {}
    said = standing.uses(outbox, held.slices.slices) if held else []
    leased = await server.lease_budgets(Ask(uses=said, held=held))
    if leased.key not in server.tokens.identity.lease_keys:
        await credentials.learn_keys()
    its = checked(server.tokens.identity, leased).slices
    if held and held.slices.store_id == its.store_id and its.number <= held.slices.number:
        return held, said  # an answer that was overtaken
    beyond = {}
    for each in its.slices:  # against what was counted when it was said: what was used meanwhile is not said yet
        own = counted.get(budgeting.period(each))
        beyond[budgeting.period(each)] = max(0, each.used - (spending.used(outbox, each) if own is None else own))
    budgeting.take(outbox, leased, beyond)
    return leased, said


def checked(identity: Identity, leased: Leased) -> Leased:
    """
    Raises:
        BudgetForged: If it is not signed by a key that this runtime trusts, or is for another.
    """
    public_key, its = identity.lease_keys.get(leased.key), leased.slices
    if public_key is None:
        raise BudgetForged(f"slices are signed by a key that was never heard of: {leased.key}")
    try:
        Ed25519PublicKey.from_public_bytes(decoded(public_key)).verify(decoded(leased.signature), its.signed())
    except (InvalidSignature, ValueError):
        raise BudgetForged("the signature of the slices is wrong") from None
    if (its.runtime, its.tenant) != (identity.runtime, identity.tenant):
        raise BudgetForged("the slices were made for another runtime")
    return leased
