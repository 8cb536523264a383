"""The one error of this package."""


class Unavailable(RuntimeError):
    """A server could not be found or started; the message says what to do."""
