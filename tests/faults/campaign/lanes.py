"""Several schedules at the same time, each lane with a server and a database of its own."""

import asyncio
import json
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from controlplane.app import assemble
from controlplane.db.roles import Urls
from controlplane.embedded import Services
from tests.faults.campaign import programs
from tests.faults.campaign.network import Network
from tests.faults.campaign.nursery import Nursery, end_with
from tests.faults.campaign.play import Play
from tests.faults.campaign.server import ControlPlane, make_template

IN_MEMORY = Path("/dev/shm")
"""Where homes are: no schedule cuts the power, so nothing has to reach a disk."""

MOST_FAILURES = 5
FRESH_AFTER = 100
"""Schedules on one database: those before make backups longer, and mean nothing else to those that follow."""


class Campaign:
    def __init__(self, schedules, lanes):
        self.schedules, self.lanes = schedules, min(lanes, len(schedules))
        self.labels, self.done, self.failed = Counter(), 0, []
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.folder.chmod(0o711)

    def go(self, tell):
        """
        Args:
            tell: Called with a line now and then.
        """
        assembled, parent = assemble(), os.getpid()
        services = None if "TEST_SUPERUSER_URL" in os.environ else Services()
        try:
            place = _place(services)
            ears = [self._begin(number, parent, place, assembled) for number in range(self.lanes)]
            self._listen(ears, tell)
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
            with os.fdopen(mouth, "w", buffering=1) as said:
                _play_all(self.folder / f"lane-{number}", mine, place, assembled, said)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _listen(self, ears, tell):
        waiting = {ear.fileno(): ear for ear in ears}
        began = time.monotonic()
        while waiting:
            for ear in list(waiting.values()):
                line = ear.readline()
                if not line:
                    del waiting[ear.fileno()]
                    ear.close()
                    continue
                said = json.loads(line)
                self.done += 1
                self.labels.update(said["labels"])
                if said["wrong"]:
                    self.failed.append(said["name"])
                    tell(said["wrong"])
                elif not self.done % 50:
                    tell(f"{self.done} of {len(self.schedules)} schedules in {time.monotonic() - began:.0f} s")
        for _ in ears:
            os.wait()


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


def _play_all(folder, schedules, place, assembled, said):
    """In a process of its own, one schedule after the other."""
    folder.mkdir()
    folder.chmod(0o711)
    servers = Nursery({"serve": programs.serving(assembled)})
    agents = Nursery({"command": programs.command, "agent": programs.agent})
    failures = 0
    try:
        for first in range(0, len(schedules), FRESH_AFTER):
            name = f"campaign_{os.getpid()}_{first}"
            server = ControlPlane(folder / name, name, place.urls, place.superuser, servers)
            try:
                server.prepare()
                network = Network(server.port)
                for schedule in schedules[first : first + FRESH_AFTER]:
                    wrong, labels = _played(folder, schedule, server, network, agents)
                    said.write(json.dumps({"name": schedule.name, "wrong": wrong, "labels": labels}) + "\n")
                    failures += bool(wrong)
                    if failures >= MOST_FAILURES:
                        return
                network.close()
            finally:
                server.end()
    finally:
        agents.close()
        servers.close()


def _played(folder, schedule, server, network, agents):
    """What was wrong with it, in words; and what happened, counted."""
    place = folder / schedule.name
    place.mkdir()
    server.forget_backups()
    play = Play(place, schedule, server, network, agents)
    try:
        play.go()
    except Exception as error:
        what = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        events = "\n".join(play.trace.tail())
        return f"{schedule.told()}\n{events}\n{what}\nhomes, logs and trace: {place}", play.trace.labels
    shutil.rmtree(place)
    return "", play.trace.labels
