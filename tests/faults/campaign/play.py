"""One schedule from an empty home to the verdict."""

import shutil
from collections import Counter
from contextlib import suppress
from random import Random

from tests.faults.campaign import oracle, outboxes
from tests.faults.campaign.agents import COPIES, Died, RuntimeAgent
from tests.faults.campaign.at_work import Runtime
from tests.faults.campaign.losses import DIED, RESTORED
from tests.faults.campaign.outboxes import Outbox
from tests.faults.campaign.witness import Witness
from tests.faults.items import shown
from tests.faults.trace import Trace

ROUNDS = 12
"""Of looking, sending and beating, until it must have come to rest."""

SENDS = 25
TURNS = 8
"""Of both, while there are two."""

LOCKED, OVERTAKEN = "runtime-locked", "token-call-overtaken"


class Idle(Exception):
    """A step has found nothing to do."""


class Play:
    def __init__(self, folder, schedule, server, network, nursery):
        self.schedule, self._server, self._network = schedule, server, network
        self.trace = Trace(folder / "trace.txt")
        self._dice = Random(schedule.seed + 1)
        self._runtime = Runtime(folder, self._dice)
        self._agent = RuntimeAgent(folder / "agent", nursery)
        self._other = RuntimeAgent(folder / "clone", nursery)
        self._outbox = Outbox(folder / "agent")
        self._ledger = oracle.Ledger()
        self._witness = Witness(self._ledger)
        self._disks_then = []
        """What each copy of the disk had held."""
        self._ask = None
        self._server_died = False
        self.happened = Counter()
        """Steps that really were taken, and what became of messages."""

    def go(self):
        """
        Returns:
            Where everything came to, in words: the same whenever the schedule is played.

        Raises:
            AssertionError: Something is not where it must be.
        """
        network = self._network
        network.begin(self.trace)
        network.kill_agent, network.kill_server = self._kill_agent, self._kill_server
        try:
            self._join()
            for step in self.schedule.steps:
                self._take(step)
            self._settle()
            return self._compare()
        finally:
            for each in (self._agent, self._other):
                each.end()
            self._mend()
            self.happened += network.happened
            self.trace.close()

    def _join(self):
        self._tenant_id, token = self._server.new_tenant()
        self._ask = self._server.asking(self._tenant_id)
        self._agent.join(self._network.url, token, self._runtime.home)
        self._release()

    def _take(self, step):
        self._network.fates = list(step.fates)
        with suppress(Idle):
            getattr(self, f"_{step.what.replace('-', '_')}")(step)
            self.happened[step.what] += 1
        self._network.fates = []
        self._mend()
        self._witness.look(self._note(), self._stored)

    def _stored(self):
        return oracle.stored_ids(self._ask)

    def _mend(self):
        """A server that was killed is started again, as whoever operates it would."""
        if self._server_died:
            self._server.start_again()
            self._network.note(DIED)
            self._server_died = False

    def _kill_agent(self):
        self.trace.say("acrash")
        self._agent.kill()

    def _kill_server(self):
        self.trace.say("scrash")
        self._server_died = True
        self._server.kill()
        self._network.note(DIED)

    # what an agent does

    def _tell(self, what, agent=None):
        """What came of it; None when it was killed meanwhile."""
        agent = agent or self._agent
        try:
            answer = agent.tell(what)
        except Died:
            answer = None
        if agent is self._agent:
            self._note()
        if answer and _is_shut_out(answer["words"]) and not self._other.home.exists():
            self._see_to_lock()
        return answer

    def _note(self):
        held = self._outbox.held()
        self._ledger.note(held)
        return held

    def _look(self, _):
        self._tell("look")
        self.trace.say("commit", str(len(self._ledger.disk)))

    def _send(self, _):
        self._tell("send")

    def _beat(self, _):
        self._tell("beat")

    def _prune(self, _):
        self._tell("prune")
        self.trace.say("prune", str(self._outbox.held().where))

    def _crash(self, _):
        if not self._agent.is_there:
            raise Idle
        self.trace.say("acrash")
        self._agent.end()

    def _once(self, _):
        """The program itself, however it ends; nothing is lost on its way, or it would wait as long as it is made to."""
        self._agent.end()
        self._network.fates = [fate for fate in self._network.fates if fate[0] in ("deliver", "double", "copy")]
        done = self._agent.command("once")
        self.trace.say("check", f"once: {done}")
        self._note()
        if _is_shut_out(str(done)):
            self._see_to_lock()

    # what happens around it

    def _write(self, step):
        self._runtime.write(1 + step.number % 6)

    def _vanish(self, step):
        """Somebody deletes a session's folder."""
        there = [story for story in self._runtime.stories.values() if story.is_there()]
        if not there:
            raise Idle
        story = there[step.number % len(there)]
        self.trace.say("vanish", story.key)
        self._runtime.gone[story.key] = ("state", story.key)
        self._runtime.vanish(story)

    def _arrive(self, step):
        if not self._network.late:
            raise Idle
        self._network.arrive(step.number)

    def _server_crash(self, _):
        self._kill_server()

    def _snap(self, _):
        self._note()
        self._agent.take_copy()
        self._disks_then = [*self._disks_then, set(self._ledger.disk)][-COPIES:]
        self.trace.say("snap")

    def _rollback(self, _):
        self._put_back(-1)

    def _rollback_older(self, _):
        """To the oldest copy there is; where there are two, the other one may be put back later."""
        self._put_back(0)

    def _put_back(self, which):
        self._note()
        self._agent.roll_back(self._agent.copies[which])
        self._ledger.roll_back(self._disks_then[which])
        held = self._outbox.held()
        self._witness.replaced(held)
        self.trace.say("rollback", str(held.where))

    def _backup(self, _):
        self._server.back_up()
        self._witness.backed_up(self._stored())
        self.trace.say("backup")

    def _restore(self, _):
        self.trace.say("restore")
        self._restore_from(self._server.file)

    def _restore_older(self, _):
        if not self._server.older.exists():
            raise Idle
        self.trace.say("restore", "of the backup before the last one")
        self._ledger.older = True
        self._restore_from(self._server.older)

    def _restore_from(self, file):
        self._server.restore(file)
        self._network.note(RESTORED)
        self._ledger.went_back = True
        self._witness.backed_up(self._stored())

    def _clone(self, step):
        """The machine is copied, and both run. Somebody notices, and the copy is thrown away."""
        outboxes.copy(self._agent.home, self._other.home)
        self._ledger.disk_went_back = True
        self.trace.say("clone")
        words = ""
        for number in range(TURNS):
            agent = (self._agent, self._other)[step.number >> number & 1]
            answer = self._tell(("look", "send", "beat")[(step.number >> 8 + number) % 3], agent)
            words += answer["words"] if answer else ""
        self._network.fates = []
        self._mend()
        for _ in range(2):  # a call for a token that was cut off comes again with the same nonce, from both
            for agent in (self._other, self._agent):
                agent.end()
                words += self._tell("send", agent)["words"]
        if LOCKED not in words:
            raise AssertionError("there were two of it, and nobody noticed")
        self._other.end()
        shutil.rmtree(self._other.home)
        self._see_to_lock()

    # locks

    def _release(self):
        self._server.release(self._tenant_id, self._agent.identity(), self.schedule.recoveries)

    def _see_to_lock(self):
        self.trace.say("check", "locked")
        if not self._ledger.disk_went_back:
            raise AssertionError("it was locked, and there never were two of it")
        self._agent.end()
        self._release()

    # in the end

    def _settle(self):
        for number in range(len(self._network.late)):
            if self._dice.random() < 0.5:
                self._network.arrive(number)
        self._network.late.clear()
        before, rested = None, False
        for _ in range(ROUNDS):
            self._tell("look")
            for _ in range(SENDS):
                sent = self._tell("send")
                if not (sent and sent["more"]):
                    break
            answer = self._tell("beat")
            where = self._outbox.held().where
            if rested and answer and answer["level"] and answer["sure"] and where == before:
                return
            rested = bool(answer and answer["level"] and answer["sure"] and not answer["words"])
            before = where
        raise AssertionError(f"L0 it does not come to rest: {where}, {answer}")

    def _compare(self):
        self._agent.stop()
        done = self._agent.command("once")
        verified = self._agent.command("verify")
        held = self._note()
        wrong = oracle.verdict(self._ask, self._ledger, self._runtime, held, self._network.heard)
        wrong += self._agent.bugs() + self._other.bugs()
        if done["left"] or done["problem"]:
            wrong.append(f"once: {done}")
        wrong += self._unlike(verified)
        if wrong:
            raise AssertionError("\n".join(wrong[:40]))
        there = ", ".join(
            f"{count} {kind}" for kind, count in sorted(Counter(item[0] for item in shown(self._ask)).items())
        )
        lost = len(self._ask(oracle.LOSSES))
        return f"epoch {held.where.epoch}, record {held.where.last_seq}, {there or 'nothing'}, {lost} named losses"

    def _unlike(self, verified):
        """What makes both sides differ. Of a session that is deleted, a disk that went back may know less than the server."""
        may_know_less = self._ledger.disk_went_back and self._runtime.gone
        level = (verified.get("here"), verified.get("missing")) == (verified.get("there"), {})
        if verified.get("identical") or (level and may_know_less):
            return []
        return [f"not identical: {verified}"]


def _is_shut_out(words):
    """Whether a person has to let it in, now or, where a restored server is in doubt about it, in a quarter of an hour."""
    return LOCKED in words or OVERTAKEN in words
