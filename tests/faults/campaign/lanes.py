"""Several schedules at the same time, each lane with a server and a database of its own."""

import asyncio
import json
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from contextlib import closing
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from controlplane.app import assemble
from controlplane.db.roles import Urls
from controlplane.embedded import Services
from controlplane.kit import collector
from tests.faults.campaign import programs
from tests.faults.campaign.network import Network
from tests.faults.campaign.nursery import Nursery, end_with
from tests.faults.campaign.play import Play
from tests.faults.campaign.server import ControlPlane, make_template

IN_MEMORY = Path("/dev/shm")
"""Where homes are: no schedule cuts the power, so nothing has to reach a disk."""

MOST_FAILURES = 5

TELL_EVERY_S = 10.0

FRESH_AFTER = 100
"""Schedules on one database: those before make backups longer, and mean nothing else to those that follow."""


class Campaign:
    def __init__(self, schedules, lanes, most_failures=MOST_FAILURES):
        """
        Args:
            most_failures: Of one lane, before it stops.
        """
        self.schedules, self.lanes, self._most_failures = schedules, min(lanes, len(schedules)), most_failures
        self.happened, self.done = Counter(), 0
        self.failed = {}
        """By name, the first thing that was wrong."""
        self.ends = {}
        """By name, where all came to; more than one where a schedule that was played again came to something else."""
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.folder.chmod(0o711)

    def go(self, tell):
        """
        Args:
            tell: Called with a line now and then.
        """
        assembled, parent = assemble(), os.getpid()
        programs.load()
        collector.calm()  # as every replica does; and what is loaded stays shared between all that are forked from here
        services = None if "TEST_SUPERUSER_URL" in os.environ else Services()
        try:
            place = _place(services)
            ears = [self._begin(number, parent, place, assembled) for number in range(self.lanes)]
            self._listen(ears, tell)
        except KeyboardInterrupt:
            tell("stopped")
        finally:
            if services is not None:
                services.stop()
        if not self.failed:
            shutil.rmtree(self.folder)

    def _begin(self, number, parent, place, assembled):
        """A lane, and what it says."""
        ear, mouth = os.pipe()
        if os.fork():
            os.close(mouth)
            return os.fdopen(ear)
        end_with(parent)
        os.close(ear)
        status = 1
        try:
            mine = self.schedules[number :: self.lanes]
            played = _played_all(self.folder / f"lane-{number}", mine, place, assembled)
            with os.fdopen(mouth, "w", buffering=1) as said, closing(played):
                self._say(played, said)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _say(self, played, said):
        failures = 0
        for told in played:
            said.write(json.dumps(told) + "\n")
            failures += bool(told["wrong"])
            if failures >= self._most_failures:
                return

    def _listen(self, ears, tell):
        began = last = time.monotonic()
        with DefaultSelector() as waiting:
            for ear in ears:
                waiting.register(ear, EVENT_READ)
            while waiting.get_map():
                for key, _ in waiting.select():
                    line = key.fileobj.readline()
                    if not line:
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()
                        continue
                    self._take_in(json.loads(line), tell)
                    now = time.monotonic()
                    if now - last > TELL_EVERY_S:
                        last = now
                        tell(f"{self.done} of {len(self.schedules)} schedules in {now - began:.0f} s")
        for _ in ears:
            os.wait()

    def _take_in(self, said, tell):
        self.done += 1
        self.happened.update(said["happened"])
        if said["wrong"]:
            self.failed[said["name"]] = said["wrong"].strip().splitlines()[0]
            tell(said["course"])
            tell(said["wrong"])
        else:
            self.ends.setdefault(said["name"], set()).add(said["end"])


class _Place:
    """PostgreSQL, and the database that each lane copies."""

    def __init__(self, superuser, urls):
        self.superuser, self.urls = superuser, urls


def _place(services):
    """In a run of pytest that run's, whose template is migrated."""
    if services is None:
        given = Urls(app=os.environ["TEST_APP_URL"], owner=os.environ["TEST_OWNER_URL"])
        return _Place(os.environ["TEST_SUPERUSER_URL"], given)
    superuser = services.postgres()
    return _Place(superuser, asyncio.run(make_template(superuser)))


def _played_all(folder, schedules, place, assembled):
    """What is to be said of each schedule, one after the other; until nobody wants to hear more."""
    folder.mkdir()
    folder.chmod(0o711)
    agents = Nursery({"command": programs.command, "agent": programs.agent})
    try:
        for first in range(0, len(schedules), FRESH_AFTER):
            name = f"campaign_{os.getpid()}_{first}"
            server = ControlPlane(folder / name, name, place.urls, place.superuser)
            network = Network(server.port, server.urls.app)
            try:
                server.prepare(network.link.url, assembled)
                for number, schedule in enumerate(schedules[first : first + FRESH_AFTER], first):
                    yield _played(folder / f"{number}-{schedule.name}", schedule, server, network, agents)
            finally:
                server.end()
                network.close()
    finally:
        agents.close()


def _played(place, schedule, server, network, agents):
    """What was wrong with it and where it came to, in words; and what happened, counted."""
    place.mkdir()
    server.forget_backups()
    play = Play(place, schedule, server, network, agents)
    try:
        end = play.go()
        shutil.rmtree(place)
    except Exception as error:
        what = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        events = "\n".join(play.trace.tail())
        course = f"{schedule.told()}\n{events}\nhomes, logs and trace: {place}"
        return {"name": schedule.name, "wrong": what, "course": course, "happened": play.happened}
    return {"name": schedule.name, "wrong": "", "end": end, "happened": play.happened}
