"""Ids in paths: what is not even an id is as absent as what does not exist."""

from uuid import UUID

from controlplane.kit.ids import parse_id
from controlplane.kit.problems import NotFound


def identity(kind: str, text: str) -> UUID:
    """The id in *text*, ``rt_…`` for the kind ``rt``.

    Raises:
        NotFound: If it is not a well-formed id of that kind.
    """
    found = parse_id(kind, text)
    if found is None:
        raise NotFound
    return found
