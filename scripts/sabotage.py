"""What a sabotage is."""

from msgspec import Struct


class Change(Struct, frozen=True, kw_only=True):
    """Another line in the place of one that stands there once."""

    file: str
    was: str
    becomes: str


class Sabotage(Change, frozen=True, kw_only=True):
    """One thing that somebody could get wrong."""

    name: str
    noticed_by: tuple[str, ...]
    """Test files, or tests of them."""
    besides: tuple[Change, ...] = ()
    """What goes wrong with it, where that is in several places."""
