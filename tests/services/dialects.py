"""Ten dialects, each as its service documents it, and as strict as the service is."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.services.fake import ID, SECRET, Asked, Fake, Reply

UNKNOWN = Reply({"error": "not_found"}, 404)


class Slack(Fake):
    """Errors in 200; the bot's token at the top, a person's nested, and sometimes alone; rotation is strict."""

    bot, person = True, False

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/api/auth.revoke":
            return Reply({"ok": True, "revoked": True} if asked.bearer else {"ok": False, "error": "not_authed"})
        if asked.path != "/api/oauth.v2.access" or asked.method != "POST":
            return UNKNOWN
        if asked.basic != (ID, SECRET):
            return Reply({"ok": False, "error": "bad_client_secret"})
        assert "code_verifier" not in asked.form, "a code challenge makes the app a public one, for good"
        if asked.form.get("grant_type") == "refresh_token":
            return self._refresh(asked.form["refresh_token"])
        return Reply(self._grant() if self.redeemed(asked.form) else {"ok": False, "error": "invalid_code"})

    def _refresh(self, token: str) -> Reply:
        if token in self.used:
            return Reply({"ok": False, "error": "invalid_refresh_token"})
        self.used.add(token)
        return Reply(self._grant())

    def _grant(self) -> dict[str, Any]:
        said: dict[str, Any] = {"ok": True, "app_id": "A1", "team": {"id": "T1", "name": "Acme"}, "enterprise": None}
        said["authed_user"] = {"id": "U1"}
        if self.bot:
            said |= {"access_token": self.fresh("xoxb"), "token_type": "bot", "scope": "chat:write,users:read"}
            said |= {"expires_in": 43200, "refresh_token": self.fresh("xoxe"), "bot_user_id": "B1"}
        if self.person:
            said["authed_user"] |= {"scope": "search:read", "access_token": self.fresh("xoxp"), "token_type": "user"}
        return said


class GitHub(Fake):
    """Errors in 200, scopes joined by commas, forms for whoever does not ask for JSON, tokens that do not end."""

    def answer(self, asked: Asked) -> Reply:
        if asked.path == f"/applications/{ID}/token" and asked.method == "DELETE":
            raw = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
            known = asked.json["access_token"] not in self.used
            return Reply(b"", 204 if raw == f"{ID}:{SECRET}" and known else 404)
        if asked.path == "/user":
            return Reply({"id": 583231, "login": "octocat", "email": None}) if asked.bearer else Reply({}, 401)
        if asked.path != "/login/oauth/access_token":
            return UNKNOWN
        said = self._token(asked.form)
        if "application/json" in asked.headers.get("accept", ""):
            return Reply(said)
        return Reply(urlencode(said).encode(), kind="application/x-www-form-urlencoded; charset=utf-8")

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        if (form["client_id"], form["client_secret"]) != (ID, SECRET):
            return {"error": "incorrect_client_credentials", "error_description": "…", "error_uri": "https://…"}
        if form["grant_type"] == "refresh_token":
            return {"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect"}
        if not self.redeemed(form):
            return {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        return {"access_token": self.fresh("gho"), "scope": "repo,gist", "token_type": "bearer"}


class Notion(Fake):
    """JSON bodies with Basic, no scopes, and no word about when a token ends."""

    def answer(self, asked: Asked) -> Reply:
        if asked.basic != (ID, SECRET):
            return Reply({"error": "invalid_client"}, 401)
        if asked.path == "/v1/oauth/revoke":
            return Reply({"request_id": "1"}) if asked.json["token"].startswith("ntn") else Reply({}, 400)
        if asked.path != "/v1/oauth/token" or {"client_id", "client_secret"} & asked.json.keys():
            return Reply({"error": "invalid_request"}, 400)
        body = asked.json
        if body["grant_type"] == "refresh_token":
            if body["refresh_token"] in self.used:
                return Reply({"error": "invalid_grant"}, 400)
            self.used.add(body["refresh_token"])
        elif not self.redeemed(body):
            return Reply({"error": "invalid_grant"}, 400)
        said = {"access_token": self.fresh("ntn"), "refresh_token": self.fresh("nrt"), "token_type": "bearer"}
        owner = {"type": "user", "user": {"object": "user", "id": "u-1"}}
        return Reply({**said, "workspace_id": "w-1", "workspace_name": "Acme", "bot_id": "b-1", "owner": owner})


class Strings(Fake):
    """Numbers as text, and a list of scopes: the specification says otherwise, and nobody minded for years."""

    def answer(self, asked: Asked) -> Reply:
        said = {"token_type": "bearer", "access_token": self.fresh("at"), "refresh_token": self.fresh("rt")}
        lives = {"expires_in": "3599", "refresh_token_expires_in": "7776000"}
        return Reply({**said, **lives, "scope": ["read", "write", "read"]})


class Mailchimp(Fake):
    """``expires_in`` is 0, which means never; where the API is stands in the metadata."""

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/oauth2/metadata":
            if asked.headers.get("authorization", "").split(" ")[0] != "OAuth":
                return Reply({"error": "invalid_token"}, 401)
            said = {"dc": "us6", "accountname": "Acme", "user_id": 7, "login": {"email": "a@acme.example"}}
            return Reply({**said, "api_endpoint": "https://us6.api.mailchimp.com"})
        if not self.redeemed(asked.form):
            return Reply({"error": "invalid_grant"}, 400)
        return Reply({"access_token": self.fresh("mc"), "expires_in": 0, "scope": None})


class Shopify(Fake):
    """A host for every shop, a signed callback, and the refresh token before that works until its successor is used."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, str] = {}
        """A refresh token and the one that came before it."""

    def callback(self, code: str, state: str, shop: str = "acme.myshopify.com") -> list[tuple[str, str]]:
        """The query that the browser comes back with."""
        given = {"code": code, "host": "YWNtZQ", "shop": shop, "state": state, "timestamp": "1790000000"}
        signed = "&".join(f"{name}={value}" for name, value in sorted(given.items()))
        mac = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        return [*given.items(), ("hmac", mac)]

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/shop.json"):
            known = asked.headers.get("x-shopify-access-token", "").startswith("shpat")
            return Reply(
                {"shop": {"id": 1, "name": "Acme"}} if known else {"errors": "[API] Invalid"}, 200 if known else 401
            )
        if asked.path != "/admin/oauth/access_token":
            return UNKNOWN
        form = asked.form
        if (form["client_id"], form["client_secret"]) != (ID, SECRET):
            return Reply({"error": "invalid_client"}, 401)
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form["refresh_token"])
        if form.get("expiring") != "1" or not self.redeemed(form):
            return Reply({"error": "invalid_request"}, 400)
        return self._grant()

    def _refresh(self, token: str) -> Reply:
        if token in self.used:
            return Reply({"error": "invalid_grant"}, 400)
        if token in self.before:
            self.used.add(self.before[token])  # the successor is used: what came before is over
        return self._grant(token)

    def _grant(self, before: str = "") -> Reply:
        said = {"access_token": self.fresh("shpat"), "refresh_token": self.fresh("shprt"), "scope": "read_orders"}
        if before:
            self.before[str(said["refresh_token"])] = before
        return Reply({**said, "expires_in": 3600, "refresh_token_expires_in": 7776000})


