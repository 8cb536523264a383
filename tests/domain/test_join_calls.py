"""However calls for tokens are lost, doubled and overtaken: one honest agent is never taken for two, and two always are."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain.join_calls import LATEST, MOST, Book, Call

START = datetime(2026, 11, 9, tzinfo=UTC)

LITTLE = LATEST / 3


class Copied(Exception):
    """The runtime is locked."""


class Site:
    """The control plane's side, and everything that was ever sent to it and is still on its way."""

    def __init__(self):
        self.now = START
        self.book = self.backup = Book(count=1, nonce="")
        self.under_way = []
        self.nonces = 0

    def send(self, disk):
        self.under_way.append((self.now, disk["state"], disk["nonce"]))

    def arrives(self, index):
        """What becomes of one of those that are under way; it stays so, and may arrive again."""
        sent_at, state, nonce = self.under_way[index % len(self.under_way)]
        if self.now >= sent_at + LATEST:
            return nonce, None, None
        kind = self.book.kind(state, nonce, self.now)
        if kind == "old":
            raise Copied
        if kind == "next":
            self.book = self.book.after(state, nonce, self.now)
        return nonce, kind, self.book.count

    def back_up(self):
        self.backup = self.book

    def restore(self):
        self.book = self.backup

    def wait(self):
        self.now += LITTLE


class Agent:
    """One disk. What is not on it is not known after a crash, which may be at any time."""

    def __init__(self, site):
        self.site = site
        self.disk = {"state": 1, "nonce": ""}

    def send(self):
        if not self.disk["nonce"]:
            self.fresh()
        self.site.send(self.disk)

    def fresh(self):
        self.site.nonces += 1
        self.disk["nonce"] = f"nonce-{self.site.nonces}"

    def hears(self, nonce, kind, count):
        """Of the call that it waits for, and of no other."""
        if nonce != self.disk["nonce"]:
            return
        if kind in ("next", "again"):
            self.disk |= {"state": count, "nonce": ""}
        if kind == "late":
            self.fresh()

    def calls(self):
        """And has the answer at once."""
        self.send()
        answer = self.site.arrives(-1)
        self.hears(*answer)
        return answer[1]


DEEDS = st.sampled_from(("call", "call", "send", "arrive", "heard", "wait", "back_up", "restore"))
PLAYS = st.lists(st.tuples(DEEDS, st.integers(0, 30), st.booleans()), max_size=60)


def play(site, agents, deeds):
    """Somebody of *agents* does each of *deeds*; yields what was heard by whoever waited for it."""
    for what, number, other in deeds:
        agent = agents[other and len(agents) > 1]
        if what == "call":
            yield agent.calls()
        elif what == "send":
            agent.send()
        elif what in ("arrive", "heard") and site.under_way:
            answer = site.arrives(number)
            if answer[0] == agent.disk["nonce"]:
                yield answer[1]
            if what == "heard":
                agent.hears(*answer)
        elif what in ("wait", "back_up", "restore"):
            getattr(site, what)()


@given(PLAYS)
def test_one_agent_is_never_locked_and_never_told_that_it_was_overtaken(deeds):
    site = Site()
    agent = Agent(site)

    heard = set(play(site, [agent], deeds))  # no Copied

    assert "late" not in heard
    agent.calls()
    assert agent.disk == {"state": site.book.count, "nonce": ""}


@given(PLAYS, PLAYS)
def test_of_two_agents_with_one_disk_both_are_locked_as_soon_as_both_go_on(before, since):
    site = Site()
    one, other = Agent(site), Agent(site)
    list(play(site, [one], before))
    other.disk = dict(one.disk)

    try:
        list(play(site, [one, other], since))
        for _ in range(5):  # so long that it counts no more what a database that went back has forgotten
            for agent in (one, other):
                agent.calls()
            site.wait()
    except Copied:
        return

    raise AssertionError("there are two, and both get tokens")


@given(PLAYS)
def test_of_two_agents_that_call_in_turn_the_second_is_noticed_at_its_next_call(before):
    site = Site()
    one, other = Agent(site), Agent(site)
    list(play(site, [one], before))
    one.calls()
    other.disk = dict(one.disk)
    one.calls()

    try:
        other.calls()
    except Copied:
        return

    raise AssertionError("an old join state was let in")


def test_what_is_remembered_of_a_runtime_is_bounded():
    book, now = Book(count=1, nonce=""), START
    for number in range(MOST + 5):
        book = book.after(book.count, str(number), now)

    assert len(book.calls) == MOST
    late = book.after(book.count, "a", now + LATEST)
    assert [call.nonce for call in late.calls] == [str(MOST + 4), "a"]


def test_a_call_is_remembered_until_a_quarter_of_an_hour_after_the_next():
    book = Book(count=1, nonce="").after(1, "first", START)
    book = book.after(2, "second", START + timedelta(hours=1))

    book = book.after(3, "third", START + timedelta(hours=1, minutes=14))

    assert book.kind(1, "first", START) == "late"
    assert book.calls[0] == Call(before=1, count=2, nonce="first", at=START.timestamp())
