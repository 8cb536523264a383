"""An MCP server and who lets people in to it, as the protocol of 2026-07-28 has them, and as strict."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.services.fake import Asked, Fake, Reply

ADDRESS = "/mcp"


class Mcp(Fake):
    """Tokens are for one resource; refresh tokens rotate, and one that is used twice ends the grant."""

    def __init__(self) -> None:
        super().__init__()
        self.reads_documents, self.registers = True, False
        self.methods = ["private_key_jwt", "none"]
        self.documents: dict[str, dict[str, Any]] = {}
        """What stands at clients' addresses, which a test brings here."""
        self.registered: dict[str, dict[str, Any]] = {}
        self.issuers: list[str] | None = None
        """None: this very server."""
        self.grants: dict[str, dict[str, str]] = {}
        """By refresh token."""
        self.checks_pkce = True

    @property
    def server(self) -> str:
        return self.url + ADDRESS

    def metadata(self) -> dict[str, Any]:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": self.reads_documents,
            "token_endpoint_auth_methods_supported": self.methods,
        }
        said |= {"code_challenge_methods_supported": ["S256"]} if self.checks_pkce else {}
        return said | ({"registration_endpoint": f"{self.url}/register"} if self.registers else {})

    def allow(self, url: str) -> str:
        """What a person does there. Returns the address that the browser comes back to."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.url}/authorize")
        assert asked["resource"] == self.server
        assert asked["redirect_uri"] in self._client(asked["client_id"])["redirect_uris"]
        self.codes["code-1"] = asked
        said = {"iss": self.url, "state": asked["state"], "code": "code-1"}
        return f"{asked['redirect_uri']}?{urlencode(said)}"

    def answer(self, asked: Asked) -> Reply:
        if asked.path == ADDRESS:
            place = f"{self.url}/.well-known/oauth-protected-resource{ADDRESS}"
            challenge = {"www-authenticate": f'Bearer resource_metadata="{place}", scope="files:read"'}
            return Reply(b"", 401, challenge)
        if asked.path == f"/.well-known/oauth-protected-resource{ADDRESS}":
            return Reply({"resource": self.server, "authorization_servers": self.issuers or [self.url]})
        if asked.path == "/.well-known/oauth-authorization-server":
            return Reply(self.metadata())
        if asked.path == "/register" and self.registers:
            self.registered["dcr-1"] = asked.json
            return Reply({"client_id": "dcr-1", **asked.json}, 201)
        return self._token(asked.form) if asked.path == "/token" else Reply({}, 404)

    def _client(self, client_id: str) -> dict[str, Any]:
        return self.registered.get(client_id) or self.documents[client_id]

    def _token(self, form: dict[str, str]) -> Reply:
        if not self._is_proved(form):
            return Reply({"error": "invalid_client"}, 401)
        if form.get("resource") != self.server:
            return Reply({"error": "invalid_target"}, 400)
        if form["grant_type"] == "refresh_token":
            grant = self.grants.pop(form["refresh_token"], None)
            return self._grant() if grant is not None else Reply({"error": "invalid_grant"}, 400)
        return self._grant() if self.redeemed(form) else Reply({"error": "invalid_grant"}, 400)

    def _is_proved(self, form: dict[str, str]) -> bool:
        client = self._client(form["client_id"])
        if client["token_endpoint_auth_method"] != "private_key_jwt":
            return "client_secret" not in form
        claims = jwt.decode(form["client_assertion"], KeySet.import_key_set(client["jwks"])).claims
        return claims["iss"] == claims["sub"] == form["client_id"] and claims["aud"] == self.url

    def _grant(self) -> Reply:
        refresh = self.fresh("rt")
        self.grants[refresh] = {}
        return Reply(
            {"access_token": self.fresh("at"), "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh}
        )
