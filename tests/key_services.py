"""Small servers on loopback that speak the documented HTTP APIs of three key services, their refusals included."""

import asyncio
import base64
import json
import re
import secrets
from collections import deque
from contextlib import asynccontextmanager

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.jwk import RSAKey

from controlplane.kit.crc32c import crc32c

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_ARN = "arn:aws:kms:eu-central-1:111122223333:key/0000abcd-12ab-34cd-56ef-1234567890ab"
GCP_KEY = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/engine-cloud"
TRANSIT_KEY = "transit/engine-cloud"


class Service:
    """``next`` is what a test has it answer instead, one after the other; ``seen`` is what was asked."""

    def __init__(self):
        self.url = ""
        self.next = deque()
        self.seen = []
        self.environ = {}

    async def serve(self, reader, writer):
        try:
            while request := await read(reader):
                self.seen.append(request)
                status, body = self.next.popleft() if self.next else self.answer(*request)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n"
                writer.write(head.encode() + content)
                await writer.drain()
        finally:
            writer.close()


class Aws(Service):
    """``TrentService``, with two keys and the credentials of the published test vectors."""

    def __init__(self):
        super().__init__()
        self.keys = {ARN: secrets.token_bytes(32), OTHER_ARN: secrets.token_bytes(32)}
        self.disabled = set()
        self.kek = f"awskms:{ARN}"

    def listening(self):
        self.environ = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "AWS_ENDPOINT_URL_KMS": self.url,
        }

    def answer(self, method, path, headers, body):
        if path.startswith("/latest/") or path == "/credentials":
            return self.metadata(method, path, headers)
        if "Credential=AKIDEXAMPLE/" not in headers.get("authorization", ""):
            return 400, {"__type": "UnrecognizedClientException", "message": "The security token is invalid."}
        given = json.loads(body)
        if given["KeyId"] not in self.keys:
            return 400, {"__type": "NotFoundException", "message": "Key does not exist"}
        if given["KeyId"] in self.disabled:
            return 400, {"__type": "DisabledException", "message": f"{given['KeyId']} is disabled."}
        key = AESGCM(self.keys[given["KeyId"]])
        bound = json.dumps(given["EncryptionContext"], sort_keys=True).encode()
        assert all(given["EncryptionContext"].values()), "AWS takes no empty values"
        if headers["x-amz-target"] == "TrentService.Encrypt":
            return 200, {"KeyId": given["KeyId"], "CiphertextBlob": sealed(key, given["Plaintext"], bound)}
        try:
            return 200, {"KeyId": given["KeyId"], "Plaintext": opened(key, given["CiphertextBlob"], bound)}
        except InvalidTag:
            return 400, {"__type": "InvalidCiphertextException"}

    def metadata(self, method, path, headers):
        """Of an instance (IMDSv2), and of a container."""
        if path == "/latest/api/token":
            return (200, b"imds-token") if method == "PUT" else (405, b"")
        if path != "/credentials" and headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return 401, b""
        if path.endswith("security-credentials/"):
            return 200, b"a-role"
        return 200, {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "of a role", "Token": "of a session"}