class Salesforce(Fake):
    """No word about when a token ends; every answer says where the API is; a race looks like a dead grant."""

    instance = "https://acme.my.salesforce.com"
    racing = False

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/services/oauth2/revoke":
            return Reply(b"", 200, kind="text/html") if "client_id" not in asked.form else Reply({}, 400)
        form = asked.form
        if self.racing:
            says = (
                "expired authorization code"
                if form["grant_type"] != "refresh_token"
                else "token request is already being processed"
            )
            return Reply({"error": "invalid_grant", "error_description": says}, 400)
        if form["grant_type"] == "authorization_code" and not self.redeemed(form):
            return Reply({"error": "invalid_grant", "error_description": "expired authorization code"}, 400)
        said = {"access_token": f"00D!{self.fresh('sf')}", "instance_url": self.instance, "token_type": "Bearer"}
        said |= {"id": "https://login.salesforce.com/id/00D/005", "issued_at": "1790000000000", "signature": "…"}
        if form["grant_type"] == "authorization_code":
            said["refresh_token"] = self.fresh("5Aep")
        return Reply({**said, "scope": "refresh_token api"})


class Glewlwyd(Fake):
    """Empty bodies where others say what is wrong; reuse ends the grant."""

    def answer(self, asked: Asked) -> Reply:
        form = asked.form
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] in self.used:
                return Reply(b"", 400)
            self.used.add(form["refresh_token"])
        elif not self.redeemed(form):
            return Reply({"error": "invalid_code"}, 403)
        said = {"access_token": self.fresh("at"), "refresh_token": self.fresh("rt"), "token_type": "bearer"}
        return Reply({**said, "expires_in": 3600, "scope": "openid"})


