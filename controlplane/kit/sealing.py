"""What one process needs in memory to seal and unseal: the master keys, and the data keys it used lately."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened

REMEMBERED: Final = timedelta(minutes=5)
"""How long a data key stays unwrapped: no longer after that can a key that was destroyed elsewhere be used here."""

MOST: Final = 10_000

_STEP = 64


class DataKey(Struct, frozen=True):
    """A key that data is sealed with; itself kept sealed ("wrapped") under a master key."""

    id: UUID
    material: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


class Sealing:
    """Wraps and unwraps data keys, and remembers them for a while. Shared by the transactions of a process."""

    def __init__(self, masters: Mapping[str, bytes], current: str) -> None:
        """
        Args:
            masters: Master keys by name, 32 bytes each; old ones still unwrap.
            current: The one that wraps.
        """
        self._masters = masters
        self.current = current
        self._known: OrderedDict[tuple[str, object], tuple[datetime, DataKey]] = OrderedDict()

    def wrap(self, key: DataKey, place: tuple[str, ...]) -> bytes:
        """*key* under the current master key, bound to its owner and class."""
        bound = ("kek1", self.current, *place)
        return envelope.seal(key.id, self._masters[self.current], bound, key.material, step=_STEP)

    def unwrap(self, master: str, place: tuple[str, ...], wrapped: bytes) -> DataKey:
        """
        Raises:
            NotOpened: If the keyring lacks *master*, or *wrapped* is not what was wrapped.
        """
        if master not in self._masters:
            raise NotOpened(f"the keyring has no master key {master!r}")
        material = envelope.unseal(self._masters[master], ("kek1", master, *place), wrapped)
        return DataKey(envelope.key_id_of(wrapped), material)

    def known(self, owner: str, name: object, now: datetime) -> DataKey | None:
        """The data key that *owner* has under *name*, if it was remembered in the last five minutes."""
        found = self._known.get((owner, name))
        if found is None or found[0] <= now:
            return None
        self._known.move_to_end((owner, name))
        return found[1]

    def remember(self, owner: str, name: object, key: DataKey, now: datetime) -> None:
        self._known[owner, name] = (now + REMEMBERED, key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def forget(self, owner: str) -> None:
        """Forget every data key of *owner*."""
        for name in [name for name in self._known if name[0] == owner]:
            del self._known[name]
