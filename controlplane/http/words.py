"""What a query parameter asks for in words: some characters, and none that the database cannot hold."""

from typing import Final

from controlplane.http.problems import Invalid

LONGEST: Final = 300
"""Characters of a name or an id that can be asked for."""


def word(name: str, given: str | None) -> str | None:
    """What the query parameter *name* asks for.

    Raises:
        Invalid: If it is empty, longer than :data:`LONGEST` or has a NUL in it.
    """
    if given is not None and not (0 < len(given) <= LONGEST and "\0" not in given):
        detail = f"expected 1 to {LONGEST} characters, none of them NUL"
        raise Invalid([{"in": "query", "name": name, "detail": detail}])
    return given
