"""Letters that wait: in the transaction of what they are about, sealed, and tried until they go."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from controlplane.chores.send_mails import send_mails
from controlplane.domain import audit, mails, people
from controlplane.domain.letters import Letter, Letterhead
from controlplane.kit.mailing import NotSent, Undeliverable
from controlplane.kit.problems import NotFound
from tests.conftest import KEYRING
from tests.fakes import LetterBox
from tests.make import SHELL

LETTERHEAD = Letterhead(public_url="http://test", pepper=KEYRING.pepper)
LETTER = Letter(
    to="ann@example.com", subject="Hello", paragraphs=["One & two."], link="http://test/x#s3cret", label="Go"
)


@pytest.fixture
def written(db, make):
    """Writes a letter of a tenant, or of the platform."""

    async def write(tenant=None, letter=LETTER):
        async with db.tenant(tenant.tenant_id) if tenant else db.platform() as tx:
            audit.record(tx, SHELL, "test.done", ("test", ""))
            await mails.write(tx, "test", letter)

    return write


@pytest.fixture
async def rows(admin_url):
    connection = await asyncpg.connect(admin_url)

    async def rows():
        return [
            *await connection.fetch("SELECT * FROM mails"),
            *await connection.fetch("SELECT *, NULL AS tenant_id FROM platform_mails"),
        ]

    yield rows
    await connection.close()


async def test_letters_of_tenants_and_of_the_platform_are_sent_once(db, make, written):
    first, second, box = await make.tenant(), await make.tenant(), LetterBox()
    for owner in (first, first, second, None):
        await written(owner)

    sent = [await send_mails(db, box, LETTERHEAD) for _ in range(2)]

    assert sent == [4, 0]
    assert len({message.id for message in box.messages}) == 4
    assert {message.to for message in box.messages} == {"ann@example.com"}


async def test_what_is_rolled_back_is_not_sent(db, make):
    tenant, box = await make.tenant(), LetterBox()

    async def fail():
        async with db.tenant(tenant.tenant_id) as tx:
            await mails.write(tx, "test", LETTER)
            await people.user(tx, UUID(int=1))

    with pytest.raises(NotFound):
        await fail()

    assert await send_mails(db, box, LETTERHEAD) == 0


async def test_what_a_letter_says_is_sealed_and_gone_once_it_is_sent(db, make, written, rows):
    await written(await make.tenant())
    await written()
    before = await rows()

    await send_mails(db, LetterBox(), LETTERHEAD)

    assert len(before) == 2
    for row in before:
        for secret in (b"s3cret", b"ann@example.com", b"Hello"):
            assert secret not in row["sealed"]
    assert [row["sealed"] for row in await rows()] == [None, None]


async def test_two_who_send_at_the_same_time_share_the_work(db, make, written):
    tenant, box = await make.tenant(), LetterBox()
    for _ in range(30):
        await written(tenant)

    sent = await asyncio.gather(*(send_mails(db, box, LETTERHEAD) for _ in range(3)))

    assert sum(sent) == 30
    assert len({message.id for message in box.messages}) == 30


async def test_a_letter_that_is_not_taken_is_tried_again_later_and_later(db, make, written, clock, rows):
    await written(await make.tenant())
    box = LetterBox(lambda _: NotSent("the mail server said 451"))
    waits = []

    for _ in range(4):
        await send_mails(db, box, LETTERHEAD)
        [row] = await rows()
        waits.append((row["due_at"] - clock.now).total_seconds())
        assert await send_mails(db, LetterBox(), LETTERHEAD) == 0  # not before its time
        clock.now = row["due_at"]

    assert row["error"] == "the mail server said 451"
    for wait, ceiling in zip(waits, (30, 60, 120, 240), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert await send_mails(db, LetterBox(), LETTERHEAD) == 1


async def test_after_many_tries_it_is_given_up(db, make, written, clock, rows):
    await written(await make.tenant())
    box = LetterBox(lambda _: NotSent("away"))

    for _ in range(mails.MOST_ATTEMPTS + 3):
        await send_mails(db, box, LETTERHEAD)
        clock.forward(timedelta(hours=2))

    [row] = await rows()
    assert (row["attempts"], row["sealed"], row["sent_at"]) == (mails.MOST_ATTEMPTS, None, None)
    assert row["failed_at"] is not None


async def test_a_letter_that_nobody_will_take_is_given_up_at_once(db, make, written, rows):
    await written(await make.tenant())

    await send_mails(db, LetterBox(lambda _: Undeliverable("the mail server said 550")), LETTERHEAD)

    [row] = await rows()
    assert (row["attempts"], row["error"]) == (1, "the mail server said 550")
    assert row["failed_at"] is not None


async def test_one_that_is_refused_does_not_hold_up_the_others(db, make, written):
    tenant = await make.tenant()
    for to in ("bad@example.com", "good@example.com"):
        await written(tenant, Letter(to=to))
    box = LetterBox(lambda message: NotSent("no") if message.to.startswith("bad") else None)

    assert await send_mails(db, box, LETTERHEAD) == 1


async def test_a_letter_of_a_process_that_died_is_sent_by_another(db, make, written, clock):
    tenant, box = await make.tenant(), LetterBox()
    await written(tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        [claimed] = await mails.claim(tx)
    assert await send_mails(db, box, LETTERHEAD) == 0

    clock.forward(mails.CLAIMED_FOR)

    assert await send_mails(db, box, LETTERHEAD) == 1
    assert box.messages[0].id == mails.public_id(claimed)


async def test_what_was_sent_is_forgotten_after_a_month(db, make, written, clock, rows):
    tenant = await make.tenant()
    await written(tenant)
    await send_mails(db, LetterBox(), LETTERHEAD)
    clock.forward(mails.KEPT_FOR)

    await written(tenant)
    await send_mails(db, LetterBox(), LETTERHEAD)

    assert len(await rows()) == 1


def test_a_letter_has_two_faces_and_no_markup_of_others():
    letter = Letter(to="x", paragraphs=["Acme <script>"], link="http://test/x#a&b", label="Go", after=["Bye."])

    assert letter.text() == "Acme <script>\n\nGo:\nhttp://test/x#a&b\n\nBye.\n"
    assert "<script>" not in letter.html()
    assert 'href="http://test/x#a&amp;b"' in letter.html()
    assert repr(letter) == "Letter(…)"


@pytest.mark.parametrize(
    ("attempts", "roll", "seconds"), [(1, 0.0, 15), (1, 0.99999, 30), (7, 0.0, 960), (20, 0.5, 2700)]
)
def test_waits_double_up_to_an_hour(attempts, roll, seconds):
    assert mails.wait_s(attempts, roll) == pytest.approx(seconds, rel=1e-3)
