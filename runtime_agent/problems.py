"""The agent's own refusals: what to tell a person, what to do next, and how the program ends."""

DONE, REFUSED, USAGE, BUG = 0, 1, 2, 70
"""Exit codes of every command."""


class Refusal(Exception):
    """Something the agent will not or cannot do, said so that a person can mend it.

    Args:
        message: What is wrong, one sentence.
        hint: What to do next; empty where nothing can be advised.
    """

    code = "refused"
    exit_code = REFUSED
    hint = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.hint


class BadSetting(Refusal):
    code = "bad-setting"


class WideModes(Refusal):
    """A folder or file with secrets is open to other accounts."""

    code = "wide-modes"


class NotJoined(Refusal):
    code = "not-joined"
    hint = "Join first: runtime-agent join URL --token-stdin --source engine:PATH"


class AlreadyJoined(Refusal):
    code = "already-joined"
    hint = "One home holds one runtime. Leave first (runtime-agent leave), or give another --home."


class Busy(Refusal):
    """Another process works with this home."""

    code = "home-in-use"


class IdentityDamaged(Refusal):
    code = "identity-damaged"
    hint = "Restore identity.json from a backup, or move it away and join again with a new token."


class Left(Refusal):
    """``once`` ended with records that the control plane does not hold yet."""

    code = "records-left"


class NoTerminal(Refusal):
    """A question that nobody can answer."""

    code = "confirmation-needed"
    exit_code = USAGE
