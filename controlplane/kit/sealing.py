"""What one process needs in memory to seal and unseal: who keeps the master keys, and the data keys it used lately."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened
from controlplane.kit.problems import Refusal

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


class Place(NamedTuple):
    """Whose data key it is and what for: what its wrapping is bound to."""

    owner: str
    """A tenant's UUID, or ``platform``."""
    key_id: str
    kind: str
    subject: str


class KeeperDown(Refusal):
    """Whoever keeps the master keys does not answer, or does not let us in. What is unwrapped already still works."""

    code, status, title = "key-service-unavailable", 503, "The key service does not answer"
    hint = "Try again in a moment. Operators: look at `controlplane vault status`, and at the key service itself."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}


class Keeper(Protocol):
    """Keeps master keys and lets them be used: a keyring in memory, or a service that never hands them out."""

    @property
    def kind(self) -> str:
        """As the setting names it."""
        ...

    async def current(self) -> str:
        """The name of the master key that wraps now.

        Raises:
            KeeperDown: If that cannot be found out.
        """
        ...

    def keeps(self, master: str) -> bool:
        """Whether a master key of this name is, or may be, here."""
        ...

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        """*material* under *master*, bound to *place*.

        Raises:
            KeeperDown: If the service cannot be asked, or does not let us.
        """
        ...

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        """
        Raises:
            NotOpened: If there is no such master key, or *wrapped* was not wrapped with it for *place*.
            KeeperDown: If the service cannot be asked, or does not let us.
        """
        ...

    async def close(self) -> None: ...


class Ring:
    """Master keys in memory, as a keyring has them."""

    kind = "keyring"

    def __init__(
        self, masters: Mapping[str, bytes], current: str, reread: Callable[[], tuple[Mapping[str, bytes], str]] | None
    ) -> None:
        """
        Args:
            masters: By name, 32 bytes each; old ones still unwrap.
            current: The one that wraps.
            reread: Both again, from where they came: somebody may have added one since. None: nobody does.
        """
        self._masters, self._current, self._reread = masters, current, reread

    async def current(self) -> str:
        self._refresh()
        return self._current

    def keeps(self, master: str) -> bool:
        if master not in self._masters:
            self._refresh()
        return master in self._masters

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        key_id = UUID(place.key_id)
        return envelope.seal(key_id, self._of(master), ("kek1", master, *place), material, step=_STEP)

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        return envelope.unseal(self._of(master), ("kek1", master, *place), wrapped)

    async def close(self) -> None:
        """There is nothing to close."""

    def _of(self, master: str) -> bytes:
        if not self.keeps(master):
            raise NotOpened(f"the keyring has no master key {master!r}")
        return self._masters[master]

    def _refresh(self) -> None:
        if self._reread is not None:
            self._masters, self._current = self._reread()


class Sealing:
    """Wraps and unwraps data keys, and remembers them for a while. Shared by the transactions of a process."""

    def __init__(
        self,
        ring: Ring,
        mark: bytes,
        service: Keeper | None = None,
        *,
        others: Callable[[str], Keeper] | None = None,
        grace: timedelta = REMEMBERED,
    ) -> None:
        """
        Args:
            ring: The keyring's master keys.
            mark: 32 bytes that tell this keyring from any other, and nothing else of it.
            service: Who keeps the master key instead, if it is not the keyring; what the keyring has still unwraps.
            others: The service that keeps a master key of this name, where it is of another kind: for as long as
                something is wrapped under it. None: there are no others.
            grace: How long a data key that was unwrapped is used while its keeper does not answer.
        """
        self.ring, self.mark, self.service = ring, mark, service
        self._grace = max(grace, REMEMBERED)
        self._open_other, self._others = others, dict[str, Keeper]()
        self._known: OrderedDict[tuple[str, object], tuple[datetime, DataKey, str]] = OrderedDict()

    async def current(self) -> str:
        """The master key that is to wrap, by the configuration of this process."""
        return await (self.service or self.ring).current()

    def keeps(self, master: str) -> bool:
        return self._keeper(master).keeps(master)

    async def wrap(self, master: str, place: Place, material: bytes) -> bytes:
        """As :meth:`Keeper.wrap`, by whoever keeps *master*."""
        return await self._keeper(master).wrap(master, place, material)

    async def unwrap(self, master: str, place: Place, wrapped: bytes) -> bytes:
        """As :meth:`Keeper.unwrap`, by whoever keeps *master*."""
        return await self._keeper(master).unwrap(master, place, wrapped)

    def known(self, owner: str, name: object, now: datetime, *, grace: bool = False) -> DataKey | None:
        """The data key that *owner* has under *name*, if it was remembered in the last five minutes.

        Args:
            grace: Or longer ago, because nobody can be asked.
        """
        found = self._known.get((owner, name))
        if found is None or found[0] + (self._grace if grace else REMEMBERED) <= now:
            return None
        self._known.move_to_end((owner, name))
        return found[1]

    def remember(self, owner: str, name: object, key: DataKey, now: datetime, kind: str = "") -> None:
        self._known[owner, name] = (now, key, kind)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def drop_old(self, now: datetime) -> None:
        """Forget what may not be used any more, grace or not."""
        for name in [name for name, (since, _, _) in self._known.items() if since + self._grace <= now]:
            del self._known[name]

    def remembered(self) -> list[tuple[str, UUID, str]]:
        """Owner, id and kind of each data key that is in memory."""
        return [(owner, key.id, kind) for (owner, _), (_, key, kind) in self._known.items()]

    def forget(self, owner: str, key_id: UUID | None = None) -> None:
        """Forget one data key of *owner*, or every one."""
        wanted = [name for name, (_, key, _) in self._known.items() if name[0] == owner and key_id in (None, key.id)]
        for name in wanted:
            del self._known[name]

    async def close(self) -> None:
        for keeper in (self.service, *self._others.values()):
            if keeper is not None:
                await keeper.close()

    def _keeper(self, master: str) -> Keeper:
        """Services put their kind and a colon before their names; the keyring's have none."""
        kind, colon, _ = master.partition(":")
        if not colon:
            return self.ring
        if self.service is not None and self.service.kind == kind:
            return self.service
        if kind not in self._others:
            if self._open_other is None:
                raise NotOpened(f"no key service for the master key {master!r} is configured")
            self._others[kind] = self._open_other(master)
        return self._others[kind]
