"""A token endpoint for programs: client credentials, and assertions that a client signs with its key."""

from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from controlplane.kit.oauth.assertions import JWT_BEARER
from tests.services.fake import ID, SECRET, Asked, Fake, Reply


class Machines(Fake):
    KEY = ECKey.generate_key("P-256")

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.granted: str | None = None
        """Scopes it says it has granted; None: it does not say."""
        self.gone = False
        """Whether whom assertions speak of is there no more."""
        self.claims: list[dict[str, Any]] = []
        self.revoked: list[str] = []

    @property
    def pem(self) -> str:
        return self.KEY.as_pem(private=True).decode()

    def overrides(self) -> dict[str, str]:
        return {"token": f"{self.url}/token", "revoke": f"{self.url}/revoke"}

    def answer(self, asked: Asked) -> Reply:
        form = asked.form
        if asked.path == "/revoke":
            self.revoked.append(form["token"])
            return Reply()
        if form["grant_type"] == JWT_BEARER:
            assert "client_secret" not in form
            return self._for_assertion(form["assertion"])
        assert form["grant_type"] == "client_credentials"
        if (form["client_id"], form["client_secret"]) != (ID, SECRET):
            return Reply({"error": "invalid_client"}, 401)
        return self._grant()

    def _for_assertion(self, assertion: str) -> Reply:
        claims = jwt.decode(assertion, self.KEY, algorithms=["ES256"]).claims
        now = self.clock().timestamp()
        self.claims.append(claims)
        if self.gone or claims["iss"] != ID or not claims["iat"] <= now < claims["exp"]:
            return Reply({"error": "invalid_grant"}, 400)
        return self._grant()

    def _grant(self) -> Reply:
        said = {"scope": self.granted} if self.granted is not None else {}
        return Reply({"access_token": self.fresh("at"), "token_type": "Bearer", "expires_in": 3600, **said})
