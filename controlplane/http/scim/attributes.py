"""Which attributes an answer has (RFC 7644 section 3.9): ``attributes`` or ``excludedAttributes``, by path, in any case."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from controlplane.domain.directory.models import ENTERPRISE, GROUP, USER
from controlplane.domain.directory.refusals import DirectoryInvalid

Path: TypeAlias = tuple[str, ...]

ALWAYS: Final = (("schemas",), ("id",))
CORE: Final = tuple(f"{urn}:".casefold() for urn in (USER, GROUP))
EXTENSION: Final = ENTERPRISE.casefold()


class Chosen(Struct, frozen=True, kw_only=True):
    only: tuple[Path, ...] = ()
    """Empty: all."""
    without: tuple[Path, ...] = ()

    def wants(self, name: str) -> bool:
        """Whether anything of the attribute is to be there, so that it need not be looked up for nothing."""
        name = name.casefold()
        return (name,) not in self.without and (not self.only or any(path[0] == name for path in self.only))

    def of(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """What is chosen of *resource*."""
        if self.only:
            return _picked(resource, [*ALWAYS, *self.only])
        return _dropped(resource, [path for path in self.without if path not in ALWAYS])


def chosen(only: object, without: object) -> Chosen:
    """
    Args:
        only, without: Comma-separated, or lists; None: not given.

    Raises:
        DirectoryInvalid: If both are given.
    """
    if only and without:
        raise DirectoryInvalid("attributes and excludedAttributes exclude each other")
    return Chosen(only=_paths(only), without=_paths(without))


def _paths(given: object) -> tuple[Path, ...]:
    texts = given if isinstance(given, list) else str(given or "").split(",")
    return tuple(_path(str(text).strip()) for text in texts if str(text).strip())


def _path(text: str) -> Path:
    text = text.casefold()
    for prefix in CORE:
        text = text.removeprefix(prefix)
    if text.startswith(EXTENSION):
        rest = text.removeprefix(EXTENSION).removeprefix(":")
        return (EXTENSION, *rest.split(".")) if rest else (EXTENSION,)
    return tuple(text.split("."))


def _picked(resource: Mapping[str, Any], paths: list[Path]) -> dict[str, Any]:
    found = {}
    for name, value in resource.items():
        inner = [path[1:] for path in paths if path[0] == name.casefold()]
        if inner:
            found[name] = value if () in inner else _inside(value, inner, _picked)
    return found


def _dropped(resource: Mapping[str, Any], paths: list[Path]) -> dict[str, Any]:
    found = {}
    for name, value in resource.items():
        inner = [path[1:] for path in paths if path[0] == name.casefold()]
        if () not in inner:
            found[name] = _inside(value, inner, _dropped) if inner else value
    return found


def _inside(value: Any, paths: list[Path], act: Any) -> Any:
    if isinstance(value, list):
        return [_inside(each, paths, act) for each in value]
    return act(value, paths) if isinstance(value, dict) else value
