from datetime import UTC, datetime

import pytest

from controlplane.kit import syslog
from controlplane.kit.syslog import Message
from tests.receiver import receiving

MESSAGE = Message(
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), severity=4, kind="access.denied", text='{"a":"ä"}'.encode()
)


def test_a_message_is_as_rfc_5424_says_and_framed_by_its_length():
    frame = syslog.encoded(MESSAGE, "host one", "engine-cloud")

    length, _, rest = frame.partition(b" ")
    assert int(length) == len(rest)
    assert rest == (
        b"<108>1 2026-01-02T03:04:05.678901Z host_one engine-cloud - access.denied - \xef\xbb\xbf" + MESSAGE.text
    )


async def test_everything_that_is_sent_arrives():
    frames = [syslog.encoded(MESSAGE, "h", "p") for _ in range(500)]

    async with receiving() as receiver:
        await syslog.send(receiver.address, frames)

    assert receiver.received == b"".join(frames)


async def test_a_receiver_that_is_away_is_an_error():
    async with receiving() as receiver:
        address = receiver.address

    with pytest.raises(OSError, match=r"refused|failed"):
        await syslog.send(address, [b"1 x"])


async def test_a_receiver_that_hangs_up_in_the_middle_is_an_error():
    frames = [syslog.encoded(MESSAGE, "h", "p") for _ in range(50_000)]

    async with receiving(hangs_up_after=100) as receiver:
        with pytest.raises(ConnectionError):
            await syslog.send(receiver.address, frames)
