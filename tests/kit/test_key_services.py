"""The key services, by real HTTP against small servers of their APIs. ``TEST_AWS_KMS_URL`` and ``TEST_AWS_KMS_KEY`` name
another server of the first one's, such as moto's, that is asked as well."""

import json
import os
from datetime import UTC, datetime

import pytest

from controlplane.kit import key_services
from controlplane.kit.crc32c import crc32c
from controlplane.kit.envelope import NotOpened
from controlplane.kit.key_services import KeyServiceUnusable, calls
from controlplane.kit.key_services.sigv4 import Credentials, Scope, signed, signing_key
from controlplane.kit.sealing import KeeperDown, Place
from tests.key_services import ARN, GCP_KEY, OTHER_ARN, Aws, Gcp, Transit, serving

HERE = Place("019b76da-a800-7000-8000-0000000000aa", "019b76da-a800-7000-8000-000000000001", "refresh", "")
THERE = HERE._replace(owner="019b76da-a800-7000-8000-0000000000bb")
KEY = bytes(range(32))

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx"
    "7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d"
    "+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(params=[Aws, Gcp, Transit], ids=["awskms", "gcpkms", "vault"])
async def service(request):
    async with serving(request.param()) as service:
        yield service


@pytest.fixture
async def keeper(service, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(calls, "REST_S", 0.0)
    keeper = key_services.named(service.kek, service.environ)
    yield keeper
    await keeper.close()


async def test_what_is_wrapped_is_unwrapped_and_the_key_is_not_in_it(keeper):
    master = await keeper.current()

    wrapped = await keeper.wrap(master, HERE, KEY)

    assert KEY not in wrapped
    assert keeper.keeps(master)
    assert await keeper.unwrap(master, HERE, wrapped) == KEY


async def test_it_is_bound_to_its_place(keeper):
    master = await keeper.current()
    wrapped = await keeper.wrap(master, HERE, KEY)

    for place in (THERE, HERE._replace(kind="access"), HERE._replace(subject="acc_x")):
        with pytest.raises(NotOpened):
            await keeper.unwrap(master, place, wrapped)


@pytest.mark.parametrize("damage", [lambda wrapped: wrapped[:-5] + b"AAAA=", lambda _: b"\x01", lambda _: b"\xff\x00"])
async def test_what_was_damaged_does_not_open(keeper, damage):
    master = await keeper.current()
    wrapped = await keeper.wrap(master, HERE, KEY)

    with pytest.raises(NotOpened):
        await keeper.unwrap(master, HERE, damage(wrapped))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_not_now_is_asked_again(service, keeper, status):
    master = await keeper.current()
    service.next.extend([(status, {}), (status, b"<html>")])

    assert await keeper.unwrap(master, HERE, await keeper.wrap(master, HERE, KEY)) == KEY


async def test_a_service_that_stays_away_is_said_to_be_and_left_alone_for_a_moment(service, keeper, monkeypatch):
    master = await keeper.current()
    monkeypatch.setattr(calls, "REST_S", 60.0)
    service.next.extend([(503, {})] * calls.TRIES)

    with pytest.raises(KeeperDown, match="503"):
        await keeper.wrap(master, HERE, KEY)
    asked = len(service.seen)
    with pytest.raises(KeeperDown, match="did not answer a moment ago"):
        await keeper.wrap(master, HERE, KEY)
    assert len(service.seen) == asked


@pytest.mark.parametrize("answer", [(401, b""), (403, b"<html>no</html>"), (404, {}), (200, b"<html>"), (302, b"")])
async def test_anything_else_is_no_verdict_about_what_is_wrapped(service, keeper, answer):
    master = await keeper.current()
    service.next.append(answer)

    with pytest.raises(KeeperDown):
        await keeper.unwrap(master, HERE, b"anything")


async def test_nobody_there_is_no_verdict_either(keeper, service):
    master = await keeper.current()
    service.environ.update(
        AWS_ENDPOINT_URL_KMS="http://127.0.0.1:9",
        CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS="http://127.0.0.1:9",
        VAULT_ADDR="http://127.0.0.1:9",
    )
    elsewhere = key_services.named(service.kek, service.environ)

    with pytest.raises(KeeperDown):
        await elsewhere.wrap(master, HERE, KEY)
    await elsewhere.close()


@pytest.mark.parametrize("made", [Gcp, Transit])
async def test_a_new_version_wraps_and_the_old_one_still_unwraps(made):
    async with serving(made()) as service:
        keeper = key_services.named(service.kek, service.environ)
        before = await keeper.current()
        wrapped = await keeper.wrap(before, HERE, KEY)
        service.rotate()
        after = await keeper.current()

        assert (before[-1], after[-1]) == ("1", "2")
        assert await keeper.unwrap(before, HERE, wrapped) == KEY
        assert await keeper.unwrap(after, HERE, await keeper.wrap(after, HERE, KEY)) == KEY
        await keeper.close()


async def test_aws_throttles_with_400_and_says_why_it_does_not_decrypt():
    async with serving(Aws()) as service:
        keeper = key_services.named(service.kek, service.environ)
        master = await keeper.current()
        wrapped = await keeper.wrap(master, HERE, KEY)
        service.next.append((400, {"__type": "com.amazonaws.kms#ThrottlingException"}))
        assert await keeper.unwrap(master, HERE, wrapped) == KEY
        with pytest.raises(NotOpened):
            await keeper.unwrap(f"awskms:{OTHER_ARN}", HERE, wrapped)
        service.disabled.add(ARN)
        with pytest.raises(KeeperDown, match="DisabledException"):
            await keeper.unwrap(master, HERE, wrapped)
        _, _, headers, body = service.seen[-1]
        assert json.loads(body)["EncryptionContext"] == {
            "format": "kek1",
            "owner": HERE.owner,
            "data-key": HERE.key_id,
            "kind": "refresh",
        }
        assert headers["x-amz-target"] == "TrentService.Decrypt"
        await keeper.close()


@pytest.mark.parametrize("where", ["container", "instance"])
async def test_aws_credentials_come_from_where_it_runs(where):
    async with serving(Aws()) as service:
        places = {
            "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.url}/credentials"},
            "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url},
        }
        keeper = key_services.named(service.kek, {"AWS_ENDPOINT_URL_KMS": service.url, **places[where]})

        await keeper.wrap(await keeper.current(), HERE, KEY)

        assert service.seen[-1][2]["x-amz-security-token"] == "of a session"
        await keeper.close()


