"""``doctor``: whether everything is as it should be, and exactly what would leave the network for one session."""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from runtime_agent import engine_files, heartbeat, home, joining
from runtime_agent.clock import Clock
from runtime_agent.configuration import trying
from runtime_agent.configuration.redaction import Redacted, Redaction
from runtime_agent.content.sealing import KEY, SUITE
from runtime_agent.http import Http, Unreachable
from runtime_agent.identity import Identity, decoded
from runtime_agent.outbox.lines import encode, new_record_id
from runtime_agent.settings import Settings, key_given
from runtime_agent.sources import Source
from runtime_agent.status import Status, gather
from runtime_agent.wire.leases import kid_of

LITTLE_SPACE_BYTES = 256 << 20
FAR_S = 60.0
FOLDERS_PER_SESSION = 4
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    verdict: Literal["ok", "warning", "problem"]
    line: str
    hint: str = ""


class Sample(Struct, frozen=True):
    """Every line that would be sent for one session, byte for byte but for ids and times of sending."""

    source: str
    session: str
    lines: list[str]


class Examination(Struct, frozen=True, kw_only=True):
    checks: list[Check]
    sample: Sample | None
    healthy: bool


async def examine(
    folder: Path, settings: Settings, identity: Identity | None, clock: Clock, session: str | None
) -> Examination:
    """Look at everything, without changing anything or saying who asks.

    Args:
        session: ``<agent>/<session>`` to show; None: the newest.
    """
    status = gather(folder, settings, identity, clock)
    checks = [
        _modes(folder),
        *_identity(status),
        *_sources(status),
        _zone(settings),
        *_watching(status),
        _disk(folder),
        *_outbox(status),
        *_files(status, settings, clock()),
        _content(settings),
    ]
    if identity is not None:
        checks += await _server(identity, clock)
    redaction = Redaction()
    redaction.use(trying.in_force(folder).redaction)
    sources = [Redacted(source, redaction) for source in settings.opened()]
    sample = next((found for source in sources if (found := _sample(source, session, clock))), None)
    healthy = all(check.verdict != "problem" for check in checks)
    return Examination(checks=checks, sample=sample, healthy=healthy)


def _modes(folder: Path) -> Check:
    if found := home.wide_modes(folder):
        return Check("modes", "problem", f"{folder} is open to other accounts", f"Run: {' && '.join(found)}")
    return Check("modes", "ok", f"{folder} is closed to other accounts")


def _identity(status: Status) -> list[Check]:
    if not status.joined:
        return [Check("identity", "problem", "this home has not joined a control plane", "Run: runtime-agent join")]
    found = [Check("identity", "ok", f"{status.runtime} ({status.name}) of {status.tenant}/{status.project}")]
    if joining.travels_open(status.server):
        found.append(Check("transport", "warning", f"{status.server} is not encrypted", "Use https."))
    if status.running is None:
        found.append(Check("daemon", "warning", "no agent runs with this home", "Start: runtime-agent run"))
    else:
        words = status.running.last_words
        line = f"process {status.running.pid} runs" + (f"; the server last said: {words}" if words else "")
        found.append(Check("daemon", "warning" if words else "ok", line))
    return found


def _sources(status: Status) -> list[Check]:
    if not status.sources:
        hint = f'Write into agent.toml in {status.home}: sources = ["engine:PATH"]'
        return [Check("source", "problem", "no source is set: there is nothing to send", hint)]
    found = []
    for source in status.sources:
        found += [Check("source", "problem", f"{trouble.code}: {trouble.line}") for trouble in source.troubles]
        line = f"{source.kind} at {source.path}: {source.agents} agents, {source.sessions} sessions"
        if not source.troubles:
            found.append(Check("source", "ok", line))
    others = [
        trouble for trouble in status.troubles if all(trouble not in source.troubles for source in status.sources)
    ]
    return found + [Check("trouble", "warning", f"{trouble.code}: {trouble.line}") for trouble in others]


def _zone(settings: Settings) -> Check:
    if settings.source_timezone:
        return Check("time zone", "ok", f"local times in the source are read in {settings.source_timezone}")
    return Check(
        "time zone",
        "ok",
        f"local times in the source are read in this machine's zone, {time.strftime('%Z %z')}",
        "If the runtime writes in another zone, set RUNTIME_AGENT_SOURCE_TIMEZONE.",
    )


