"""``runtime-agent content``: the tenant's own key pair, and sealed checkpoints opened where the private half is."""

import base64
import binascii
import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime_agent.content import sealing
from runtime_agent.content.sealing import NotOpened, Sealed
from runtime_agent.identity import decoded, encoded
from runtime_agent.problems import USAGE, Refusal
from runtime_agent.wire.content import SealedContent


class Misused(Refusal):
    code = "bad-usage"
    exit_code = USAGE


class NotReadable(Refusal):
    """A file is not there, is there already, or is something else."""

    code = "file-unusable"


class NotOurs(Refusal):
    """It was sealed to another key, or is not what was sealed."""

    code = "content-not-opened"
    hint = "The key id in the export says which public key it was sealed to."


def keygen(path: Path) -> bytes:
    """Write a new private key to *path*, which must not be there, and return the public one.

    Raises:
        NotReadable: If it cannot be written, or something is there.
    """
    key = X25519PrivateKey.generate()
    write_new(path, encoded(key.private_bytes_raw()).encode() + b"\n")
    return key.public_key().public_bytes_raw()


def opened(export: Path, key: Path) -> tuple[str, bytes]:
    """The checkpoint's own name, and its file byte for byte.

    Raises:
        NotReadable: If one of the files is not what it should be.
        NotOurs: If the key does not open it.
    """
    try:
        package = msgspec.json.decode(export.read_bytes(), type=SealedContent)
        private = decoded(key.read_text().strip())
        chunks = [base64.b64decode(chunk, validate=True) for chunk in package.chunks]
        envelope = sealing.envelope_of(private, decoded(package.sealed_key))
        form = Sealed(envelope)
        document = b"".join(form.opened(chunk, package.size) for chunk in chunks)
    except OSError as error:
        raise NotReadable(f"{error.filename}: {error.strerror}") from error
    except NotOpened as error:
        raise NotOurs(f"sealed to the key {package.kid}: {error}") from error
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise NotReadable(f"{export} and {key} are not an export and a key: {error}") from error
    if len(document) != package.size or form.digest(document) != package.digest:
        raise NotOurs("its parts are not those that were sealed together")
    return package.checkpoint, document


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only this account reads.

    Raises:
        NotReadable: If it cannot be written, or something is there.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise NotReadable(f"{path}: {error.strerror}", hint="Name a file that is not there yet.") from error
