"""What a command says when it cannot go on."""


class Declined(Exception):
    """The command stops: what is wrong, and the next step. Exit status 1."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint
