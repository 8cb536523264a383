"""AWS KMS: a master key is called ``awskms:`` and its ARN.

Whose data key it is and what for goes along as encryption context: it is bound to the ciphertext, and CloudTrail shows
it. Credentials are those of the environment, of the container, or of the instance, as AWS's own tools find them.
"""

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from controlplane.kit.clock import wall_clock
from controlplane.kit.envelope import NotOpened
from controlplane.kit.key_services.calls import Calls, KeyServiceUnusable, answered
from controlplane.kit.key_services.sigv4 import Credentials, Scope, signed
from controlplane.kit.sealing import KeeperDown, Place

ARN: Final = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+")

NOT_NOW: Final = frozenset({"ThrottlingException", "LimitExceededException", "KMSInternalException"})
"""What AWS says with status 400 and means by it: later."""

NOT_THIS: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})

CONTAINER: Final = "http://169.254.170.2"
INSTANCE: Final = "http://169.254.169.254"

KEPT_S: Final = 600.0
"""How long credentials of a container or an instance are used; they last for hours, and are renewed well before."""


class AwsKms:
    kind = "awskms"

    def __init__(self, arn: str, environ: Mapping[str, str]) -> None:
        self._arn, self._environ = arn, environ
        self._calls = Calls("AWS KMS", verify=environ.get("AWS_CA_BUNDLE") or True)
        self._known: tuple[float, Credentials] | None = None

    async def current(self) -> str:
        return f"awskms:{self._arn}"

    def keeps(self, master: str) -> bool:
        return ARN.fullmatch(master.removeprefix("awskms:")) is not None

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        given = {"Plaintext": base64.b64encode(material).decode()}
        return base64.b64decode((await self._ask("Encrypt", master, place, given))["CiphertextBlob"])

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        given = {"CiphertextBlob": base64.b64encode(wrapped).decode()}
        return base64.b64decode((await self._ask("Decrypt", master, place, given))["Plaintext"])

    async def close(self) -> None:
        await self._calls.close()

    async def _ask(self, act: str, master: str, place: Place, given: dict[str, str]) -> dict[str, Any]:
        arn = master.removeprefix("awskms:")
        body = msgspec.json.encode({"KeyId": arn, "EncryptionContext": context(place), **given})
        url, region = self._endpoint(arn)

        async def make() -> httpx.Request:
            headers = {
                "host": urlsplit(url).netloc,
                "content-type": "application/x-amz-json-1.1",
                "x-amz-target": f"TrentService.{act}",
            }
            proved = signed(await self._credentials(), Scope(region, "kms"), wall_clock(), headers, body)
            return self._calls.request("POST", url, headers=proved, content=body)

        answer = await self._calls.send(make, again=lambda answer: _complaint(answer) in NOT_NOW)
        if answer.status_code == 200:
            return answered(answer, "AWS KMS")
        complaint = _complaint(answer)
        if complaint in NOT_THIS:
            raise NotOpened(f"not wrapped under {master!r}, or not for this place")
        raise KeeperDown(f"AWS KMS does not {act.lower()} with {arn}: {complaint or answer.status_code}")

    def _endpoint(self, arn: str) -> tuple[str, str]:
        found = ARN.fullmatch(arn)
        if found is None:
            raise NotOpened(f"{arn!r} is no key of AWS KMS")
        partition, region = found.groups()
        given = self._environ.get("AWS_ENDPOINT_URL_KMS") or self._environ.get("AWS_ENDPOINT_URL")
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        return f"{(given or f'https://kms.{region}.{suffix}').rstrip('/')}/", region

    async def _credentials(self) -> Credentials:
        its = self._environ
        if "AWS_ACCESS_KEY_ID" in its and "AWS_SECRET_ACCESS_KEY" in its:
            token = its.get("AWS_SESSION_TOKEN", "")
            return Credentials(its["AWS_ACCESS_KEY_ID"], its["AWS_SECRET_ACCESS_KEY"], token)
        if self._known is None or self._known[0] <= time.monotonic():
            found = await (self._of_container() if _container(its) else self._of_instance())
            self._known = time.monotonic() + KEPT_S, found
        return self._known[1]

    async def _of_container(self) -> Credentials:
        """Of a task in ECS, or a pod in EKS."""
        its = self._environ
        token = its.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if path := its.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            with open(path) as file:  # noqa: ASYNC230 a few bytes, in memory
                token = file.read().strip()
        return await self._fetched("GET", _container(its), {"authorization": token} if token else {})

    async def _of_instance(self) -> Credentials:
        """Of the instance's role (IMDSv2)."""
        place = (self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or INSTANCE).rstrip("/")
        asked = self._calls.request(
            "PUT", f"{place}/latest/api/token", headers={"x-aws-ec2-metadata-token-ttl-seconds": "900"}
        )
        proof = {"x-aws-ec2-metadata-token": (await self._calls.once(asked)).text}
        roles = f"{place}/latest/meta-data/iam/security-credentials/"
        role = (await self._calls.once(self._calls.request("GET", roles, headers=proof))).text.split("\n")[0].strip()
        return await self._fetched("GET", f"{roles}{role}", proof)

    async def _fetched(self, method: str, url: str, headers: dict[str, str]) -> Credentials:
        found = answered(await self._calls.once(self._calls.request(method, url, headers=headers)), "AWS")
        try:
            return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])
        except KeyError:
            raise KeeperDown("AWS gives this machine no credentials") from None


def opened(key: str, environ: Mapping[str, str]) -> AwsKms:
    """
    Raises:
        KeyServiceUnusable: If *key* is no ARN of a key: an alias may mean another key tomorrow.
    """
    if not ARN.fullmatch(key):
        raise KeyServiceUnusable("awskms: takes the ARN of a key: awskms:arn:aws:kms:REGION:ACCOUNT:key/ID")
    return AwsKms(key, environ)


def context(place: Place) -> dict[str, str]:
    """What is bound to the ciphertext, as names and values. AWS takes no empty ones."""
    fields = {"format": "kek1", "owner": place.owner, "data-key": place.key_id, "kind": place.kind}
    return {**fields, "subject": place.subject} if place.subject else fields


def _container(environ: Mapping[str, str]) -> str:
    if path := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return f"{CONTAINER}{path}"
    return environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")


def _complaint(answer: httpx.Response) -> str:
    """``InvalidCiphertextException``; some endpoints put a namespace and ``#`` before it."""
    try:
        found = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return ""
    said = found.get("__type") if isinstance(found, dict) else None
    return said.rpartition("#")[2] if isinstance(said, str) else ""
