"""Why a runtime gets no credential."""

from datetime import timedelta

from controlplane.kit.problems import Refusal


class LeaseDenied(Refusal):
    code, status, title = "lease-denied", 403, "No policy lets this runtime have this credential"
    hint = "An administrator of the tenant sees under …/connections/{connection}/access who may, and by which policy."

    def __init__(self, rule: str) -> None:
        super().__init__("")
        self.rule = rule

    def facts(self) -> dict[str, object]:
        return {"rule": self.rule}


class CallDenied(Refusal):
    code, status, title = "call-denied", 403, "No policy lets this runtime make this call"
    hint = "Policies say who may call, with which methods and at which paths, in mode proxy."

    def __init__(self, rule: str) -> None:
        super().__init__("")
        self.rule = rule

    def facts(self) -> dict[str, object]:
        return {"rule": self.rule}


class NonceUsed(Refusal):
    """Somebody sends a request again that was answered."""

    code, status, title = "nonce-used", 409, "This request was made before"
    hint = "Sign each request with a nonce of its own."


class ConnectionNotServed(Refusal):
    code, status, title = "connection-not-served", 409, "Nothing is leased of this connection now"
    hint = "Its page says why. needs_reauth: somebody has to connect the account again."

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(f"it is {state}" + (f": {reason}" if reason else ""))
        self.state = state

    def facts(self) -> dict[str, object]:
        return {"state": self.state}


class LeaseBusy(Refusal):
    code, status, title = "lease-busy", 503, "What this lease depends on is being changed"
    hint = "Ask again as Retry-After says."

    def __init__(self, wait: timedelta) -> None:
        super().__init__("")
        self._wait = wait

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, round(self._wait.total_seconds())))}


class LeaseTooShort(Refusal):
    code, status, title = "lease-too-short", 409, "No lease of this connection lasts that long"
    hint = "Ask for less: min_ttl_s. The policy that decided says the most."


class LeaseOver(Refusal):
    code, status, title = "lease-over", 409, "This lease has ended"
    hint = "Ask for a new one."


class LeaseRevoked(Refusal):
    code, status, title = "lease-revoked", 409, "This lease was revoked"
    hint = "Stop using what it held. Whether another is to be had, the policies say."


class CallUnauthorized(Refusal):
    """The provider said 401: the credential is not what it was, or never was enough."""

    code, status, title = "call-unauthorized", 502, "The provider does not take this credential"
    hint = (
        "renewed: there is another one, call again. Otherwise the connection's page says whether somebody has to act."
    )

    def __init__(self, *, renewed: bool) -> None:
        super().__init__("")
        self.renewed = renewed

    def facts(self) -> dict[str, object]:
        return {"renewed": self.renewed}


class CallUnanswered(Refusal):
    code, status, title = "call-unanswered", 502, "The provider gave no answer that could be passed on"
    hint = "sent: the provider may have done what it was asked; look before you ask again."

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent

    def facts(self) -> dict[str, object]:
        return {"sent": self.sent}


class CallTimedOut(CallUnanswered):
    code, status, title = "call-timed-out", 504, "The provider did not answer in time"


class CallsBusy(Refusal):
    code, status, title = "calls-busy", 429, "This runtime has as many calls under way as it may have"
    hint = "Ask again as Retry-After says."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}
