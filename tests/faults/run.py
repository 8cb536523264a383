"""One run from an empty folder to the verdict: everything real, everything killed."""

import time
from random import Random

from sqlalchemy.exc import DBAPIError

from tests.faults import schedule, verdict
from tests.faults.agent import RuntimeAgent
from tests.faults.processes import kill
from tests.faults.promise import Promise
from tests.faults.proxy import Proxy
from tests.faults.schedule import ACKNOWLEDGED, APPEND
from tests.faults.server import AWAY, ControlPlane
from tests.faults.stored import stored_ids, stored_items
from tests.faults.trace import Trace
from tests.faults.vanishing import vanish
from tests.faults.writer import Writer

ROUND = 25
"""Kills between two verdicts."""

MOMENT_S = 1.5
"""How long to wait for the moment of a fault; without it, it falls anyway."""

THROUGH_S = 8.0
"""How long something may take to get through between two faults; the agent leaves a server in need alone for a while."""

JOIN_S = 60.0
SETTLE_S = 120.0
"""How long agent and server may take to come to rest once nothing is killed any more: a whole heartbeat, and more."""

RECOVERIES = 100
"""Old join states that are let through: disks go back here all the time, and nobody is there to say so."""

LOST_DISKS = ("rollback", "outbox")
JOIN_KILLS, SCAN_KILLS = 3, 4


class Wrong(AssertionError):
    """Something is not where it must be; the message says what, and how it came to that."""


class Run:
    def __init__(self, folder, *, kills, seed, past):
        self.folder, self.kills, self.seed = folder, kills, seed
        self.killed = 0
        self._past = past
        self._acknowledged_before_restore = -1
        self._dice = Random(seed)
        self.trace = Trace(folder / "trace.txt")
        self.writer = Writer(folder, Random(seed + 1))
        self.server = ControlPlane(folder, Random(seed + 2), self.trace)
        self.proxy = Proxy(self.server.port, Random(seed + 3), self.trace)
        self.agent = RuntimeAgent(folder, self.proxy.url, self.writer.home, self.trace)
        self.promise = Promise(self.trace)

    def go(self):
        """
        Raises:
            Wrong: With seed and trace.
        """
        try:
            self._begin()
            faults = schedule.deal(self.kills - self.killed, self._dice)
            for first in range(0, len(faults), ROUND):
                self._round(faults[first : first + ROUND])
            self.agent.stop()
            self.server.stop()
        except Exception as error:
            raise Wrong(self._told(error)) from error
        finally:
            self.end()

    def end(self):
        """Nothing runs afterwards, whatever happened."""
        self.writer.pause()
        self.agent.end()
        self.server.end()
        self.proxy.close()
        self.trace.close()

    def _begin(self):
        """Up to an agent that sends, through kills of the command that joins and of the first look at the home."""
        self.writer.write_past(self._past)
        self.server.start()
        self.server.await_ready()
        self.trace.say("check", "the server answers")
        self.server.command("tenant", "create", "acme", "--name", "Acme")
        token = self.server.command("join-token", "create", "--tenant", "acme")
        self.trace.say("check", "a tenant and a join token")
        self.agent.prepare()
        self._join(token)
        self.server.command("runtime", "release", self.agent.runtime(), "--tenant", "acme", "--recoveries", RECOVERIES)
        self.agent.start()
        for _ in range(min(SCAN_KILLS, self.kills // 5)):
            self.proxy.await_request(APPEND, self._dice.uniform(0.2, 1.5))
            time.sleep(self._dice.uniform(0, 0.3))
            self._kill_agent("")
            self.agent.start()

    def _join(self, token):
        """Again and again until it worked; one token, and one runtime in the end."""
        end = time.monotonic() + JOIN_S
        for number in range(1_000):
            joining = self.agent.begin_to_join(token)
            if number < min(JOIN_KILLS, self.kills // 10):
                self.proxy.await_request("/enroll" if number else "/enroll answered", MOMENT_S)
                time.sleep(self._dice.uniform(0, 0.03))
                self.trace.say("acrash", f"joining {joining.pid}")
                self.killed += kill(joining.pid)
            status = joining.wait(JOIN_S)
            if self.agent.has_joined():
                self.trace.say("check", "joined")
                return
            if status == 2 or time.monotonic() > end:
                break
        raise AssertionError(f"it cannot join: {self.agent.log.read_text()[-2000:]}")

    def _round(self, faults):
        self.proxy.rough = True
        self.writer.go_on()
        for fault in faults:
            self._await_moment(fault)
            self._strike(fault)
            if fault.vanish:
                self._vanish()
            if fault.left_alone:
                self.proxy.await_request(ACKNOWLEDGED, THROUGH_S)
        self.writer.pause()
        self.proxy.rough = False
        self._settle(told_anew=self._dice.random() < 0.5)

    def _await_moment(self, fault):
        scale = 1.0
        if fault.moment:
            self.proxy.await_request(fault.moment, MOMENT_S)
            scale = self.proxy.takes_s(fault.moment)
        time.sleep(fault.delay * scale)

    def _strike(self, fault):
        if fault.first:
            self._kill_server(fault.first, "")
        if fault.victim == "agent":
            self._kill_agent(fault.besides, unheard=bool(fault.first))
            self.agent.start()
        else:
            self._kill_server(fault.victim, fault.besides)

    def _kill_agent(self, besides, *, unheard=False):
        if not self.agent.kill():
            raise AssertionError(f"the agent ended by itself: {self.agent.log.read_text()[-3000:]}")
        self.killed += 1
        self.trace.say("commit", f"up to {self.agent.position()}")
        if besides == "snap":
            self.agent.take_copy()
        if unheard or besides in LOST_DISKS:
            self._compare_acknowledged()
        if besides in LOST_DISKS:
            self._lose_disk(besides)

    def _compare_acknowledged(self):
        """L1b of the model: what was ever acknowledged is on the server, or the server was restored."""
        acknowledged = self.agent.acknowledged() if self._may_be_believed() else set()
        self.server.await_ready()
        missing = acknowledged - stored_ids(self.server.ask)
        if missing:
            raise AssertionError(f"{len(missing)} records were acknowledged and are not on the server")

    def _lose_disk(self, besides):
        self.promise.note(self.agent.held())
        if besides == "rollback":
            self.agent.roll_back()
        else:
            self.agent.lose_outbox()
        with self.writer.resting():
            self.promise.reckon(self.server, self.agent, self.writer)

    def _may_be_believed(self):
        """After a restore the agent's word counts again once the server took something from it: it knows by then."""
        return self.proxy.arrived(ACKNOWLEDGED) > self._acknowledged_before_restore

    def _kill_server(self, victim, besides):
        everything = self.server.remaining()
        self.killed += self.server.kill(victim)
        if victim not in ("up", "power"):
            return
        if besides:
            self.server.await_gone(everything)
        if besides == "backup":
            self.server.back_up()
        if besides == "restore":
            self._restore()
        else:
            self.server.start()

    def _restore(self):
        """As an operator would: nobody gets in before the store has its new id."""
        self.promise.note(self.agent.held())
        self.proxy.open = False
        self.server.restore()
        self.server.start()
        self.server.await_ready()
        self.server.rotate_store()
        with self.writer.resting():
            self.promise.reckon(self.server, self.agent, self.writer)
        self._acknowledged_before_restore = self.proxy.arrived(ACKNOWLEDGED)
        self.proxy.open = True

    def _vanish(self):
        self.server.await_ready()
        with self.writer.resting():
            if story := vanish(self.writer, self.server, self._dice):
                self.trace.say("prune", f"{story.key} is deleted: {self.writer.gone[story.key]}")
                self.promise.note(story.items())

    def _settle(self, *, told_anew):
        """Nothing is killed any more: in the end everything is where it must be, and stays so.

        Args:
            told_anew: Whether the agent starts again, which spares it the waits it has agreed on with a server in need.
        """
        self.server.await_ready()
        if told_anew:
            self._kill_agent("")
            self.agent.start()
        end = time.monotonic() + SETTLE_S
        wrong = ["nothing was compared"]
        while wrong and time.monotonic() < end:
            time.sleep(0.3)
            wrong = self._at_rest() or self._compared()
        wrong += self.agent.bugs() + self.server.failures()
        self.trace.say("check", f"{self.killed} kills, {len(self.writer.stories)} sessions, {len(wrong)} wrong")
        if wrong:
            raise AssertionError(verdict.summary(wrong))
        self.promise.note(stored_items(self.server.ask))

    def _compared(self):
        try:
            return verdict.everything(self.server, self.agent, self.writer, self.promise)
        except (*AWAY, DBAPIError) as error:  # the last kill shows only now
            return [f"the database was away: {error}"]

    def _at_rest(self):
        where = self.agent.position()
        return [] if where and where.acked == where.last_seq else [f"the agent still has something to send: {where}"]

    def _told(self, error):
        """All that a person needs to look into it."""
        what = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return "\n".join(
            [
                what,
                "",
                f"seed {self.seed}, {self.kills} kills; homes, logs and the whole trace: {self.folder}",
                "faults:",
                *self.trace.faults(),
                "the last events:",
                *self.trace.tail(),
            ]
        )
