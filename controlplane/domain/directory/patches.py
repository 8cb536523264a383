"""PATCH (RFC 7644 section 3.5.2) as directories send it: operations of a user, and of a group as changes of a set.

A group is never loaded to be patched: its members may be a hundred thousand, and two changes at the same time have to
add up. What is said of members becomes additions and removals; the rest goes the way of every resource.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeVar

import scim2_models
from msgspec import Struct
from pydantic import ValidationError
from scim2_models import Context, PatchOp, SCIMException
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, Path, ValuePath

from controlplane.domain.directory.models import ENTERPRISE, GROUP, TOLERANT, Group, manager
from controlplane.domain.directory.refusals import DirectoryInvalid, invalid

MESSAGE: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS: Final = 10_000
NOT_THEIRS: Final = frozenset({"id", "meta", "schemas", "groups"})
"""What Okta sends along in a value without a path, and what changes nothing."""

MEMBERS: Final = frozenset({"members", f"{GROUP}:members".casefold()})
SINGLE: Final = frozenset({"active", "displayname", "username", "externalid"})
"""Whose value Entra may wrap in a list of one."""

Resource = TypeVar("Resource", bound=scim2_models.Resource[Any])


class Membership(Struct, frozen=True, kw_only=True):
    """What one operation does to a group's members."""

    act: Literal["add", "remove", "replace"]
    ids: tuple[str, ...] | None
    """None, of a removal: all of them."""


class GroupPatch(Struct, frozen=True, kw_only=True):
    memberships: tuple[Membership, ...]
    """In order."""
    rest: list[dict[str, Any]]
    """Operations on anything else."""

    @property
    def removes(self) -> bool:
        return any(each.act != "add" for each in self.memberships)


def apply(resource: Resource, operations: list[dict[str, Any]]) -> bool:
    """Do *operations* to *resource*, all or none; whether that changed anything.

    Raises:
        DirectoryInvalid: If one cannot be done.
    """
    message = {"schemas": [MESSAGE], "Operations": operations}
    patch_of: Any = PatchOp.__class_getitem__(type(resource))
    try:
        patch = patch_of.model_validate(message, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=TOLERANT)
        return bool(patch.patch(resource, scim_policy=TOLERANT))
    except (ValidationError, SCIMException) as error:
        raise invalid(error) from None


def of_user(body: object) -> list[dict[str, Any]]:
    """The operations of a request, in the form of the RFC.

    Raises:
        DirectoryInvalid: If it holds none.
    """
    return [operation for given in _operations(body) for operation in _plain(given)]


def of_group(body: object) -> GroupPatch:
    """The same of a group, with its members apart.

    Raises:
        DirectoryInvalid: If it holds none, or what it says of members cannot be.
    """
    memberships: list[Membership] = []
    rest: list[dict[str, Any]] = []
    for operation in of_user(body):
        if (membership := _membership(operation)) is not None:
            memberships.append(membership)
        else:
            rest.append(operation)
    return GroupPatch(memberships=tuple(memberships), rest=rest)


def members_of(group: Group) -> tuple[str, ...]:
    """The ids in a group that was sent whole."""
    return _ids([member.model_dump() for member in group.members or []])


def _operations(body: object) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        raise DirectoryInvalid("a JSON object is expected", "invalidSyntax")
    [given] = [value for key, value in body.items() if str(key).casefold() == "operations"] or [None]
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        raise DirectoryInvalid("Operations holds one or more operations", "invalidSyntax")
    if len(given) > MOST_OPERATIONS:
        raise DirectoryInvalid(f"at most {MOST_OPERATIONS} operations at once", "invalidSyntax")
    return given