async def test_google_checks_what_came_over(monkeypatch):
    async with serving(Gcp()) as service:
        keeper = key_services.named(service.kek, service.environ)
        master = await keeper.current()
        wrapped = await keeper.wrap(master, HERE, KEY)
        service.next.append((200, {"plaintext": "AAAA", "plaintextCrc32c": "1"}))
        with pytest.raises(KeeperDown, match="damaged"):
            await keeper.unwrap(master, HERE, wrapped)
        service.next.append((200, {"ciphertext": "AAAA", "ciphertextCrc32c": "1"}))
        with pytest.raises(KeeperDown, match="damaged"):
            await keeper.wrap(master, HERE, KEY)
        await keeper.close()


async def test_a_service_account_signs_for_itself(tmp_path):
    async with serving(Gcp()) as service:
        path = tmp_path / "account.json"
        account = {
            "type": "service_account",
            "client_email": "vault@p.iam.gserviceaccount.com",
            "private_key": service.account.as_pem(private=True).decode(),
            "token_uri": f"{service.url}/token",
        }
        path.write_text(json.dumps(account))
        environ = {**service.environ, "GCE_METADATA_HOST": "127.0.0.1:9", "GOOGLE_APPLICATION_CREDENTIALS": str(path)}
        keeper = key_services.named(service.kek, environ)

        master = await keeper.current()

        assert await keeper.unwrap(master, HERE, await keeper.wrap(master, HERE, KEY)) == KEY
        await keeper.close()


async def test_the_token_of_vault_may_be_renewed_in_its_file(tmp_path):
    async with serving(Transit()) as service:
        path = tmp_path / "token"
        path.write_text("hvs.old\n")
        keeper = key_services.named(service.kek, {"VAULT_ADDR": service.url, "VAULT_TOKEN_FILE": str(path)})
        with pytest.raises(KeeperDown, match="403: permission denied"):
            await keeper.current()
        path.write_text("hvs.a\n")
        assert await keeper.current() == "vault:transit/engine-cloud:v1"
        await keeper.close()


@pytest.mark.parametrize(
    "place",
    [
        "awskms:alias/engine-cloud",
        "awskms:arn:aws:kms:eu-central-1:111122223333:alias/x",
        "gcpkms:projects/p",
        "vault:k",
    ],
)
def test_what_names_no_key_is_refused_at_once(place):
    with pytest.raises(KeyServiceUnusable):
        key_services.named(place, {"VAULT_ADDR": "http://127.0.0.1", "VAULT_TOKEN": "x"})


def test_a_vault_without_a_way_in_is_refused_at_once():
    with pytest.raises(KeyServiceUnusable, match="VAULT_ADDR"):
        key_services.named("vault:transit/x", {})


@pytest.mark.parametrize(
    ("method", "headers", "body", "token", "signature"),
    [
        ("GET", {}, b"", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", FORM, b"Param1=value1", "", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ("POST", {}, b"", TOKEN, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    ],
    ids=["get-vanilla", "post-vanilla", "post-x-www-form-urlencoded", "post-sts-header-before"],
)
def test_signatures_are_those_of_the_published_suite(method, headers, body, token, signature):
    proved = signed(
        Credentials("AKIDEXAMPLE", SECRET, token),
        Scope("us-east-1", "service"),
        datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
        {"host": "example.amazonaws.com", **headers},
        body,
        method,
    )

    assert proved["authorization"].endswith(f"Signature={signature}")


def test_the_signing_key_is_the_published_one():
    key = signing_key(SECRET, "20150830", Scope("us-east-1", "iam"))

    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


@pytest.mark.parametrize(
    ("content", "sum_"), [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"123456789", 0xE3069283)]
)
def test_check_sums_are_those_of_rfc_3720(content, sum_):
    assert crc32c(content) == sum_


@pytest.mark.skipif("TEST_AWS_KMS_URL" not in os.environ, reason="no other server of AWS KMS is named")
async def test_another_server_of_aws_agrees():
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL_KMS": os.environ["TEST_AWS_KMS_URL"],
    }
    keeper = key_services.named(f"awskms:{os.environ['TEST_AWS_KMS_KEY']}", environ)
    master = await keeper.current()
    wrapped = await keeper.wrap(master, HERE, KEY)

    assert await keeper.unwrap(master, HERE, wrapped) == KEY
    with pytest.raises(NotOpened):
        await keeper.unwrap(master, THERE, wrapped)
    with pytest.raises(NotOpened):
        await keeper.unwrap(master, HERE, b"nothing of the kind")
    with pytest.raises(KeeperDown, match="NotFoundException"):
        await keeper.unwrap(f"awskms:{OTHER_ARN}", HERE, wrapped)
    await keeper.close()


def test_the_name_of_a_version_is_a_key_of_google_too():
    keeper = key_services.named(f"gcpkms:{GCP_KEY}/cryptoKeyVersions/3", {})

    assert keeper.keeps(f"gcpkms:{GCP_KEY}/cryptoKeyVersions/3")
    assert not keeper.keeps(f"gcpkms:{GCP_KEY}")
