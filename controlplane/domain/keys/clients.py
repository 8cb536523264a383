"""What this installation proves with who it is, to authorization servers that know it by a document of its own."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from controlplane.domain.keys.keyring import Keyring
from controlplane.kit.secret import Secret

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""

DRAWN_BYTES: Final = 40
"""Eight more than a key has, so that the remainder is as good as random (FIPS 186-5, A.2.1)."""

KEY_ID: Final = "client:1"


def client_key(keyring: Keyring) -> Secret:
    """A private key of P-256, as PEM. It is derived from the pepper: turning the keyring's keys leaves it as it is."""
    drawn = HKDF(algorithm=SHA256(), length=DRAWN_BYTES, salt=None, info=b"cp.oauth-client.v1").derive(keyring.pepper)
    private = ec.derive_private_key(int.from_bytes(drawn, "big") % (ORDER - 1) + 1, ec.SECP256R1())
    return Secret(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def client_jwks(keyring: Keyring) -> dict[str, Any]:
    """Its public half, as a JSON Web Key Set."""
    public = ECKey.import_key(client_key(keyring).reveal()).as_dict(private=False)
    return {"keys": [{**public, "use": "sig", "alg": "ES256", "kid": KEY_ID}]}
