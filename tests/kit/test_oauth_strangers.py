"""Out to a provider and back, devices, and servers that say themselves who they are: metadata, MCP servers, clients."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from msgspec import structs

from controlplane.kit.oauth import devices, discovery, resources
from controlplane.kit.oauth.assertions import ASSERTION_TYPE, signed, usable
from controlplane.kit.oauth.authorizing import Asked, authorize_url, new_verifier, push
from controlplane.kit.oauth.callbacks import CallbackRefused, code_of
from controlplane.kit.oauth.dialect import Asking, Dialect, Server
from controlplane.kit.oauth.discovery import ServerUnusable
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import client_credentials, exchange, jwt_bearer
from controlplane.kit.secret import Secret
from tests.services.fake import APP, ID, SECRET, Fake, Reply, calling, challenge, running

KEY = ECKey.generate_key("P-256")
PEM = Secret(KEY.as_pem(private=True).decode())


@pytest.fixture
def caller(clock):
    return calling(clock)


class Stranger(Fake):
    """An authorization server and a resource in one, which say of themselves what :attr:`documents` holds."""

    def __init__(self, path=""):
        super().__init__()
        self.path = path
        self.documents = {}
        self.pending = 2
        self.challenge = ""

    def metadata(self, **more):
        issuer = self.url + self.path
        said = {"issuer": issuer, "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token"}
        said |= {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        said |= {"registration_endpoint": f"{issuer}/register", "token_endpoint_auth_methods_supported": ["none"]}
        return {name: value for name, value in {**said, **more}.items() if value is not None}

    def answer(self, asked):
        if asked.path in self.documents:
            return Reply(self.documents[asked.path])
        if asked.path == "/mcp":
            return Reply(b"", 401, {"www-authenticate": self.challenge} if self.challenge else {})
        if asked.path.endswith("/par"):
            return Reply({"request_uri": "urn:example:1", "expires_in": 60}, 201)
        if asked.path.endswith("/register"):
            return Reply({"client_id": "registered", **asked.json}, 201)
        if asked.path.endswith("/device"):
            return Reply(
                {"device_code": "dc", "user_code": "ABCD", "verification_uri": "https://x.example/d", "expires_in": 90}
            )
        if asked.path.endswith("/token") and asked.form["grant_type"] == devices.DEVICE_CODE and self.pending:
            self.pending -= 1
            return Reply({"error": "slow_down" if self.pending else "authorization_pending"}, 400)
        return Reply({"access_token": "at"}) if asked.path.endswith("/token") else Reply({}, 404)


# ---- out and back


def test_what_the_protocol_says_is_not_said_otherwise():
    verifier = new_verifier()
    server = Server(authorize="https://a.example/auth?x=1", token="https://a.example/token")
    more = {"state": "forged", "redirect_uri": "https://evil.example", "response_type": "token", "login_hint": "ada"}

    url = authorize_url(server, APP, Asked(state="st", verifier=verifier, scopes=("a", "b", "a"), more=more))

    assert url.startswith("https://a.example/auth?x=1&")
    assert "evil" not in url
    assert "state=st&" in url
    assert "scope=a+b&" in url
    assert "login_hint=ada" in url
    assert f"code_challenge={challenge(verifier.reveal())}" in url
    assert verifier.reveal() not in url


async def test_a_request_that_is_pushed_leaves_only_its_name_to_the_browser(caller):
    async with running(Stranger()) as stranger:
        server = Server(authorize="https://a.example/auth", token="x", par=f"{stranger.url}/par")
        url = await push(caller, server, APP, Asked(state="st", verifier=new_verifier(), scopes=("a",)))

    assert url == f"https://a.example/auth?client_id={ID}&request_uri=urn%3Aexample%3A1"
    assert stranger.asked[0].form["state"] == "st"
    assert stranger.asked[0].form["client_secret"] == SECRET


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ([("code", "c"), ("iss", "https://b.example")], "issuer"),
        ([("error", "access_denied"), ("iss", "https://b.example")], "issuer"),
        ([("code", "c"), ("iss", "https://a.example/")], "issuer"),
        ([("code", "c")], "issuer"),
        ([("error", "access_denied"), ("iss", "https://a.example")], "error"),
        ([("code", "c"), ("error", "access_denied"), ("iss", "https://a.example")], "error"),
        ([("iss", "https://a.example")], "no code"),
        ([("code", ""), ("iss", "https://a.example")], "no code"),
        ([("code", "c" * 9_000), ("iss", "https://a.example")], "no code"),
        ([("code", "c"), ("code", "d"), ("iss", "https://a.example")], "repeated"),
    ],
)
def test_a_callback_that_does_not_hold_is_refused(query, why):
    server = Server(token="https://a.example/token", issuer="https://a.example", says_issuer=True)

    with pytest.raises(CallbackRefused) as refused:
        code_of(server, APP, query)

    assert refused.value.why == why
    assert refused.value.facts()["why"] == why


def test_of_a_callbacks_error_only_a_known_code_is_told():
    server = Server(token="https://a.example/token")

    for said, told in (("access_denied", "access_denied"), ("<script>", ""), (SECRET, "")):
        with pytest.raises(CallbackRefused) as refused:
            code_of(server, APP, [("error", said), ("error_description", SECRET)])
        assert refused.value.said == told


def test_a_code_ends_where_its_provider_says():
    server = Server(token="https://a.example/token", dialect=Dialect(asking=Asking(code_ends="#_")))

    assert code_of(server, APP, [("code", "abc#_")]) == "abc"


def test_a_data_center_is_compared_and_never_called():
    dialect = Dialect(asking=Asking(callback_host="accounts-server"))
    server = Server(token="https://accounts.zoho.eu/oauth/v2/token", dialect=dialect)

    assert code_of(server, APP, [("code", "c"), ("accounts-server", "https://accounts.zoho.eu")]) == "c"
    with pytest.raises(CallbackRefused, match="elsewhere"):
        code_of(server, APP, [("code", "c"), ("accounts-server", "https://accounts.zoho.com")])


# ---- other grants


async def test_a_client_with_a_key_proves_who_it_is_by_it(caller, clock):
    client = structs.replace(APP, secret=None, key=PEM, key_id="k1", auth="key")
    async with running(Stranger()) as stranger:
        server = Server(token=f"{stranger.url}/token", issuer="https://a.example", dialect=Dialect())
        await client_credentials(caller, server, client, ("read",))

    form = stranger.asked[0].form
    proof = jwt.decode(form["client_assertion"], KEY, algorithms=["ES256"])
    assert (form["client_assertion_type"], form["scope"], "client_secret" in form) == (ASSERTION_TYPE, "read", False)
    assert (proof.header["kid"], proof.claims["iss"], proof.claims["sub"]) == ("k1", ID, ID)
    assert (proof.claims["aud"], bool(proof.claims["jti"])) == ("https://a.example", True)
    assert proof.claims["iat"] < clock().timestamp() < proof.claims["exp"] <= clock().timestamp() + 300


async def test_an_assertion_is_worth_tokens(caller, clock):
    async with running(Stranger()) as stranger:
        server = Server(token=f"{stranger.url}/token")
        assertion = signed({"iss": "svc", "sub": "ada@acme.example", "aud": server.token}, PEM, clock())
        await jwt_bearer(caller, server, APP, assertion, ("read",))

    assert stranger.asked[0].form["assertion"] == assertion.reveal()
    assert stranger.asked[0].form["grant_type"].endswith("jwt-bearer")


def test_a_key_is_known_to_be_one_before_it_is_kept():
    public = Secret(KEY.as_pem(private=False).decode())

    assert usable(PEM)
    assert not any(usable(each) for each in (public, Secret(""), Secret("-----BEGIN PRIVATE KEY-----\nAA==\n")))


async def test_a_device_waits_until_somebody_consents_elsewhere(caller):
    async with running(Stranger()) as stranger:
        server = Server(token=f"{stranger.url}/token", device=f"{stranger.url}/device")
        begun = await devices.begin(caller, server, APP, ("a",))

        polled = [await devices.poll(caller, server, APP, begun.code) for _ in range(3)]

    assert (begun.user_code, begun.address, begun.expires_in_s, begun.interval_s) == (
        "ABCD",
        "https://x.example/d",
        90,
        5,
    )
    assert polled[:2] == ["slow_down", "pending"]
    assert polled[2].access.reveal() == "at"


async def test_a_device_that_was_refused_is_over(caller):
    async with running(Fake()) as fake:
        fake.instead = [Reply({"error": "access_denied"}, 400).written()]
        with pytest.raises(Failure) as failed:
            await devices.poll(caller, Server(token=f"{fake.url}/token"), APP, Secret("dc"))

    assert failed.value.kind == "grant_dead"


# ---- servers that say who they are


@pytest.mark.parametrize("path", ["", "/acme"])
@pytest.mark.parametrize("first", ["openid", "oauth"])
async def test_metadata_are_found_wherever_they_are_allowed_to_be(caller, path, first):
    async with running(Stranger(path)) as stranger:
        for place in discovery.places(stranger.url + path, first):
            stranger.documents = {place.removeprefix(stranger.url): stranger.metadata()}

            found = await discovery.metadata(caller, stranger.url + path, first=first)

            assert found.issuer == stranger.url + path


def test_places_are_asked_in_the_order_of_the_protocol():
    assert discovery.places("https://a.example/t", "oauth") == [
        "https://a.example/.well-known/oauth-authorization-server/t",
        "https://a.example/.well-known/openid-configuration/t",
        "https://a.example/t/.well-known/openid-configuration",
    ]
    assert discovery.places("https://a.example", "oauth") == [
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"issuer": "https://b.example"}, "another issuer"),
        ({"token_endpoint": "ftp://b.example/token"}, "not https"),
        ({"registration_endpoint": "javascript:alert(1)"}, "not https"),
        ({"code_challenge_methods_supported": ["plain"]}, "S256"),
        ({"code_challenge_methods_supported": None}, "S256"),
        ({"response_types_supported": ["token"]}, "code flow"),
        ({"token_endpoint": 7}, "not what it should be"),
        ({"token_endpoint": None}, "not what it should be"),
    ],
)
async def test_metadata_that_leave_no_safe_way_are_refused(caller, more, why):
    async with running(Stranger()) as stranger:
        stranger.documents = {discovery.OAUTH: stranger.metadata(**more)}

        with pytest.raises(ServerUnusable, match=why):
            await discovery.metadata(caller, stranger.url, first="oauth", pkce=True)


async def test_the_slash_at_the_end_of_an_issuer_counts(caller):
    async with running(Stranger()) as stranger:
        stranger.documents = {discovery.OPENID: stranger.metadata()}

        with pytest.raises(ServerUnusable, match="another issuer"):
            await discovery.metadata(caller, stranger.url + "/")


async def test_what_a_server_says_makes_it_usable(caller):
    async with running(Stranger()) as stranger:
        methods = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}
        more = {
            "pushed_authorization_request_endpoint": f"{stranger.url}/par",
            "userinfo_endpoint": f"{stranger.url}/me",
        }
        said = {"authorization_response_iss_parameter_supported": True, "revocation_endpoint": f"{stranger.url}/revoke"}
        stranger.documents = {discovery.OPENID: stranger.metadata(**methods, **more, **said)}
        server = discovery.server_of(await discovery.metadata(caller, stranger.url))

    assert (server.issuer, server.says_issuer, server.dialect.asking.auth) == (stranger.url, True, "post")
    assert (server.par, server.lookup, server.revoke) == (
        f"{stranger.url}/par",
        f"{stranger.url}/me",
        f"{stranger.url}/revoke",
    )
    assert server.dialect.revoking is not None
    assert server.dialect.lookup is not None


# ---- MCP servers


async def test_an_mcp_server_says_who_lets_people_in_and_tokens_are_for_it_alone(caller):
    async with running(Stranger("/as")) as stranger:
        place = f"{stranger.url}/meta"
        stranger.challenge = f'Bearer error="invalid_token", resource_metadata="{place}", scope="files:read"'
        about = {"resource": f"{stranger.url}/mcp", "authorization_servers": [f"{stranger.url}/as"]}
        stranger.documents = {"/meta": about, f"{discovery.OAUTH}/as": stranger.metadata()}

        resource = await resources.found_at(caller, f"{stranger.url}/mcp#fragment")
        server, metadata = await resources.server_for(caller, resource, f"{stranger.url}/as")
        verifier = new_verifier()
        url = authorize_url(server, APP, Asked(state="s", verifier=verifier, scopes=resource.scopes))
        await exchange(caller, server, structs.replace(APP, auth="none"), "code", verifier)

    assert resource.scopes == ("files:read",)
    assert "resource=http%3A%2F%2F127.0.0.1" in url
    assert stranger.asked[-1].form["resource"] == f"{stranger.url}/mcp"
    assert resources.registration(metadata) == "dynamic"


@pytest.mark.parametrize(
    "place", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]
)
async def test_without_a_challenge_the_well_known_places_are_asked(caller, place):
    async with running(Stranger()) as stranger:
        stranger.documents = {place: {"resource": stranger.url, "authorization_servers": ["https://a.example"]}}

        resource = await resources.found_at(caller, f"{stranger.url}/mcp")

    assert (resource.resource, resource.issuers, resource.scopes) == (stranger.url, ("https://a.example",), ())


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"resource": "https://other.example/mcp", "authorization_servers": ["https://a.example"]}, "another"),
        ({"resource": "{url}/mcp/deeper", "authorization_servers": ["https://a.example"]}, "another"),
        ({"resource": "{url}/mc", "authorization_servers": ["https://a.example"]}, "another"),
        ({"resource": "{url}/mcp"}, "no authorization server"),
        ({"authorization_servers": ["https://a.example"]}, "not what it should be"),
    ],
)
async def test_a_resource_that_speaks_of_another_is_refused(caller, about, why):
    async with running(Stranger()) as stranger:
        said = json.loads(json.dumps(about).replace("{url}", stranger.url))
        stranger.documents = {"/.well-known/oauth-protected-resource/mcp": said}

        with pytest.raises(ServerUnusable, match=why):
            await resources.found_at(caller, f"{stranger.url}/mcp")


async def test_a_server_that_the_resource_does_not_name_is_never_asked(caller):
    resource = resources.Resource(resource="https://m.example", issuers=("https://a.example",), scopes=())

    with pytest.raises(ServerUnusable, match="does not name"):
        await resources.server_for(caller, resource, "https://b.example")


async def test_a_resource_that_says_nothing_cannot_be_connected(caller):
    async with running(Stranger()) as stranger:
        with pytest.raises(ServerUnusable, match="does not say who"):
            await resources.found_at(caller, f"{stranger.url}/mcp")


async def test_a_client_becomes_known_by_a_document_or_by_registering(caller):
    async with running(Stranger()) as stranger:
        stranger.documents = {discovery.OAUTH: stranger.metadata(client_id_metadata_document_supported=True)}
        metadata = await discovery.metadata(caller, stranger.url, first="oauth")
        client = await resources.register(caller, metadata, "Engine Cloud", APP.redirect_uri)
    document = resources.document("https://cloud.example/oauth/clients/app_1.json", "Engine Cloud", APP.redirect_uri)

    assert resources.registration(metadata) == "document"
    assert (client.id, client.secret, client.auth, client.redirect_uri) == (
        "registered",
        None,
        "none",
        APP.redirect_uri,
    )
    assert document["client_id"] == "https://cloud.example/oauth/clients/app_1.json"
    assert (document["redirect_uris"], document["token_endpoint_auth_method"]) == ([APP.redirect_uri], "none")


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://M.Example/Mcp", "https://m.example/Mcp"),
        ("https://m.example/", "https://m.example"),
        ("https://m.example/mcp#x", "https://m.example/mcp"),
        ("https://m.example:8443/mcp", "https://m.example:8443/mcp"),
    ],
)
def test_a_resource_has_one_name(url, canonical):
    assert resources.canonical(url) == canonical
