"""What the processes of a campaign do: serve, be an agent that goes when it is told to, or run one of its commands."""

import asyncio
import json
import os
from contextlib import suppress

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from controlplane.app import Parts, furnish
from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.kit import log, memory
from controlplane.settings import read
from runtime_agent import cli, identity, joining, once, settings, verifying
from runtime_agent.agent import Post, opened
from runtime_agent.clock import utc_now
from runtime_agent.http import Http, Unreachable
from runtime_agent.outbox.position import position
from tests.faults.campaign.nursery import end_with

LOADED = (joining, once, verifying)
"""What the commands load by themselves, loaded before they begin."""


def command(talk, *words):
    """``runtime-agent`` with these words: the program itself, what it prints goes to the socket."""
    os.dup2(talk.fileno(), 1)
    return cli.main(list(words))


def agent(talk, home):
    """What ``runtime-agent run`` does, each thing when it is asked for and not when its time has come.

    The same parts, put together as the daemon puts them together; instead of its loops a schedule says what comes next.
    """
    folder = settings.default_home({settings.PREFIX + "HOME": home})
    asyncio.run(_work(talk, Post(folder, settings.read(folder, os.environ), identity.load(folder))))
    return 0


async def _work(talk, post):
    async with opened(post) as running:
        told = talk.makefile("r")
        while line := told.readline():
            answer = await _do(running, line.strip())
            where = position(running.outbox)
            answer |= {"level": where.acked == where.last_seq, "sure": running.sync.store_id is not None}
            talk.sendall(json.dumps(answer | {"words": running.last_words}).encode() + b"\n")


async def _do(running, what):
    match what:
        case "look":
            for scanner in running.scanners:
                running.look(scanner)
                scanner.overdue()
        case "send":
            return {"more": await running.send()}
        case "beat":
            await running.beat()
        case "prune":
            running.prune()
    return {}


def load():
    """What programs load by themselves when they need it, once, before all of them."""
    asyncio.run(_call_nobody())


async def _call_nobody():
    async with Http("http://127.0.0.1:9", utc_now) as http:
        with suppress(Unreachable):
            await http.post("/", b"", {}, dict)


def serving(assembled, home):
    """The program that a server is: ``controlplane serve`` without its chores, of parts that are there before it starts.

    Args:
        home: With its settings.
    """
    os.environ["CONTROLPLANE_HOME"] = str(home)
    log.configure()
    given = read(os.environ)
    keyring, sealing = keys.opened(given.kek, given.keyring, os.environ, given.kek_grace())
    app = furnish(
        assembled, Parts(Database(given.database_url, sealing=sealing), keyring, None, given), with_chores=False
    )

    def serve(_, port):
        memory.keep_private()
        server = Granian(
            "controlplane.app:from_environment",
            interface=Interfaces.ASGI,
            address="127.0.0.1",
            port=int(port),
            log_level=LogLevels.warning,
        )
        server.serve(target_loader=lambda: _tied(app), wrap_loader=False)

    return serve


def _tied(app):
    """In the process that granian has forked to serve."""
    end_with(os.getppid())
    return app
