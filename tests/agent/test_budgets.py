"""Budgets in the agent: counted from a real home, kept to without anybody, and neither doubled nor lost with a disk."""

import shutil
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from runtime_agent.budgets.keeping import Budgets
from runtime_agent.budgets.leasing import BudgetForged, checked
from runtime_agent.clock import to_ms
from runtime_agent.http import Unreachable
from runtime_agent.identity import encoded
from runtime_agent.outbox import open_outbox
from runtime_agent.scan import Scanner
from runtime_agent.sources.engine.acting import EngineServer
from runtime_agent.touched import Touched
from runtime_agent.troubles import Troubles
from runtime_agent.wire.budgets import Leased, Slice, Slices
from tests.agent.homes import NAME, NOW, SessionFolder, engine, naive, state
from tests.agent.reference import RUNTIME
from tests.agent.rig import Clock, joined
from tests.agent.test_engine_acting import Deaf, Engine

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
BUDGET = "bud_" + "0" * 26
DAY = timedelta(days=1)
TODAY = datetime(2026, 11, 20, tzinfo=UTC)
RUNNING = {"sessions": [{"session_id": "0c0ffee00000", "current_exec_id": NAME}]}


def signed(slices, number=1, revision=1, store=1, **changed):
    its = Slices(
        tenant="acme",
        runtime="rt_reference",
        store_id=UUID(int=store),
        number=number,
        revision=revision,
        slices=slices,
    )
    its = replace(its, **changed)
    return Leased(slices=its, key="k1", signature=encoded(KEY.sign(its.signed())))


class Desk:
    """The control plane, as far as budgets go: it never leases less, and remembers the most that was used."""

    def __init__(self, identity):
        self.tokens, self.identity = self, identity
        self.amounts = {TODAY: 100, TODAY + DAY: 60}
        self.terms = {"unit": "tokens", "action": "pause", "limit": 1000, "warn_at": [50, 80]}
        self.used, self.others, self.number, self.away, self.asks = {}, 0, 0, False, []

    async def lease_budgets(self, ask):
        if self.away:
            raise Unreachable("nobody there")
        self.asks.append(ask)
        for each in ask.uses:
            self.used[each.starts_ms] = max(self.used.get(each.starts_ms, 0), each.used)
        self.number += 1
        return signed([self._slice(*each) for each in self.amounts.items()], self.number)

    def _slice(self, starts_at, amount):
        span = {"starts_ms": to_ms(starts_at), "ends_ms": to_ms(starts_at + DAY)}
        used = self.used.get(to_ms(starts_at), 0)
        return Slice(budget=BUDGET, name="a day", amount=amount, used=used, others=self.others, **span, **self.terms)


class Machine:
    """A home, the agent's disk, and as much of the agent as counts and pauses; ``boot`` is a start of the program."""

    def __init__(self, folder):
        self.folder, self.home, self.clock, self.now = folder, folder / "engine", Clock(), 0.0
        self.clock.now, self.folders = NOW, {}
        self.desk = Desk(replace(joined(folder), lease_keys={"k1": encoded(KEY.public_key().public_bytes_raw())}))
        self.engine = Engine(RUNNING)
        self.allowed = {"pause", "resume"}
        self.outbox = None
        self.boot()

    def boot(self):
        if self.outbox:
            self.outbox.close()
        self.outbox = open_outbox(self.folder / "outbox.db", RUNTIME)
        self.source = engine(self.home)
        self.scanner = Scanner(self.outbox, self.source, self.clock, Touched())
        self.troubles = Troubles()
        self.budgets = Budgets(self.outbox, self.desk, None, self.troubles, self.clock, lambda: self.now)
        its = self.budgets.enforcer
        its.source, its.allowed = self.source, frozenset(self.allowed)
        its.acting = EngineServer("http://engine", self.engine)

    async def works(self, after_s=61.0):
        """Look at everything, and take a step some time later."""
        self.now += after_s
        self.scanner.everything()
        self.budgets.looked_at(all_of_it=True)
        return await self.budgets.step()

    async def leases(self):
        self.budgets.hear(UUID(int=1), 1)
        await self.works()

    def said(self):
        rows = [msgspec.json.decode(line) for (line,) in self.outbox.rows("SELECT line FROM log ORDER BY seq")]
        return [row["state"] for row in rows if row["kind"] == "budget"]

    def used(self):
        [found] = self.budgets._standings()
        return found.used

    @property
    def told(self):
        """What EngineX was asked for, by its last word."""
        return [path.rpartition("/")[2] for _, path, _ in self.engine.told]


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "engine/agents").mkdir(parents=True)
    made = Machine(tmp_path)
    yield made
    made.outbox.close()


def work(machine, *tokens, name=NAME, at=NOW, status="active", prices=()):
    """A session of these node visits, last written at *at*."""
    folder = machine.folders.get(name) or SessionFolder(machine.home, name=name)
    machine.folders[name] = folder
    began = {"started_at": naive(NOW - timedelta(hours=1)), "updated_at": naive(at)}
    folder.state(state(status, timestamps=began, session_id=name))
    visits = [{"node_id": f"n{place}", "input_tokens": each, "output_tokens": 0} for place, each in enumerate(tokens)]
    folder.lines("details.jsonl", visits)
    if prices:
        lines = [{"entry_id": f"{place:x}", "cost_usd": each, "model": "m"} for place, each in enumerate(prices)]
        folder.lines("cost_attribution.jsonl", lines)
    return folder


async def test_a_slice_is_kept_to_with_nobody_to_ask_and_let_go_when_there_is_more(machine):
    await machine.leases()
    machine.desk.away = True
    work(machine, 60)
    await machine.works()
    assert (machine.used(), machine.said(), machine.told) == (60, [], [])

    machine.boot()
    folder = work(machine, 60, 45)
    await machine.works()
    assert (machine.used(), machine.said(), machine.told) == (105, ["exhausted"], ["pause"])
    assert [each.code for each in machine.troubles.all()] == ["budget-exhausted"]
    await machine.works(1)
    assert machine.told == ["pause"], "a node that is under way ends first"

    machine.boot()
    folder.state(state("paused", result={"success": False, "error": "Execution paused by user", "output": {}}))
    await machine.works()
    assert (machine.said(), machine.told) == (["exhausted"], ["pause"])
    machine.desk.away, machine.desk.amounts[TODAY] = False, 300
    await machine.works(3600)
    assert (machine.said(), machine.told) == (["exhausted", "released"], ["pause", "resume"])
    await machine.works()
    assert machine.told == ["pause", "resume"]


async def test_a_new_period_has_a_slice_of_its_own_and_what_was_leased_for_none_is_nothing(machine):
    await machine.leases()
    machine.desk.away = True
    work(machine, 120)
    await machine.works()
    assert machine.said() == ["exhausted"]

    machine.clock.now = TODAY + DAY + timedelta(minutes=30)
    await machine.works()
    assert (machine.used(), machine.said()) == (0, ["exhausted", "released"])
    work(machine, 120, 61, at=machine.clock.now)
    await machine.works()
    assert (machine.used(), machine.said()[2:]) == (61, ["exhausted"])
    machine.clock.now = TODAY + 2 * DAY + timedelta(minutes=30)
    await machine.works()
    assert machine.said()[3:] == ["exhausted", "released"], "the second one of nothing that was leased"


async def test_thresholds_are_of_the_whole_budget_and_said_once(machine):
    machine.desk.others, machine.desk.terms["action"] = 440, "warn"
    machine.desk.amounts[TODAY] = 500
    await machine.leases()
    work(machine, 59)
    await machine.works()
    assert machine.said() == []

    work(machine, 59, 1)
    await machine.works()
    machine.boot()
    await machine.works()
    assert machine.said() == ["warned"]
    work(machine, 59, 1, 500)
    await machine.works()
    assert machine.said() == ["warned", "warned", "exhausted"]
    assert machine.told == [], "it is to be said and no more"


async def test_an_older_disk_and_a_lost_one_count_the_same_and_hold_no_more(machine):
    await machine.leases()
    work(machine, 40)
    await machine.works()
    machine.outbox.close()
    copies = list(machine.folder.glob("outbox.db*"))
    for path in copies:
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    machine.boot()
    machine.desk.amounts[TODAY] = 200
    work(machine, 40, 55)
    await machine.works()
    assert (machine.used(), machine.budgets._standings()[0].slice.amount) == (95, 200)

    machine.outbox.close()
    for path in machine.folder.glob("outbox.db*"):
        path.unlink()
    for path in copies:
        shutil.copy(path.with_name(f"copy-{path.name}"), path)
    machine.desk.away = True
    machine.boot()
    await machine.works()
    assert (machine.used(), machine.budgets._standings()[0].slice.amount) == (95, 100), "what is held is what was then"

    machine.outbox.close()
    for path in machine.folder.glob("outbox.db*"):
        path.unlink()
    machine.desk.away = False
    machine.boot()
    await machine.leases()
    await machine.works()
    assert machine.used() == 95


async def test_what_was_used_by_sessions_that_are_gone_goes_on_counting(machine):
    await machine.leases()
    gone = work(machine, 30, name="session_20261120_100000_00000000")
    work(machine, 10)
    await machine.works(400)
    assert machine.desk.used[to_ms(TODAY)] == 40
    shutil.rmtree(gone.path)
    machine.outbox.close()
    for path in machine.folder.glob("outbox.db*"):
        path.unlink()

    machine.boot()
    await machine.leases()
    assert machine.used() == 40
    work(machine, 10, 15)
    await machine.works(400)
    assert machine.used() == 55
    work(machine, 10, 15, 1)
    await machine.works(400)
    assert (machine.used(), machine.desk.used[to_ms(TODAY)]) == (56, 56)


async def test_nothing_is_said_of_what_was_used_before_everything_was_looked_at(machine):
    await machine.leases()
    work(machine, 30)
    await machine.works(400)
    machine.outbox.close()
    for path in machine.folder.glob("outbox.db*"):
        path.unlink()
    machine.boot()
    machine.budgets.hear(UUID(int=1), 1)
    machine.now += 60

    await machine.budgets.step()
    asked = len(machine.desk.asks)
    await machine.works()

    assert (asked, machine.used()) == (2, 30)


async def test_a_clock_that_is_wrong_moves_what_is_used_to_another_period_and_hides_nothing(machine):
    await machine.leases()
    machine.desk.away = True
    work(machine, 90, at=NOW + 30 * DAY)
    await machine.works()
    assert machine.used() == 90, "nothing was used later than now"

    machine.clock.now = NOW + 40 * DAY
    work(machine, 90, 20, at=machine.clock.now)
    await machine.works()
    assert machine.said() == ["exhausted"], "nothing was leased for then"
    machine.clock.now = NOW + timedelta(hours=1)
    await machine.works()
    assert (machine.used(), machine.said()) == (90, ["exhausted", "released"])
    work(machine, 90, 20, 15, at=machine.clock.now)
    await machine.works()
    assert machine.used() == 125


async def test_where_pausing_is_not_allowed_or_not_possible_that_is_said_once(machine):
    machine.allowed = set()
    machine.boot()
    await machine.leases()
    work(machine, 101)
    await machine.works()
    await machine.works()
    assert (machine.said(), machine.told) == (["exhausted", "unenforced"], [])
    assert "does not allow pause" in machine.troubles.all()[0].line

    machine.allowed, machine.engine = {"pause"}, Deaf()
    machine.boot()
    await machine.works()
    assert machine.said() == ["exhausted", "unenforced", "unenforced"]


async def test_what_somebody_else_has_stopped_is_not_resumed(machine):
    await machine.leases()
    folder = work(machine, 101)
    await machine.works()
    folder.state(state("cancelled"))
    machine.desk.amounts[TODAY] = 1000
    await machine.works(3600)

    assert machine.told == ["pause"]
    assert machine.outbox.row("SELECT count(*) FROM held_back") == (0,)


async def test_dollars_are_counted_where_prices_are_written_down_and_else_said_not_to_be(machine):
    machine.desk.terms |= {"unit": "micro_usd", "limit": 10_000_000}
    machine.desk.amounts[TODAY] = 1_000_000
    await machine.leases()
    work(machine, 5000)
    await machine.works(400)
    await machine.works(400)
    assert (machine.used(), machine.desk.asks[-1].uses[0].counted) == (0, False)

    work(machine, 5000, 1, prices=(0.25, 0.5))
    await machine.works(400)
    assert machine.used() == 750_000
    assert machine.desk.asks[-1].uses[0].counted


def test_slices_that_are_not_the_control_planes_are_refused(machine):
    identity = machine.desk.identity
    good = signed([])
    assert checked(identity, good) is good

    for bad in (
        replace(good, slices=replace(good.slices, number=9)),
        replace(good, key="k2"),
        signed([], runtime="rt_other"),
        signed([], tenant="other"),
    ):
        with pytest.raises(BudgetForged):
            checked(identity, bad)


async def test_an_answer_that_was_overtaken_changes_nothing(machine):
    await machine.leases()
    machine.desk.number -= 1
    machine.desk.amounts[TODAY] = 50
    machine.now += 10
    machine.budgets.hear(UUID(int=1), 2)
    await machine.budgets.step()

    assert machine.budgets._standings()[0].slice.amount == 100
