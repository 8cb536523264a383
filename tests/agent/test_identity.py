"""Keys on disk, what they sign, and tokens that survive lost answers."""

import json
from base64 import urlsafe_b64decode

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime_agent import identity
from runtime_agent.http import Http, Refused, Unreachable
from runtime_agent.problems import IdentityDamaged, NotJoined
from runtime_agent.tokens import Tokens
from runtime_agent.wire.join import TokenRequest
from tests.agent.reference import Network
from tests.agent.rig import START, joined


def decoded(part):
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(token, public_key):
    head, payload, signature = token.split(".")
    Ed25519PublicKey.from_public_bytes(decoded(public_key)).verify(decoded(signature), f"{head}.{payload}".encode())
    return json.loads(decoded(head)), json.loads(decoded(payload))


def tokens(rig, network):
    http = Http("http://reference", rig.clock, network)
    return Tokens(http, rig.folder, identity.load(rig.folder), rig.clock)


def test_what_is_saved_is_loaded_and_closed_to_others(tmp_path):
    made = joined(tmp_path)

    assert identity.load(tmp_path) == made
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600


def test_the_keys_are_two_and_their_public_halves_are_32_bytes(tmp_path):
    made = joined(tmp_path)

    assert len(decoded(made.public_key())) == len(decoded(made.public_sealing_key())) == 32
    assert made.public_key() != made.public_sealing_key()


def test_a_signature_is_verified_by_the_public_key_alone(tmp_path):
    made = joined(tmp_path)

    head, claims = verified(made.signed({"aud": "x"}), made.public_key())

    assert head == {"alg": "Ed25519", "typ": "JWT"}
    assert claims == {"aud": "x"}


def test_no_file_means_not_joined_and_rubbish_means_damaged(tmp_path):
    with pytest.raises(NotJoined):
        identity.load(tmp_path)
    (tmp_path / "identity.json").write_bytes(b"{")
    with pytest.raises(IdentityDamaged):
        identity.load(tmp_path)


def test_keys_without_an_answer_are_not_joined(tmp_path):
    identity.save(tmp_path, identity.fresh("http://reference"))

    with pytest.raises(NotJoined):
        identity.load(tmp_path)


class TestTokens:
    async def test_a_token_is_asked_for_once_while_it_is_good(self, rig):
        network = Network(rig.server)
        mine = tokens(rig, network)

        assert [await mine.current(), await mine.current()] == ["token-1", "token-1"]

        assert identity.load(rig.folder).join_state == "state-1"
        assert identity.load(rig.folder).nonce == ""

    async def test_the_assertion_names_the_runtime_and_ends_soon(self, rig):
        asked = []

        class Listening(Network):
            async def handle_async_request(self, request):
                asked.append(msgspec.json.decode(await request.aread(), type=TokenRequest))
                return await super().handle_async_request(request)

        mine = tokens(rig, Listening(rig.server))
        await mine.current()

        _, claims = verified(asked[0].client_assertion, mine.identity.public_key())
        assert claims["iss"] == claims["sub"] == str(mine.identity.id)
        assert claims["aud"] == "/v1/runtime"
        assert claims["iat"] == int(START.timestamp())
        assert claims["exp"] - claims["iat"] == 60

    async def test_a_lost_answer_is_asked_for_again_with_the_same_nonce_even_after_a_crash(self, rig):
        class Losing(Network):
            async def handle_async_request(self, request):
                await request.aread()
                self.server.answer(request)
                raise httpx.ReadTimeout("the answer was lost")

        with pytest.raises(Unreachable):
            await tokens(rig, Losing(rig.server)).current()
        assert identity.load(rig.folder).nonce

        assert await tokens(rig, Network(rig.server)).current() == "token-1"
        assert rig.server.tokens == 1

    async def test_a_copy_of_the_identity_is_turned_away(self, rig):
        copy = identity.load(rig.folder)
        await tokens(rig, Network(rig.server)).current()
        identity.save(rig.folder, copy)

        with pytest.raises(Refused) as refused:
            await tokens(rig, Network(rig.server)).current()

        assert refused.value.problem.code == "runtime-locked"

    async def test_a_copy_that_was_made_during_a_call_is_turned_away_too(self, rig):
        copy = msgspec.structs.replace(identity.load(rig.folder), nonce="nonce of that call")
        identity.save(rig.folder, copy)
        for _ in range(2):
            await tokens(rig, Network(rig.server)).current()
        identity.save(rig.folder, copy)

        with pytest.raises(Refused) as refused:
            await tokens(rig, Network(rig.server)).current()

        assert refused.value.problem.code == "runtime-locked"
        assert identity.load(rig.folder).nonce != copy.nonce

    async def test_a_token_that_the_server_forgot_is_replaced_within_the_call(self, rig):
        rig.write(1)
        await rig.sync.step()
        rig.server.good_tokens.clear()

        assert await rig.sync.step()

        assert len(rig.server.applied()) == 1
        assert rig.server.tokens == 2

    @pytest.mark.parametrize("minutes", [-10, 10])
    async def test_a_wrong_clock_corrects_itself_by_the_servers(self, rig, minutes):
        issued = []

        class Strict(Network):
            """Refuses what was not issued within two minutes of its own time."""

            async def handle_async_request(self, request):
                said = msgspec.json.decode(await request.aread(), type=TokenRequest)
                issued.append(json.loads(decoded(said.client_assertion.split(".")[1]))["iat"])
                if abs(issued[-1] - START.timestamp()) > 120:
                    at = round(START.timestamp() * 1000)
                    return httpx.Response(401, json={"code": "clock-skewed", "server_ms": at})
                return await super().handle_async_request(request)

        rig.clock.forward(minutes=minutes)

        assert await tokens(rig, Strict(rig.server)).current() == "token-1"
        assert issued[1] == pytest.approx(START.timestamp(), abs=2)