def _plain(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One operation as one or more in the form of the RFC."""
    operation = {str(key).casefold(): value for key, value in given.items()}
    op, path, value = str(operation.get("op", "")).casefold(), operation.get("path"), operation.get("value")
    if path is not None and not isinstance(path, str):
        raise DirectoryInvalid("path is a string", "invalidPath")
    if path:
        yield {"op": op, "path": path, **({"value": _single(path, value)} if "value" in operation else {})}
    elif not isinstance(value, dict):
        raise DirectoryInvalid(
            "without a path the value is an object", "noTarget" if op == "remove" else "invalidValue"
        )
    else:
        yield from _spread(op, value)


def _spread(op: str, value: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    """A value without a path, attribute by attribute: keys may be paths, and members go their own way."""
    if op == "remove":
        raise DirectoryInvalid("a removal needs a path", "noTarget")
    for key, each in value.items():
        name = str(key)
        if name.casefold() in NOT_THEIRS:
            continue
        if name.casefold() == ENTERPRISE.casefold() and isinstance(each, dict):
            for inner, theirs in each.items():
                yield {"op": op, "path": f"{ENTERPRISE}:{inner}", "value": _single(f"{ENTERPRISE}:{inner}", theirs)}
        else:
            yield {"op": op, "path": name, "value": _single(name, each)}


def _single(path: str, value: Any) -> Any:
    """*value* without the list of one around it that Entra may put there."""
    if path.casefold() == f"{ENTERPRISE}:manager".casefold():
        return manager(value)
    if path.casefold() in SINGLE and isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0].get("value")
    return value


def _membership(operation: dict[str, Any]) -> Membership | None:
    """What *operation* does to members; None: nothing."""
    op, path, value = operation["op"], operation["path"], operation.get("value")
    name = path.partition("[")[0].strip()
    if name.casefold().partition(".")[0] not in MEMBERS and name.casefold() not in MEMBERS:
        return None
    if op not in ("add", "remove", "replace"):
        raise DirectoryInvalid(f"{op!r} is not a PATCH operation: add, remove or replace")
    if "[" in path:
        return _selected(op, path)
    if "." in name.rpartition(":")[2]:
        raise DirectoryInvalid("what is said of a member cannot be changed, only who is one", "mutability")
    if op == "remove":
        return Membership(act="remove", ids=_ids(value) if value else None)
    return Membership(act=op, ids=_ids(value if value is not None else []))


def _selected(op: str, path: str) -> Membership:
    """``members[value eq "usr_…"]``, and several of them with ``or``."""
    if op != "remove":
        raise DirectoryInvalid("what is said of a member cannot be changed, only who is one", "mutability")
    try:
        node = Path[Group](path).ast
    except SCIMException as error:
        raise invalid(error) from None
    if not isinstance(node, ValuePath) or node.sub_attr is not None:
        raise DirectoryInvalid("members are taken out whole", "mutability")
    return Membership(act="remove", ids=tuple(_named(node.val_filter)))


def _named(node: FilterNode) -> Iterator[str]:
    if isinstance(node, LogicalExpr) and node.op is LogicalOperator.or_:
        for term in node.terms:
            yield from _named(term)
    elif isinstance(node, Comparison) and node.op is CompareOperator.eq and node.attr_path.attr.casefold() == "value":
        yield str(node.value)
    else:
        raise DirectoryInvalid('members are chosen by value: members[value eq "usr_…"]', "invalidFilter")


def _ids(value: object) -> tuple[str, ...]:
    """Of a list of members, of one, or of their bare ids."""
    entries = value if isinstance(value, list) else [value]
    found = []
    for entry in entries:
        if isinstance(entry, dict):
            _check_kind(entry)
            entry = next((each for key, each in entry.items() if str(key).casefold() == "value"), None)
        if not isinstance(entry, str) or not entry:
            raise DirectoryInvalid("a member is an object with its id in value")
        found.append(entry)
    return tuple(dict.fromkeys(found))


def _check_kind(entry: dict[Any, Any]) -> None:
    if any(str(key).casefold() == "type" and each not in (None, "User") for key, each in entry.items()):
        raise DirectoryInvalid("a group is no member of a group here; assign its people")