def _watching(status: Status) -> list[Check]:
    try:
        most = int(WATCHES.read_text())
    except (OSError, ValueError):
        return []
    wanted = FOLDERS_PER_SESSION * sum(source.sessions for source in status.sources)
    if wanted > most:
        line = f"about {wanted:,} folders to watch, the system allows {most:,}: changes are noticed a little later"
        return [Check("watching", "warning", line, f"Run as root: sysctl fs.inotify.max_user_watches={2 * wanted}")]
    return [Check("watching", "ok", f"about {wanted:,} folders to watch, the system allows {most:,}")]


def _disk(folder: Path) -> Check:
    free = heartbeat.disk_free_bytes(folder)
    if free is None or free > LITTLE_SPACE_BYTES:
        return Check("disk", "ok", "enough space for the outbox" if free is None else f"{free >> 20:,} MiB free")
    return Check("disk", "problem" if free < LITTLE_SPACE_BYTES // 16 else "warning", f"only {free >> 20} MiB free")


def _outbox(status: Status) -> list[Check]:
    ledger = status.ledger
    line = f"{ledger.backlog.records:,} records wait, the oldest for {ledger.backlog.oldest_age_s:,} s"
    found = [Check("outbox", "ok", f"{line}; {ledger.bytes_on_disk >> 20:,} MiB on disk")]
    if ledger.quarantined:
        found.append(Check("quarantine", "warning", f"{ledger.quarantined:,} records were refused and are kept here"))
    return found


def _files(status: Status, settings: Settings, now: datetime) -> list[Check]:
    """Credentials that are kept as files."""
    found = []
    for folder, path in {path.parent: path for path in settings.files()}.items():
        try:
            engine_files.key_of(path, key_given())
        except engine_files.KeyUnfit as error:
            hint = f"Run as the runtime's account, with its {engine_files.KEY_VARIABLES[0]} if it has one."
            found.append(Check("credential key", "problem", str(error), hint))
        if not os.access(folder, os.W_OK | os.X_OK):
            hint = "Start the runtime once, and run the agent as its account."
            found.append(Check("credential files", "problem", f"{folder} cannot be written", hint))
    for each in status.credential_files:
        if each.expires_at is not None and each.expires_at > now:
            found.append(Check("credential file", "ok", f"{each.file}: {each.connection} until {each.expires_at}"))
        else:
            line = f"{each.file}: {each.connection} is not there, or has ended"
            found.append(Check("credential file", "warning", line, "See the troubles in: runtime-agent status"))
    return found


def _content(settings: Settings) -> Check:
    """The most that may leave of what checkpoints hold, whatever the project wants."""
    if settings.content == "metadata":
        return Check("content", "ok", "nothing of what checkpoints hold leaves")
    if settings.content == "plain":
        return Check("content", "warning", "what checkpoints hold leaves as it is, where the project takes it")
    try:
        key = decoded(settings.content_key)
    except ValueError:
        key = b""
    if len(key) != KEY:
        return Check(
            "content",
            "problem",
            "content is to be sealed, and content_key is no public key: nothing of it leaves",
            "Make a pair where only you read it: runtime-agent content keygen FILE",
        )
    return Check("content", "ok", f"what checkpoints hold leaves sealed to the key {kid_of(SUITE, key)}")


async def _server(identity: Identity, clock: Clock) -> list[Check]:
    async with Http(identity.server, clock) as http:
        try:
            await http.alive()
        except Unreachable as error:
            return [Check("server", "problem", f"{identity.server}: {error}", "Check the URL, the network, the proxy.")]
        found = [Check("server", "ok", f"{identity.server} answers")]
        if abs(http.skew_s) > FAR_S:
            line = f"this machine's clock is {abs(http.skew_s):.0f} s {'behind' if http.skew_s > 0 else 'ahead'}"
            found.append(Check("clock", "warning", line, "Set the clock, best by NTP."))
        return found


def _sample(source: Source, session: str | None, clock: Clock) -> Sample | None:
    """The newest session by the time in its name; one pass, nothing kept."""
    key = session
    try:
        if key is None:
            key = max((unit.key for unit in source.discover()), key=lambda key: key.rpartition("/")[2], default=None)
        if key is None:
            return None
        reading = source.read(key, now=clock(), seen=None)
    except OSError:
        return None
    now = clock()
    lines = [encode(draft.make(new_record_id(now), now)).decode() for draft in reading.records]
    return Sample(source.kind, key, lines)