class GitHubApp(Fake):
    """Tokens that an app mints with its key, for one installation, and for less of it if that is asked for."""

    KEY = RSAKey.generate_key(2048)

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.installations = {"42": "there", "43": "suspended"}
        self.seen_by = {"user-token": [42]}

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/user/installations":
            if asked.bearer not in self.seen_by:
                return Reply({"message": "Bad credentials"}, 401)
            size, seen = int(asked.query["per_page"]), self.seen_by[asked.bearer]
            page = seen[size * (int(asked.query["page"]) - 1) :][:size]
            return Reply({"total_count": len(seen), "installations": [{"id": each} for each in page]})
        if asked.path == "/installation/token" and asked.method == "DELETE":
            known = asked.bearer.startswith("ghs") and asked.bearer not in self.used
            self.used.add(asked.bearer)
            return Reply(b"", 204 if known else 401)
        if not self._app(asked.bearer):
            return Reply({"message": "A JSON web token could not be decoded"}, 401)
        return self._mint(asked)

    def _app(self, token: str) -> bool:
        claims = jwt.decode(token, self.KEY, algorithms=["RS256"]).claims
        now = self.clock().timestamp()
        return claims["iss"] == ID and claims["iat"] <= now < claims["exp"] <= claims["iat"] + 600

    def _mint(self, asked: Asked) -> Reply:
        state = self.installations.get(asked.path.split("/")[3])
        if state != "there":
            return Reply(
                {"message": "This installation has been suspended" if state else "Not Found"}, 403 if state else 404
            )
        wanted = json.loads(asked.body or b"{}")
        permissions = wanted.get("permissions", {"contents": "write", "issues": "write"})
        said = {"token": self.fresh("ghs"), "expires_at": "2026-01-01T01:00:00Z", "permissions": permissions}
        return Reply({**said, "repository_selection": "selected" if "repositories" in wanted else "all"}, 201)


class Xero(Fake):
    """Rotation with grace: the refresh token before works for half an hour, which a lost answer can be saved by."""

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.rotated: dict[str, Any] = {}

    def answer(self, asked: Asked) -> Reply:
        if asked.basic != (ID, SECRET):
            return Reply({"error": "invalid_client"}, 400)
        if asked.path == "/connect/revocation":
            return Reply(b"", 200) if asked.form["token"].startswith("rt") else Reply({"error": "invalid_request"}, 400)
        form = asked.form
        if form["grant_type"] == "authorization_code":
            return self._grant() if self.redeemed(form) else Reply({"error": "invalid_grant"}, 400)
        used_at = self.rotated.setdefault(form["refresh_token"], self.clock())
        if (self.clock() - used_at).total_seconds() > 1800:
            return Reply({"error": "invalid_grant"}, 400)
        return self._grant()

    def _grant(self) -> Reply:
        said = {"access_token": self.fresh("at"), "refresh_token": self.fresh("rt"), "token_type": "Bearer"}
        return Reply({**said, "expires_in": 1800, "scope": "offline_access accounting.transactions"})