class Gcp(Service):
    """Cloud KMS and the token endpoint of service accounts."""

    def __init__(self):
        super().__init__()
        self.versions = {1: secrets.token_bytes(32)}
        self.account = RSAKey.generate_key(2048)
        self.kek = f"gcpkms:{GCP_KEY}"

    def listening(self):
        self.environ = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": self.url, "GCE_METADATA_HOST": self.url[7:]}

    def rotate(self):
        self.versions[len(self.versions) + 1] = secrets.token_bytes(32)

    def answer(self, method, path, headers, body):
        if path.endswith("/service-accounts/default/token"):
            given = headers.get("metadata-flavor") == "Google"
            return (200, {"access_token": "ya29.a", "expires_in": 3599}) if given else (403, b"")
        if path == "/token":
            return self.token(body)
        if headers.get("authorization") != "Bearer ya29.a":
            return complaint(401, "UNAUTHENTICATED")
        if method == "GET":
            return 200, {"name": GCP_KEY, "primary": {"name": self.version(max(self.versions)), "state": "ENABLED"}}
        return self.use(path, json.loads(body))

    def use(self, path, given):
        bound = base64.b64decode(given["additionalAuthenticatedData"])
        assert int(given["additionalAuthenticatedDataCrc32c"]) == crc32c(bound)
        if found := re.fullmatch(rf"/v1/{GCP_KEY}/cryptoKeyVersions/(\d+):encrypt", path):
            number = int(found[1])
            assert int(given["plaintextCrc32c"]) == crc32c(base64.b64decode(given["plaintext"]))
            blob = bytes([number]) + base64.b64decode(sealed(AESGCM(self.versions[number]), given["plaintext"], bound))
            checks = {"verifiedPlaintextCrc32c": True, "verifiedAdditionalAuthenticatedDataCrc32c": True}
            told = {"ciphertext": base64.b64encode(blob).decode(), "ciphertextCrc32c": str(crc32c(blob))}
            return 200, {"name": self.version(number), **told, **checks}
        if path != f"/v1/{GCP_KEY}:decrypt":
            return complaint(404, "NOT_FOUND")
        blob = base64.b64decode(given["ciphertext"])
        try:
            key = AESGCM(self.versions[blob[0]])
            plaintext = opened(key, base64.b64encode(blob[1:]).decode(), bound)
        except (InvalidTag, KeyError, IndexError):
            return complaint(400, "INVALID_ARGUMENT")
        return 200, {"plaintext": plaintext, "plaintextCrc32c": str(crc32c(base64.b64decode(plaintext)))}

    def token(self, body):
        assertion = body.decode().partition("assertion=")[2]
        claims = jwt.decode(assertion, self.account, algorithms=["RS256"]).claims
        assert claims["aud"] == f"{self.url}/token"
        return 200, {"access_token": "ya29.a", "expires_in": 3599}

    def version(self, number):
        return f"{GCP_KEY}/cryptoKeyVersions/{number}"


class Transit(Service):
    """The engine at ``transit/``, with one key of type aes256-gcm96."""

    def __init__(self):
        super().__init__()
        self.versions = {1: secrets.token_bytes(32)}
        self.kek = f"vault:{TRANSIT_KEY}"

    def listening(self):
        self.environ = {"VAULT_ADDR": self.url, "VAULT_TOKEN": "hvs.a"}

    def rotate(self):
        self.versions[len(self.versions) + 1] = secrets.token_bytes(32)

    def answer(self, method, path, headers, body):
        if headers.get("x-vault-token") != "hvs.a":
            return 403, {"errors": ["permission denied"]}
        if (method, path) == ("GET", "/v1/transit/keys/engine-cloud"):
            return 200, {"data": {"name": "engine-cloud", "latest_version": max(self.versions)}}
        given = json.loads(body)
        bound = base64.b64decode(given["associated_data"])
        if path == "/v1/transit/encrypt/engine-cloud":
            number = given["key_version"]
            ciphertext = sealed(AESGCM(self.versions[number]), given["plaintext"], bound)
            return 200, {"data": {"ciphertext": f"vault:v{number}:{ciphertext}", "key_version": number}}
        if path != "/v1/transit/decrypt/engine-cloud":
            return 404, {"errors": []}
        found = re.fullmatch(r"vault:v(\d+):([\w+/=]+)", given["ciphertext"])
        if found is None:
            return 400, {"errors": ["invalid ciphertext: no prefix"]}
        try:
            return 200, {"data": {"plaintext": opened(AESGCM(self.versions[int(found[1])]), found[2], bound)}}
        except (InvalidTag, KeyError):
            return 400, {"errors": ["cipher: message authentication failed"]}


@asynccontextmanager
async def serving(service):
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    service.listening()
    try:
        yield service
    finally:
        server.close()


async def read(reader):
    """Method, path, headers and body; None when there are no more requests."""
    first = await reader.readline()
    if not first:
        return None
    method, path, _ = first.decode().split()
    headers = {}
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def sealed(key, plaintext, bound):
    nonce = secrets.token_bytes(12)
    return base64.b64encode(nonce + key.encrypt(nonce, base64.b64decode(plaintext), bound)).decode()


def opened(key, ciphertext, bound):
    blob = base64.b64decode(ciphertext)
    if len(blob) < 28:
        raise InvalidTag
    return base64.b64encode(key.decrypt(blob[:12], blob[12:], bound)).decode()


def complaint(status, name):
    return status, {"error": {"code": status, "message": "no", "status": name}}
