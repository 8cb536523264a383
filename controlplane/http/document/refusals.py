"""Which refusals an operation can be answered with: read from the code that runs for it.

A refusal counts where its class is named in a function that can be reached: by its name, as a member of a module of
ours, or as a method of a class of ours that is named, or that a parameter or a member of such a class is annotated with. That finds some too many, where one is caught, and
none too few: the tests compare every refusal that they meet with the document.
"""

import dis
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, get_args

from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from controlplane.domain import tenants
from controlplane.domain.idempotency import InProgress, KeyReused
from controlplane.domain.masks import ImpersonationForbids, ImpersonationReadOnly
from controlplane.domain.permissions import AuthenticationRequired, ReauthenticationRequired
from controlplane.http.allowance import Allowances
from controlplane.http.authorize import AccountProofRequired, PermissionDenied, Rule, SsoRequired, Surface
from controlplane.http.demanded_factors import MfaRequired
from controlplane.http.edge import HeadersTooLarge, TargetTooLong
from controlplane.http.manners import Manners
from controlplane.http.negotiation import MediaTypeUnsupported, NotAcceptable
from controlplane.http.preconditions import PreconditionFailed, PreconditionRequired
from controlplane.http.problems import BodyTooLarge, Bug, Invalid, Unavailable
from controlplane.http.sessions import SAFE_METHODS, CrossSite
from controlplane.kit.problems import NotFound, Refusal

OURS: Final = "controlplane."

WORN_AT: Final = frozenset({Surface.TENANT, Surface.OPERATOR, Surface.ME})
"""Where somebody may come who works as somebody else."""

Reached = set[type[Refusal]]


def of_operation(handler: BaseRouteHandler, its: Rule, manners: Manners, authenticate: Any) -> Reached:
    """Every refusal that a call of *handler* can end with."""
    found: Reached = {Invalid, TargetTooLong, HeadersTooLarge, Bug, Unavailable} | _by_rule(handler, its)
    if not its.open_because:
        found |= raised_by(authenticate)
    if manners.takes is not None:
        found |= {MediaTypeUnsupported}
    if manners.sends_json:
        found |= {NotAcceptable}
    if manners.takes_key:
        found |= {KeyReused, InProgress}
    if manners.shows_object or manners.state is not None:
        found |= {PreconditionFailed}
    if manners.needs_match:
        found |= {PreconditionRequired}
    return found | _by_code(handler)


@cache
def raised_by(function: Any) -> frozenset[type[Refusal]]:
    """The refusals named in *function*, and in whatever of ours it can call."""
    found: Reached = set()
    seen: set[CodeType] = set()
    waiting = [function]
    while waiting:
        code_of = _function(waiting.pop())
        if code_of is None or code_of.__code__ in seen:
            continue
        seen.add(code_of.__code__)
        for named in _named_in(code_of):
            if isinstance(named, type) and issubclass(named, Refusal):
                found |= {named} if hasattr(named, "code") else set()
            elif isinstance(named, type) and named.__module__.startswith(OURS):
                waiting += vars(named).values()
            elif not isinstance(named, type):
                waiting.append(named)
    return frozenset(found)


def _by_rule(handler: Any, its: Rule) -> Reached:
    changes = not handler.http_methods <= SAFE_METHODS
    found: Reached = {BodyTooLarge} if changes else set()
    if changes and its.surface is not Surface.RUNTIME:
        found |= {CrossSite}
    if its.open_because:
        return found
    found |= {AuthenticationRequired, NotFound}
    if its.surface is Surface.ME and not its.vouched:
        found |= {AccountProofRequired}
    found |= _by_mask(its, changes=changes)
    if its.fresh:
        found |= {ReauthenticationRequired}
    if its.permission is not None:
        found |= {PermissionDenied}
    if its.surface is Surface.TENANT:
        found |= {SsoRequired, MfaRequired} | raised_by(tenants.not_served) | raised_by(Allowances.spend)
    return found


def _by_mask(its: Rule, *, changes: bool) -> Reached:
    """Of somebody who works as somebody else."""
    if its.as_oneself or its.surface not in WORN_AT:
        return set()
    changes_work = changes and its.surface is Surface.TENANT
    return {ImpersonationForbids, ImpersonationReadOnly} if changes_work else {ImpersonationForbids}


def _by_code(handler: Any) -> Reached:
    """Of the handler, of what is handed to it, and of what runs before it."""
    found = raised_by(handler.fn) | raised_by(handler.resolve_before_request())
    provided = handler.resolve_dependencies()
    waiting, seen = list(handler.parsed_fn_signature.parameters), set()
    while waiting:
        name = waiting.pop()
        if name in provided and name not in seen:
            seen.add(name)
            found |= set() if name == "tx" else raised_by(provided[name].dependency)
            waiting += provided[name].parsed_fn_signature.parameters
    return set(found)


def _function(thing: Any) -> FunctionType | None:
    """The function of ours that *thing* is or wraps."""
    thing = thing.__func__ if isinstance(thing, MethodType) else thing
    thing = inspect.unwrap(thing) if callable(thing) else thing
    ours = isinstance(thing, FunctionType) and thing.__module__.startswith(OURS)
    return thing if ours else None


@cache
def _named_in(function: FunctionType) -> Sequence[Any]:
    return tuple(_names(function))


def _names(function: FunctionType) -> Iterator[Any]:
    """What the code of *function* names: globals, what it closes over, their members, and methods of its arguments."""
    closed = dict(
        zip(function.__code__.co_freevars, (each.cell_contents for each in function.__closure__ or ()), strict=True)
    )
    known = {**function.__globals__, **closed}
    classes = list(_annotated(function))
    for code in _codes(function.__code__):
        holder: Any = None
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME"):
                holder = known.get(str(step.argval))
                yield holder
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                holders = [holder] if isinstance(holder, ModuleType | type) else classes
                members = [getattr(each, str(step.argval), None) for each in holders]
                yield from members
                holder = members[0] if isinstance(holder, ModuleType | type) else None
            else:
                holder = None


def _annotated(function: Callable[..., Any]) -> Iterator[type]:
    """The classes of ours that the arguments of *function* are, whatever marks them as dependencies; its own class,
    and what such a class says its members are, are among them."""
    found = list(_ours(function))
    owner, _, _ = function.__qualname__.rpartition(".")
    own = function.__globals__.get(owner) if isinstance(function, FunctionType) else None
    for each in (*found, *([own] if isinstance(own, type) else [])):
        yield each
        if not issubclass(each, Struct):
            yield from _ours(each)


def _ours(annotated: Any) -> Iterator[type]:
    for annotation in inspect.get_annotations(annotated).values():
        for each in (annotation, *get_args(annotation)):
            if isinstance(each, type) and each.__module__.startswith(OURS):
                yield each


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
