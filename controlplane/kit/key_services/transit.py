"""The transit engine of HashiCorp Vault and OpenBao: a master key is called ``vault:``, mount and key, ``:v``, version.

A new version is made there; then data keys are wrapped anew by decrypting and encrypting. The engine's own rewrap is
not used: it takes no associated data, and what is bound to nothing could be moved to another row.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from controlplane.kit.envelope import NotOpened
from controlplane.kit.key_services.calls import Calls, KeyServiceUnusable, answered
from controlplane.kit.sealing import KeeperDown, Place

KEY: Final = re.compile(r"([\w./-]+)/([\w.-]+)")
NAME: Final = re.compile(r"vault:([\w./-]+)/([\w.-]+):v(\d+)")

NOT_THIS: Final = ("message authentication failed", "invalid ciphertext")
"""What it says when the ciphertext is not what it made, or the associated data is other."""

NOT_NOW: Final = frozenset({412, 472, 473})
"""Nodes that are behind, or on standby."""


class Transit:
    kind = "vault"

    def __init__(self, mount: str, key: str, environ: Mapping[str, str]) -> None:
        self._mount, self._key, self._environ = mount, key, environ
        self._calls = Calls("Vault", verify=environ.get("VAULT_CACERT") or True)

    async def current(self) -> str:
        found = await self._ask("GET", f"{self._mount}/keys/{self._key}")
        return f"vault:{self._mount}/{self._key}:v{found['latest_version']}"

    def keeps(self, master: str) -> bool:
        return NAME.fullmatch(master) is not None

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        mount, key, version = _parts(master)
        given = {"plaintext": _text(material), "associated_data": _text(bound(place)), "key_version": version}
        ciphertext: str = (await self._ask("POST", f"{mount}/encrypt/{key}", given))["ciphertext"]
        return ciphertext.encode()

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        mount, key, _ = _parts(master)
        given = {"ciphertext": wrapped.decode(errors="replace"), "associated_data": _text(bound(place))}
        return base64.b64decode((await self._ask("POST", f"{mount}/decrypt/{key}", given))["plaintext"])

    async def close(self) -> None:
        await self._calls.close()

    async def _ask(self, method: str, path: str, given: Mapping[str, object] | None = None) -> dict[str, Any]:
        url = f"{self._environ['VAULT_ADDR'].rstrip('/')}/v1/{path}"
        body = msgspec.json.encode(given) if given is not None else b""

        async def make() -> httpx.Request:
            headers = {"x-vault-token": self._token(), "x-vault-request": "true"}
            if namespace := self._environ.get("VAULT_NAMESPACE"):
                headers["x-vault-namespace"] = namespace
            return self._calls.request(method, url, headers=headers, content=body)

        answer = await self._calls.send(make, again=lambda answer: answer.status_code in NOT_NOW)
        if answer.status_code == 200:
            data: dict[str, Any] = answered(answer, "Vault")["data"]
            return data
        said = _complaint(answer)
        if answer.status_code == 400 and any(part in said for part in NOT_THIS):
            raise NotOpened("not wrapped under this key, or not for this place")
        raise KeeperDown(f"Vault answers {path} with {answer.status_code}: {said}")

    def _token(self) -> str:
        """An agent beside us may renew the one in the file at any time."""
        if path := self._environ.get("VAULT_TOKEN_FILE"):
            try:
                return Path(path).read_text().strip()
            except OSError as error:
                raise KeeperDown(f"{path}: {error.strerror}") from None
        return self._environ["VAULT_TOKEN"]


def opened(key: str, environ: Mapping[str, str]) -> Transit:
    """
    Args:
        key: Mount and key, ``transit/engine-cloud``, with a version or without.

    Raises:
        KeyServiceUnusable: If something is missing.
    """
    found = KEY.fullmatch(key.partition(":")[0])
    if found is None:
        raise KeyServiceUnusable("vault: takes mount and key: vault:transit/engine-cloud")
    if "VAULT_ADDR" not in environ or not {"VAULT_TOKEN", "VAULT_TOKEN_FILE"} & environ.keys():
        raise KeyServiceUnusable("VAULT_ADDR and VAULT_TOKEN or VAULT_TOKEN_FILE are not set")
    return Transit(found[1], found[2], environ)


def bound(place: Place) -> bytes:
    """What the ciphertext is bound to."""
    return "|".join(("kek1", *place)).encode()


def _parts(master: str) -> tuple[str, str, int]:
    found = NAME.fullmatch(master)
    if found is None:
        raise NotOpened(f"{master!r} is no key of Vault")
    return found[1], found[2], int(found[3])


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _complaint(answer: httpx.Response) -> str:
    try:
        found = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return ""
    errors = found.get("errors") if isinstance(found, dict) else None
    return "; ".join(str(each) for each in errors) if isinstance(errors, list) else ""
