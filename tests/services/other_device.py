"""Consent on another device (RFC 8628), by a server that counts how often it is asked."""

from datetime import datetime, timedelta
from typing import Any

from controlplane.kit.oauth.devices import DEVICE_CODE
from tests.services.fake import Asked, Fake, Reply


class OtherDevice(Fake):
    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.said = ""
        """What the person has said: nothing yet, ``yes`` or ``no``."""
        self.trouble = 0
        """How many questions are still answered with a 503."""
        self.asked_at: datetime | None = None
        self.interval_s, self.too_often = 5, 0
        self.given_back: list[str] = []

    def overrides(self) -> dict[str, str]:
        paths = {"authorize": "authorize", "token": "token", "revoke": "revoke", "device": "device"}
        return {name: f"{self.url}/{path}" for name, path in paths.items()}

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/device":
            said = {"device_code": "dc-1", "user_code": "WDJB-MJHT", "verification_uri": f"{self.url}/activate"}
            return Reply({**said, "expires_in": 600, "interval": self.interval_s})
        if asked.path == "/revoke":
            self.given_back.append(asked.form["token"])
            return Reply()
        assert asked.form["grant_type"] == DEVICE_CODE
        assert asked.form["device_code"] == "dc-1"
        return self._polled()

    @property
    def polls(self) -> int:
        return sum(each.path == "/token" for each in self.asked)

    def _polled(self) -> Reply:
        if self.trouble:
            self.trouble -= 1
            return Reply({}, 503)
        before, self.asked_at = self.asked_at, self.clock()
        if before is not None and self.asked_at - before < timedelta(seconds=self.interval_s):
            self.interval_s += 5
            return Reply({"error": "slow_down"}, 400)
        if not self.said:
            return Reply({"error": "authorization_pending"}, 400)
        if self.said == "no":
            return Reply({"error": "access_denied"}, 400)
        return Reply({"access_token": self.fresh("at"), "refresh_token": self.fresh("rt"), "expires_in": 3600})
