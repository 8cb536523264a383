"""Object stores: a folder, S3 and memory make the same promises."""

import socket
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import time_machine
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from controlplane.kit.blobs import CHECKSUM, Absent, Blobs, BlobsUnreachable, TooMuch

KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/bucket").raise_for_status()
    yield {**KEYS, "AWS_ENDPOINT_URL": endpoint}
    server.stop()


@pytest.fixture(params=["folder", "s3", "memory"])
def blobs(request, tmp_path):
    if request.param == "s3":
        return Blobs(f"s3://bucket/{uuid4()}", request.getfixturevalue("s3"))
    return Blobs(f"file://{tmp_path}/blobs" if request.param == "folder" else "memory:///", {})


async def test_what_was_put_is_there_until_it_is_deleted(blobs):
    await blobs.put("chunks/a/b1", b"one")
    await blobs.put("chunks/a/b1", b"two")

    assert await blobs.get("chunks/a/b1", 3) == b"two"

    await blobs.delete(["chunks/a/b1", "chunks/a/never"])
    with pytest.raises(Absent):
        await blobs.get("chunks/a/b1", 3)


async def test_a_folder_is_closed_to_other_accounts(tmp_path):
    await Blobs(f"file://{tmp_path}/blobs", {}).put("chunks/a/b1", b"x")

    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0


async def test_more_than_was_expected_is_not_read(blobs):
    await blobs.put("chunks/a/b1", b"four")

    with pytest.raises(TooMuch):
        await blobs.get("chunks/a/b1", 3)


async def test_everything_below_a_name_can_be_deleted_and_nothing_beside_it(blobs):
    for name in ("chunks/a/1", "chunks/a/2", "chunks/ab/1"):
        await blobs.put(name, b"x")

    assert await blobs.delete_under("chunks/a") == 2
    assert await blobs.get("chunks/ab/1", 1) == b"x"
    assert await blobs.delete_under("chunks/a") == 0


async def test_others_put_bytes_of_that_hash_where_it_can_be_signed(blobs):
    content = b"whatever was agreed"
    upload = blobs.upload("chunks/a/b1", sha256(content).digest(), datetime.now(UTC))
    if not blobs.url.startswith("s3://"):
        assert upload is None
        return

    async with httpx.AsyncClient() as anybody:
        (await anybody.put(upload.url, headers=upload.headers, content=content)).raise_for_status()

    assert await blobs.get("chunks/a/b1", 100) == content


async def test_a_store_that_does_not_answer_is_said_to_be_unreachable(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    (tmp_path / "blobs").write_text("a file stands there")
    for blobs in (
        Blobs("s3://bucket", {**KEYS, "AWS_ENDPOINT_URL": endpoint}),
        Blobs(f"file://{tmp_path}/blobs", {}),
    ):
        with pytest.raises(BlobsUnreachable):
            await blobs.put("chunks/a/b1", b"x")


def test_an_upload_is_signed_as_awss_own_library_signs_it():
    now, name = datetime(2026, 11, 22, 4, 0, tzinfo=UTC), "a prefix/chunks/a/b1"
    upload = Blobs("s3://bucket/a prefix", KEYS).upload("chunks/a/b1", bytes(32), now)

    url = f"https://s3.us-east-1.amazonaws.com/bucket/{quote(name)}"
    theirs = AWSRequest("PUT", url, headers={CHECKSUM: upload.headers[CHECKSUM]})
    with time_machine.travel(now, tick=False):
        S3SigV4QueryAuth(Credentials("access", "secret"), "s3", "us-east-1", expires=900).add_auth(theirs)

    assert httpx.URL(upload.url) == httpx.URL(theirs.url)
