"""What a directory asks of a list: in the query of a GET, or in the body of a POST to .search."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct
from scim2_models import ScimFilter

from controlplane.domain.directory.filters import Condition
from controlplane.domain.directory.lists import DEFAULT, MOST, Wanted
from controlplane.domain.directory.models import GROUP, USER
from controlplane.domain.directory.refusals import DirectoryInvalid
from controlplane.http.scim.attributes import Chosen, chosen

Filters: TypeAlias = Callable[[str], tuple[ScimFilter[Any], Condition]]

ORDERS: Final = {"ascending": False, "descending": True}


class Asked(Struct, frozen=True, kw_only=True):
    wanted: Wanted
    chosen: Chosen


def asked(given: Mapping[str, Any], filters: Filters) -> Asked:
    """
    Raises:
        DirectoryInvalid: If it cannot be asked like that.
    """
    there = {key.casefold(): value for key, value in given.items() if value not in (None, "")}
    order = str(there.get("sortorder", "ascending")).casefold()
    if order not in ORDERS:
        raise DirectoryInvalid("sortOrder is ascending or descending")
    found, condition = filters(str(there["filter"])) if "filter" in there else (None, None)
    wanted = Wanted(
        filter=found,
        condition=condition,
        sort=_sort(there.get("sortby")),
        descending=ORDERS[order],
        start=max(1, _number("startIndex", there.get("startindex", 1))),
        count=min(MOST, max(0, _number("count", there.get("count", DEFAULT)))),
    )
    return Asked(wanted=wanted, chosen=chosen(there.get("attributes"), there.get("excludedattributes")))


def _sort(given: object) -> str | None:
    if given is None:
        return None
    text = str(given).casefold()
    for urn in (USER, GROUP):
        text = text.removeprefix(f"{urn}:".casefold())
    return text


def _number(name: str, given: object) -> int:
    try:
        number = int(str(given))
    except ValueError:
        raise DirectoryInvalid(f"{name} is a whole number") from None
    if abs(number) > 2**31:
        raise DirectoryInvalid(f"{name} is too large")
    return number
