"""Filters (RFC 7644 section 3.4.2.2) as conditions of the database, where it has the column, and the rest row by row.

A condition is exact, or it lets more through than the filter does; then every row it lets through is looked at.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from msgspec import Struct
from scim2_models import SCIMException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import Column, ColumnElement, String, and_, cast, false, func, not_, or_, true

from controlplane.db import schema as t
from controlplane.domain.directory.models import GROUP, USER, Group, WholeUser
from controlplane.domain.directory.refusals import DirectoryInvalid, invalid
from controlplane.kit.ids import parse_id

LONGEST: Final = 2_000
"""Characters."""

MOST_TERMS: Final = 200
LAST_CHARACTER: Final = "\U0010ffff"

BY_VALUE: Final = "who is in which group is found by the id alone: members.value eq, groups.value eq"

TEXTUAL: Final = frozenset({CompareOperator.eq, CompareOperator.co, CompareOperator.sw, CompareOperator.ew})


class Condition(Struct, frozen=True):
    """What the database can say of a filter."""

    sql: ColumnElement[bool]
    exact: bool


Compile: TypeAlias = Callable[[Comparison], Condition | None]
"""One comparison; None: the database knows nothing of it."""

ANYTHING: Final = Condition(true(), exact=False)


def of_users(text: str) -> tuple[ScimFilter[Any], Condition]:
    """
    Raises:
        DirectoryInvalid: If it is no filter of users.
    """
    return _compiled(ScimFilter[WholeUser], text, _User())


def of_groups(text: str) -> tuple[ScimFilter[Any], Condition]:
    """
    Raises:
        DirectoryInvalid: If it is no filter of groups.
    """
    return _compiled(ScimFilter[Group], text, _Group())


def _compiled(bound: Any, text: str, visitor: "_Visitor") -> tuple[ScimFilter[Any], Condition]:
    if len(text) > LONGEST:
        raise DirectoryInvalid(f"a filter has at most {LONGEST} characters", "invalidFilter")
    try:
        found = bound(text)
        found._validate_semantics(strict=True)
    except SCIMException as error:
        raise invalid(error) from None
    return found, visitor.visit(found.ast)


class _Visitor(FilterVisitor[Condition]):
    """From the tree of a filter to a condition."""

    compilers: Mapping[str, Compile]
    """By attribute, in lower case."""
    own: str
    """The schema whose attributes need no prefix."""

    def visit_comparison(self, node: Comparison) -> Condition:
        found = self._compiler(node.attr_path)
        return (found(node) if found else None) or self.otherwise(node)

    def visit_present(self, node: Present) -> Condition:
        return ANYTHING

    def visit_not(self, node: Not) -> Condition:
        inner = self.visit(node.expr)
        return Condition(not_(func.coalesce(inner.sql, false())), exact=True) if inner.exact else ANYTHING

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        parts = [self.visit(term) for term in node.terms]
        combined = and_ if node.op is LogicalOperator.and_ else or_
        return Condition(combined(*(part.sql for part in parts)), exact=all(part.exact for part in parts))

    def visit_value_path(self, node: ValuePath) -> Condition:
        return ANYTHING

    def otherwise(self, node: Comparison) -> Condition:
        """What is said of an attribute without a column."""
        return ANYTHING

    def _compiler(self, path: AttrPath) -> Compile | None:
        if path.uri is not None and path.uri.casefold() != self.own.casefold():
            return None
        name = path.attr if path.sub_attr is None else f"{path.attr}.{path.sub_attr}"
        return self.compilers.get(name.casefold())


class _User(_Visitor):
    own = USER

    def __init__(self) -> None:
        its = t.users.c
        self.compilers = {
            "id": _identity("usr", its.id),
            "username": _text(its.login_norm),
            "externalid": _exactly(its.external_id),
            "displayname": _narrowed(its.name_norm),
            "active": _active,
            "groups": _in_group,
            "groups.value": _in_group,
            "meta.created": _instant(its.created_at),
            "meta.lastmodified": _instant(func.coalesce(its.changed_at, its.created_at)),
        }

    def otherwise(self, node: Comparison) -> Condition:
        """Whoever has the value has it somewhere in what the directory said, or has nothing from a directory."""
        if node.attr_path.attr.casefold() == "groups":
            raise DirectoryInvalid(BY_VALUE, "invalidFilter")
        if node.attr_path.attr.casefold() == "password":
            raise DirectoryInvalid("nobody is found by a password", "invalidFilter")
        return _said(node) or ANYTHING

    def visit_value_path(self, node: ValuePath) -> Condition:
        inner = node.val_filter
        if node.attr_path.attr.casefold() == "groups":
            return _one_value(inner, _in_group)
        return self._within(inner)

    def _within(self, node: FilterNode) -> Condition:
        if isinstance(node, LogicalExpr) and node.op is LogicalOperator.and_:
            parts = [self._within(term).sql for term in node.terms]
            return Condition(and_(*parts), exact=False)
        return (_said(node) if isinstance(node, Comparison) else None) or ANYTHING


class _Group(_Visitor):
    own = GROUP

    def __init__(self) -> None:
        its = t.groups.c
        self.compilers = {
            "id": _identity("grp", its.id),
            "displayname": _narrowed(func.lower(its.name)),
            "externalid": _exactly(its.external_id),
            "members": _member,
            "members.value": _member,
            "meta.created": _instant(its.created_at),
            "meta.lastmodified": _instant(func.coalesce(its.changed_at, its.created_at)),
        }

    def otherwise(self, node: Comparison) -> Condition:
        if node.attr_path.attr.casefold() == "members":
            raise DirectoryInvalid(BY_VALUE, "invalidFilter")
        return ANYTHING

    def visit_present(self, node: Present) -> Condition:
        if node.attr_path.attr.casefold() == "members":
            raise DirectoryInvalid(BY_VALUE, "invalidFilter")
        return ANYTHING

    def visit_value_path(self, node: ValuePath) -> Condition:
        return _one_value(node.val_filter, _member)


def _identity(kind: str, column: Column[Any]) -> Compile:
    def compiled(node: Comparison) -> Condition | None:
        if node.op is not CompareOperator.eq:
            return None
        identity = parse_id(kind, str(node.value))
        return Condition(column == identity if identity else false(), exact=True)

    return compiled


def _text(column: Column[Any]) -> Compile:
    """A column in normal form, which is never null."""

    def compiled(node: Comparison) -> Condition | None:
        if not isinstance(node.value, str):
            return None
        value = node.value.strip().casefold()
        conditions: dict[CompareOperator, ColumnElement[bool]] = {
            CompareOperator.eq: column == value,
            CompareOperator.ne: column != value,
            CompareOperator.sw: and_(column >= value, column < value + LAST_CHARACTER),
            CompareOperator.co: func.strpos(column, value) > 0,
        }
        found = conditions.get(node.op)
        return None if found is None else Condition(found, exact=True)

    return compiled


def _exactly(column: Column[Any]) -> Compile:
    """A column that may be null, compared with its case."""

    def compiled(node: Comparison) -> Condition | None:
        if node.op is not CompareOperator.eq or not isinstance(node.value, str):
            return None
        return Condition(column == node.value, exact=True)

    return compiled


def _narrowed(column: ColumnElement[Any]) -> Compile:
    """A column in the database's own lower case, which is close to what is compared, but not it."""

    def compiled(node: Comparison) -> Condition | None:
        if node.op is not CompareOperator.eq or not isinstance(node.value, str):
            return None
        return Condition(column == func.lower(node.value), exact=False)

    return compiled


