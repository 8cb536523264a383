"""Becoming a runtime of a tenant, with a token that works once; and leaving again."""

import platform
import socket
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from runtime_agent import home as homes
from runtime_agent import identity as identities
from runtime_agent.clock import Clock
from runtime_agent.configuration import files, kept
from runtime_agent.configuration.fetching import checked
from runtime_agent.configuration.kept import Kept
from runtime_agent.http import Busy, Http, Refused, Unreachable, at_server
from runtime_agent.identity import Identity
from runtime_agent.outbox import Outbox
from runtime_agent.outbox.position import position
from runtime_agent.problems import AlreadyJoined, BadSetting, Refusal
from runtime_agent.server import Server
from runtime_agent.tokens import ASSERTION_S
from runtime_agent.version import version
from runtime_agent.wire.heartbeat import Bye
from runtime_agent.wire.join import AUDIENCE, Enroll, Enrolled, Facts

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Ticket(NamedTuple):
    """What is shown at the door."""

    token: str
    name: str | None
    """None: the control plane takes the host name."""
    facts: Facts
    labels: dict[str, str] = {}


class JoinRefused(Refusal):
    """The control plane took the token for no good one, or could not be reached."""

    code = "join-refused"


def server_url(given: str) -> str:
    """The URL of a control plane, checked and without a slash at its end.

    Raises:
        BadSetting: It is none.
    """
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise BadSetting(
            f"{given!r} is not the URL of a control plane", hint="Expected https://HOST or http://HOST:PORT."
        )
    return given.rstrip("/")


def travels_open(url: str) -> bool:
    """Whether what is sent there can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def prepared(folder: Path, url: str) -> Identity:
    """Keys to join with, on disk before the call: should its answer be lost, the same keys ask again.

    Raises:
        AlreadyJoined: This home holds a runtime.
    """
    found = identities.find(folder)
    if found is not None and found.runtime_id is not None:
        raise AlreadyJoined(f"{folder} holds the runtime {found.runtime} of tenant {found.tenant} already")
    if found is not None and found.server == url:
        return found
    made = identities.fresh(url)
    identities.save(folder, made)
    return made


async def join(http: Http, folder: Path, identity: Identity, ticket: Ticket, clock: Clock) -> Identity:
    """Enroll with *ticket* and keep what the control plane answers.

    The configuration that comes with it is on the disk before the runtime is one: nothing is ever looked at without.

    Raises:
        JoinRefused: With the control plane's own words.
        ConfigForged: If that configuration is not the control plane's.
    """
    try:
        answer = await _ask(http, identity, ticket, clock)
    except Refused as refused:
        raise JoinRefused(str(refused), hint=refused.problem.hint) from refused
    except Busy as busy:
        raise JoinRefused("the control plane is busy", hint=f"Try again in {busy.retry_after_s:.0f} s.") from busy
    except Unreachable as error:
        raise JoinRefused(
            f"{identity.server} could not be reached: {error}", hint="Check the URL and the network."
        ) from error
    joined = msgspec.structs.replace(
        identity,
        runtime_id=answer.runtime_id,
        runtime=answer.runtime,
        tenant=answer.tenant,
        project=answer.project,
        name=answer.name,
        join_state=answer.join_state,
        lease_keys=answer.lease_keys,
    )
    kept.save(folder, Kept(candidate=checked(joined, answer.config) if answer.config else None))
    identities.save(folder, joined)
    return joined


async def _ask(http: Http, identity: Identity, ticket: Ticket, clock: Clock) -> Enrolled:
    """Once more where the first answer showed that our clock is wrong."""
    try:
        return await _enroll(http, identity, ticket, at_server(http, clock()))
    except Refused as refused:
        if refused.problem.code != "clock-skewed":
            raise
    return await _enroll(http, identity, ticket, at_server(http, clock()))


async def _enroll(http: Http, identity: Identity, ticket: Ticket, now: int) -> Enrolled:
    proof = {
        "aud": f"{AUDIENCE}/enroll",
        "iat": now,
        "exp": now + ASSERTION_S,
        "jti": str(uuid4()),
        "token_sha256": sha256(ticket.token.encode()).hexdigest(),
        "sealing_key": identity.public_sealing_key(),
    }
    enroll = Enroll(
        join_token=ticket.token,
        public_key=identity.public_key(),
        sealing_key=identity.public_sealing_key(),
        proof=identity.signed(proof),
        name=ticket.name,
        facts=ticket.facts,
        labels=ticket.labels,
    )
    return await http.post("/v1/runtime/enroll", msgspec.json.encode(enroll), {}, Enrolled)


def labels_of(given: list[str]) -> dict[str, str]:
    """``zone=eu`` each, as labels.

    Raises:
        BadSetting: One is written otherwise.
    """
    pairs = dict(each.split("=", 1) for each in given if "=" in each)
    if len(pairs) != len(given) or not all(name and value for name, value in pairs.items()):
        raise BadSetting("--label: write it as a name and a value, each once", hint="As in --label zone=eu")
    return pairs


def facts_of(kinds: list[str], timezone: str) -> Facts:
    """What this machine and program say of themselves."""
    return Facts(
        hostname=socket.gethostname()[:253],
        agent_version=version(),
        python=platform.python_version(),
        platform=platform.platform()[:200],
        source=",".join(kinds)[:50],
        timezone=timezone[:100],
    )


async def say_bye(server: Server, outbox: Outbox) -> None:
    """The last word: how long the log is.

    Raises:
        Unreachable, Busy, Refused: As of any call.
    """
    where = position(outbox)
    await server.bye(Bye(epoch=where.epoch, last_seq=where.last_seq, head=where.head.hex()))


def forget(folder: Path) -> None:
    """Delete keys, outbox and configuration. The runtime's own files are elsewhere and stay."""
    outbox = (homes.OUTBOX, homes.OUTBOX + "-wal", homes.OUTBOX + "-shm")
    for name in (homes.IDENTITY, *outbox, homes.STATUS, kept.FILE):
        (folder / name).unlink(missing_ok=True)
    files.take_away(folder)
