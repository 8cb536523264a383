"""Fetching configuration where there is a newer one, and trusting only what the control plane signed for this runtime."""

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime_agent.configuration.trying import Trial
from runtime_agent.credentials import Credentials
from runtime_agent.identity import Identity, decoded
from runtime_agent.problems import Refusal
from runtime_agent.server import Server
from runtime_agent.wire.config import Desired


class ConfigForged(Refusal):
    """What came is not the control plane's: somebody on the way may be at it."""

    code = "config-forged"
    hint = "Look who ends TLS between here and the control plane. Nothing of it was taken."


class Fetching:
    """Safe to stop anywhere: what is not on the disk is fetched again."""

    def __init__(self, server: Server, credentials: Credentials, trial: Trial) -> None:
        self.wanted = 0
        """The newest generation that the control plane has spoken of."""
        self._server, self._credentials, self._trial = server, credentials, trial
        self._tag = ""

    async def step(self) -> None:
        """Fetch and try what there is, if it is another than last time.

        Raises:
            ConfigForged: If something came that is not the control plane's.
            Absent: There is none.
            Unreachable, Busy, Refused: As of any call.
        """
        found, tag = await self._server.config(self._tag)
        if found is not None:
            if found.key not in self._server.tokens.identity.lease_keys:
                await self._credentials.learn_keys()
            self._trial.offer(checked(self._server.tokens.identity, found))
        self._tag, self.wanted = tag, 0


def checked(identity: Identity, desired: Desired) -> Desired:
    """
    Raises:
        ConfigForged: If it is not signed by a key that this runtime trusts, is for another, or is not what it says.
    """
    public_key, its = identity.lease_keys.get(desired.key), desired.effective
    if public_key is None:
        raise ConfigForged(f"generation {its.generation} is signed by a key that was never heard of: {desired.key}")
    try:
        Ed25519PublicKey.from_public_bytes(decoded(public_key)).verify(decoded(desired.signature), its.signed())
    except (InvalidSignature, ValueError):
        raise ConfigForged(f"the signature of generation {its.generation} is wrong") from None
    if (its.runtime, its.tenant) != (identity.runtime, identity.tenant):
        raise ConfigForged(f"generation {its.generation} was made for another runtime")
    if sha256(its.document.encode()).hexdigest() != its.hash:
        raise ConfigForged(f"generation {its.generation} is not what its hash says")
    return desired
