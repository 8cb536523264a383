"""Google Cloud KMS: a master key is called ``gcpkms:`` and the resource name of a version of a key.

A new version becomes the primary one there; then data keys are wrapped anew. Lengths and bits are checked on both sides
by CRC-32C, as Google asks: what was damaged on the way must not replace what was whole. Credentials are those of a
service account's key file or of the machine.
"""

import base64
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey
from msgspec import Struct

from controlplane.kit.clock import wall_clock
from controlplane.kit.crc32c import crc32c
from controlplane.kit.envelope import NotOpened
from controlplane.kit.key_services.calls import Calls, KeyServiceUnusable, answered
from controlplane.kit.sealing import KeeperDown, Place

KEY: Final = re.compile(r"(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)(/cryptoKeyVersions/\d+)?")

SCOPE: Final = "https://www.googleapis.com/auth/cloudkms"
SERVICE: Final = "https://cloudkms.googleapis.com"
METADATA: Final = "metadata.google.internal"
ASKED_FOR_S: Final = 3600
EARLY_S: Final = 120.0
"""A token is renewed this long before it ends."""


class ServiceAccount(Struct, frozen=True):
    """The key file of a service account."""

    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email})"


class GcpKms:
    kind = "gcpkms"

    def __init__(self, key: str, environ: Mapping[str, str], account: ServiceAccount | None) -> None:
        self._key, self._environ, self._account = key, environ, account
        given = environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS") or SERVICE
        self._service = given.rstrip("/")
        self._calls = Calls("Google Cloud KMS")
        self._known: tuple[float, str] | None = None

    async def current(self) -> str:
        found = await self._ask("GET", self._key)
        try:
            return f"gcpkms:{found['primary']['name']}"
        except KeyError:
            raise KeeperDown(f"{self._key} has no primary version") from None

    def keeps(self, master: str) -> bool:
        found = KEY.fullmatch(master.removeprefix("gcpkms:"))
        return found is not None and found[2] is not None

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        given = {"plaintext": _text(material), "plaintextCrc32c": str(crc32c(material)), **_bound(place)}
        found = await self._ask("POST", f"{self._version(master)}:encrypt", given)
        wrapped = base64.b64decode(found["ciphertext"])
        whole = found.get("verifiedPlaintextCrc32c") and found.get("verifiedAdditionalAuthenticatedDataCrc32c")
        if not whole or int(found["ciphertextCrc32c"]) != crc32c(wrapped):
            raise KeeperDown("Google Cloud KMS: something was damaged on the way")
        return wrapped

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        given = {"ciphertext": _text(wrapped), "ciphertextCrc32c": str(crc32c(wrapped)), **_bound(place)}
        key = self._version(master).partition("/cryptoKeyVersions/")[0]  # the ciphertext says which version
        found = await self._ask("POST", f"{key}:decrypt", given)
        material = base64.b64decode(found["plaintext"])
        if int(found["plaintextCrc32c"]) != crc32c(material):
            raise KeeperDown("Google Cloud KMS: something was damaged on the way")
        return material

    async def close(self) -> None:
        await self._calls.close()

    def _version(self, master: str) -> str:
        if not self.keeps(master):
            raise NotOpened(f"{master!r} is no version of a key of Google Cloud KMS")
        return master.removeprefix("gcpkms:")

    async def _ask(self, method: str, path: str, given: Mapping[str, str] | None = None) -> dict[str, Any]:
        body = msgspec.json.encode(given) if given is not None else b""

        async def make() -> httpx.Request:
            headers = {"authorization": f"Bearer {await self._token()}", "content-type": "application/json"}
            return self._calls.request(method, f"{self._service}/v1/{path}", headers=headers, content=body)

        answer = await self._calls.send(make)
        if answer.status_code == 200:
            return answered(answer, "Google Cloud KMS")
        status = _complaint(answer)
        if status == "INVALID_ARGUMENT" and path.endswith(":decrypt"):
            raise NotOpened("not wrapped under this key, or not for this place")
        raise KeeperDown(f"Google Cloud KMS answers {path} with {answer.status_code} {status}")

    async def _token(self) -> str:
        if self._known is None or self._known[0] <= time.monotonic():
            found = await (self._of_account(self._account) if self._account else self._of_machine())
            try:
                self._known = time.monotonic() + int(found["expires_in"]) - EARLY_S, found["access_token"]
            except (KeyError, ValueError):
                raise KeeperDown("Google gives no token for Cloud KMS") from None
        return self._known[1]

    async def _of_account(self, account: ServiceAccount) -> dict[str, Any]:
        """By an assertion that is signed with its key (RFC 7523)."""
        now = int(wall_clock().timestamp())
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": now,
            "exp": now + ASKED_FOR_S,
        }
        key = RSAKey.import_key(account.private_key)
        assertion = jwt.encode({"alg": "RS256", "kid": account.private_key_id}, claims, key)
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        asked = self._calls.request(
            "POST",
            account.token_uri,
            headers={"content-type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        return answered(await self._calls.once(asked), "Google")

    async def _of_machine(self) -> dict[str, Any]:
        host = self._environ.get("GCE_METADATA_HOST") or METADATA
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        asked = self._calls.request("GET", url, headers={"metadata-flavor": "Google"})
        return answered(await self._calls.once(asked), "Google")


def opened(key: str, environ: Mapping[str, str]) -> GcpKms:
    """
    Args:
        key: ``projects/…/cryptoKeys/KEY``, with a version or without.

    Raises:
        KeyServiceUnusable: If it is none, or the service account's file cannot be read.
    """
    found = KEY.fullmatch(key)
    if found is None:
        raise KeyServiceUnusable("gcpkms: takes projects/P/locations/L/keyRings/R/cryptoKeys/K")
    account = None
    if path := environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        try:
            account = msgspec.json.decode(Path(path).read_bytes(), type=ServiceAccount)
        except (OSError, msgspec.MsgspecError) as error:
            raise KeyServiceUnusable(f"GOOGLE_APPLICATION_CREDENTIALS: {type(error).__name__}") from None
    return GcpKms(found[1], environ, account)


def _bound(place: Place) -> dict[str, str]:
    content = "|".join(("kek1", *place)).encode()
    return {
        "additionalAuthenticatedData": _text(content),
        "additionalAuthenticatedDataCrc32c": str(crc32c(content)),
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _complaint(answer: httpx.Response) -> str:
    try:
        found = msgspec.json.decode(answer.content)
        return str(found["error"]["status"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""
