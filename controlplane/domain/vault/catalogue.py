"""The catalogue of providers: one file each in ``providers/``, all of them read and checked before anything is served."""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from controlplane.domain.vault.checking import mistakes
from controlplane.domain.vault.provider import Provider
from controlplane.kit.problems import NotFound

FOLDER: Final = Path(__file__).parent / "providers"


class CatalogueBroken(Exception):
    """A file of the catalogue is not as it has to be. Says which, and which of its fields."""


class Catalogue:
    """The providers, by id."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {each.id: each for each in sorted(providers, key=lambda each: each.id)}

    def listing(self) -> list[Provider]:
        return list(self._providers.values())

    def find(self, id_: str) -> Provider | None:
        return self._providers.get(id_)

    def get(self, id_: str) -> Provider:
        """
        Raises:
            NotFound: If there is no such provider.
        """
        if (found := self.find(id_)) is None:
            raise NotFound
        return found


@functools.cache
def read(folder: Path = FOLDER) -> Catalogue:
    """What stands in *folder*, which is part of the release: once read, it stays so.

    Raises:
        CatalogueBroken: With file, field and what is wrong.
    """
    return Catalogue([_read(file) for file in sorted(folder.glob("*.toml"))])


def _read(file: Path) -> Provider:
    try:
        said = msgspec.toml.decode(file.read_bytes(), type=dict)
        provider = msgspec.convert({"id": file.stem, **said}, Provider)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogueBroken(f"{file.name}: {error}") from error
    for mistake in mistakes(provider):
        raise CatalogueBroken(f"{file.name}: {mistake}")
    return provider
