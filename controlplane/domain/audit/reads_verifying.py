"""Whether the reads of credentials are the ones that the chain has roots over. Needs no database."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from controlplane.domain.audit.reads import Root, root_of
from controlplane.domain.audit.verifying import Verifier
from controlplane.kit.canonical import uncheckedly

BESIDE: Final = "sealed_by"
"""The one member of a line that is not under the root: it says which."""

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError)


def compare(verifier: Verifier, seq: int, facts: Mapping[str, Any], found: Root) -> None:
    """Say it where what is *found* under event *seq* is not what the event has the root over."""
    if msgspec.to_builtins(found) != {name: facts.get(name) for name in Root.__struct_fields__}:
        said = f"{facts.get('count')} reads were sealed by event {seq}, and these {found.count} are not those"
        verifier.damaged(seq, "reads", said)


class Exported:
    """Reads as they were exported: lines, those of one event together."""

    def __init__(self, verifier: Verifier, sealed: Mapping[int, Mapping[str, Any]]) -> None:
        """
        Args:
            sealed: The facts of every event that seals reads, by its number.
        """
        self._verifier = verifier
        self._left = dict(sealed)

    def take(self, lines: Iterable[bytes]) -> int:
        """Compare all of them, and return how many there were."""
        leaves: list[tuple[int, bytes]] = []
        current, count = 0, 0
        for raw in lines:
            count += 1
            try:
                content = msgspec.json.decode(raw, type=dict[str, Any])
                seq, by = int(content["seq"]), int(content.pop(BESIDE))
            except _UNREADABLE:
                self._verifier.damaged(current, "reads", f"line {count} of the reads is none")
                continue
            if by != current:
                self._close(current, leaves)
                current, leaves = by, []
            leaves.append((seq, uncheckedly(content)))
        self._close(current, leaves)
        for seq, facts in self._left.items():
            compare(self._verifier, seq, facts, root_of(()))
        return count

    def _close(self, seq: int, leaves: list[tuple[int, bytes]]) -> None:
        if not leaves:
            return
        facts = self._left.pop(seq, None)
        if facts is None:
            self._verifier.damaged(seq, "reads", f"reads are said to be sealed by event {seq}, which seals none")
        else:
            compare(self._verifier, seq, facts, root_of(leaves))