def _active(node: Comparison) -> Condition | None:
    if node.op not in (CompareOperator.eq, CompareOperator.ne) or not isinstance(node.value, bool):
        return None
    wanted = node.value is (node.op is CompareOperator.eq)
    return Condition(t.users.c.status == ("active" if wanted else "disabled"), exact=True)


def _instant(column: ColumnElement[Any]) -> Compile:
    def compiled(node: Comparison) -> Condition | None:
        try:
            value = datetime.fromisoformat(str(node.value))
        except ValueError:
            return None
        if value.tzinfo is None:
            return None
        conditions: dict[CompareOperator, ColumnElement[bool]] = {
            CompareOperator.gt: column > value,
            CompareOperator.ge: column >= value,
            CompareOperator.lt: column < value,
            CompareOperator.le: column <= value,
        }
        found = conditions.get(node.op)
        return None if found is None else Condition(found, exact=True)

    return compiled


def _one_value(inner: FilterNode, compiled: Callable[[Comparison], Condition]) -> Condition:
    """``members[value eq "usr_…"]``."""
    if isinstance(inner, Comparison) and inner.attr_path.attr.casefold() == "value":
        return compiled(inner)
    raise DirectoryInvalid(BY_VALUE, "invalidFilter")


def _member(node: Comparison) -> Condition:
    """A group that this person is in."""
    its = t.group_members.c
    return _joined(node, "usr", its.user_id, and_(its.tenant_id == t.groups.c.tenant_id, its.group_id == t.groups.c.id))


def _in_group(node: Comparison) -> Condition:
    """A person who is in this group."""
    its = t.group_members.c
    return _joined(node, "grp", its.group_id, and_(its.tenant_id == t.users.c.tenant_id, its.user_id == t.users.c.id))


def _joined(node: Comparison, kind: str, column: Column[Any], same: ColumnElement[bool]) -> Condition:
    if node.op is not CompareOperator.eq:
        raise DirectoryInvalid(BY_VALUE, "invalidFilter")
    identity = parse_id(kind, str(node.value))
    theirs = t.group_members.select().where(same, column == identity)
    return Condition(theirs.exists() if identity else false(), exact=True)


def _said(node: Comparison) -> Condition | None:
    """Rows whose kept JSON holds the value somewhere, in any case, and rows without any."""
    value = node.value
    if node.op not in TEXTUAL or not isinstance(value, str) or not value.isascii() or not value:
        return None
    written = json.dumps(value)[1:-1].lower()
    its = t.users.c
    return Condition(
        or_(func.strpos(func.lower(cast(its.directory, String)), written) > 0, its.directory.is_(None)), exact=False
    )
