"""A strict authorization server on loopback: codes once, PKCE, pushed requests, ``iss``, one's own account, revocation."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.services.fake import ID, SECRET, Asked, Fake, Reply


class Authority(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.pushed: dict[str, dict[str, str]] = {}
        self.whose: dict[str, dict[str, str]] = {}
        """Account by access token."""
        self.revoked: list[str] = []
        self.pushes = False
        self.names_itself = True
        """In what browsers bring back (RFC 9207)."""
        self.granted: str | None = None
        """Scopes it says it has granted; None: it does not say."""
        self.secret = SECRET

    def metadata(self) -> dict[str, Any]:
        pushing = {"pushed_authorization_request_endpoint": f"{self.url}/par"} if self.pushes else {}
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/me",
            "revocation_endpoint": f"{self.url}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.names_itself,
            **pushing,
        }

    def overrides(self) -> dict[str, str]:
        """For an app that names its addresses itself."""
        places = {"authorize": "authorize", "token": "token", "revoke": "revoke"}
        return {name: f"{self.url}/{path}" for name, path in places.items()}

    def allow(self, url: str, account: str = "ada") -> str:
        """What a person does there: sign in and say yes. Returns the address that the browser comes back to."""
        asked = self._asked_for(url)
        code = self.fresh("code")
        self.codes[code] = {**asked, "account": account}
        return self.back(asked, code=code)

    def deny(self, url: str, error: str = "access_denied") -> str:
        return self.back(self._asked_for(url), error=error)

    def back(self, asked: dict[str, str], **said: str) -> str:
        own = {"iss": self.url} if self.names_itself else {}
        return f"{asked['redirect_uri']}?{urlencode({**own, 'state': asked['state'], **said})}"

    def _asked_for(self, url: str) -> dict[str, str]:
        assert url.startswith(f"{self.url}/authorize"), url
        asked = dict(parse_qsl(urlsplit(url).query))
        asked = self.pushed.pop(asked["request_uri"]) if "request_uri" in asked else asked
        assert asked["code_challenge_method"] == "S256"
        return asked

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/.well-known/openid-configuration":
            return Reply(self.metadata())
        if asked.path == "/me":
            account = self.whose.get(asked.bearer)
            return Reply(account) if account else Reply({"error": "invalid_token"}, status=401)
        if asked.basic != (ID, self.secret) and asked.form.get("client_secret") != self.secret:
            return Reply({"error": "invalid_client"}, status=401)
        if asked.path == "/par":
            name = f"urn:ietf:params:oauth:request_uri:{self.fresh('par')}"
            self.pushed[name] = asked.form
            return Reply({"request_uri": name, "expires_in": 60}, status=201)
        if asked.path == "/revoke":
            self.revoked.append(asked.form["token"])
            return Reply()
        return self._token(asked.form)

    def _token(self, form: dict[str, str]) -> Reply:
        account = self.codes.get(form["code"], {}).get("account", "")
        if not self.redeemed(form):
            return Reply({"error": "invalid_grant"}, status=400)
        access = self.fresh("at")
        self.whose[access] = {"sub": account, "name": account.title(), "email": f"{account}@example.com"}
        said = {"scope": self.granted} if self.granted is not None else {}
        return Reply(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": self.fresh("rt"),
                **said,
            }
        )
