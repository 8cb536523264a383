"""Status and findings as lines for people."""

from runtime_agent.doctor import Examination
from runtime_agent.status import FileStatus, Running, Status
from runtime_agent.wire.config import Standing

MARKS = {"ok": "ok     ", "warning": "WARNING", "problem": "PROBLEM"}


def status_lines(status: Status) -> list[str]:
    """What ``status`` prints."""
    if not status.joined:
        return [
            f"home      {status.home}",
            "not joined; next: runtime-agent join URL --token-stdin --source engine:PATH",
        ]
    ledger = status.ledger
    lines = [
        f"runtime   {status.runtime} ({status.name})",
        f"tenant    {status.tenant}, project {status.project}",
        f"server    {status.server}: {_connection(status.running)}",
        *(f"source    {s.kind} {s.path}: {s.agents:,} agents, {s.sessions:,} sessions" for s in status.sources),
        *(f"file      {f.file} ({f.connection}): {_until(f)}" for f in status.credential_files),
        f"log       epoch {ledger.epoch}, {ledger.acked:,} of {ledger.last_seq:,} records acknowledged",
        f"backlog   {ledger.backlog.records:,} records, {ledger.backlog.bytes:,} bytes"
        + (f", the oldest {ledger.backlog.oldest_age_s:,} s old" if ledger.backlog.records else ""),
    ]
    if status.configuration.status != "none":
        lines.append(f"config    {_configuration(status.configuration)}")
    if ledger.quarantined:
        lines.append(f"refused   {ledger.quarantined:,} records, kept here")
    lines += [f"trouble   {trouble.code}: {trouble.line}" for trouble in status.troubles]
    return lines


def _configuration(its: Standing) -> str:
    words = {"applying": f"generation {its.generation} is being tried", "failed": f"generation {its.generation} failed"}
    said = [words.get(its.status, ""), f"generation {its.applied} counts" if its.applied else "none counts", its.error]
    drift = f"changed here since: {', '.join(its.drift)}" if its.drift else ""
    return "; ".join(each for each in (*said, drift) if each)


def _until(file: FileStatus) -> str:
    return f"until {file.expires_at:%Y-%m-%d %H:%M:%S} UTC" if file.expires_at else "not there"


def _connection(running: Running | None) -> str:
    if running is None:
        return "no agent runs with this home"
    if running.last_words:
        return f"process {running.pid}: {running.last_words}"
    return f"process {running.pid}, " + ("connected" if running.connected else "connecting")


def doctor_lines(found: Examination) -> list[str]:
    """What ``doctor`` prints: findings, then what would leave."""
    lines = []
    for check in found.checks:
        lines.append(f"{MARKS[check.verdict]}  {check.name}: {check.line}")
        if check.hint and check.verdict != "ok":
            lines.append(f"         {check.hint}")
    if found.sample is None:
        return [*lines, "", "There is no session to show."]
    lines += ["", f"What would leave this network for {found.sample.session}, {len(found.sample.lines)} lines:"]
    return lines + found.sample.lines
