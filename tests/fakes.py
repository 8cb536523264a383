"""Stand-ins with the same face as the real thing, and a memory."""

import re
from collections.abc import Callable

from controlplane.kit.mailing import Message

LINK = re.compile(r"^(https?://\S+)#(\S+)$", re.MULTILINE)


class LetterBox:
    """A post that keeps what it is handed, or refuses it."""

    def __init__(self, refuse: Callable[[Message], Exception | None] = lambda _: None) -> None:
        self.messages: list[Message] = []
        self._refuse = refuse

    async def send(self, message: Message) -> None:
        if error := self._refuse(message):
            raise error
        self.messages.append(message)

    def secret(self, to: str) -> str:
        """What stands after # in the newest letter to *to*."""
        texts = [message.text for message in self.messages if message.to == to]
        found = LINK.search(texts[-1])
        assert found, texts[-1]
        return found[2]
