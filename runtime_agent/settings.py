"""What an operator may set, from ``<home>/agent.toml`` and the environment, read once."""

import os
import tomllib
from collections.abc import Mapping
from datetime import tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runtime_agent import engine_files, sources
from runtime_agent.problems import BadSetting
from runtime_agent.sources import Source
from runtime_agent.wire.commands import Kind
from runtime_agent.wire.content import Policy
from runtime_agent.wire.logs import Log

PREFIX = "RUNTIME_AGENT_"
FILE = "agent.toml"
NOT_SETTINGS = {"home", "join_token"}
"""Variables with our prefix that are read elsewhere: the home says where the file is, the token is no setting."""

LISTS = {"sources", "commands", "credential_files", "logs"}
"""Settings that are lists, in the environment separated by commas."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sources: list[str] = []
    """``KIND:PATH`` each, at most one of a kind. In the environment separated by commas."""
    source_timezone: str = ""
    """IANA name of the zone of the naive local times in the source's files; empty: the machine's own."""
    scan_interval_s: Annotated[float, Meta(ge=0.2, le=86_400)] = 60.0
    """How often everything is looked at, beside watching. Longer when a scan takes long: never above 1 % of a core."""
    keep_days: Annotated[float, Meta(ge=0, le=3650)] = 7.0
    """How long acknowledged records stay where no backup is ever announced, at most."""
    keep_mib: Annotated[int, Meta(ge=1, le=1 << 20)] = 256
    """How much of them stays, at most; the oldest go first."""
    credential_files: list[str] = []
    """``CONNECTION=FILE`` each: credentials that are kept as files for a runtime that reads nothing else, by the
    connection's name or id, as ``credentials/credentials/FILE.enc`` in the home of the source ``engine``."""
    commands: tuple[Kind, ...] = ("rescan", "drain")
    """What the control plane may have done here; nobody but the owner of this machine can allow more. Also: pause,
    resume, cancel, approve, reject, which are done through EngineX's own server; rollback and undo, which replace a
    session's files in the home; collect-logs, which makes a file of those in ``logs`` in the agent's own home. In the environment separated by commas."""
    logs: tuple[Log, ...] = ("details", "tools")
    """Of which logs somebody may be shown lines while they look: details and tools, of which the fields that may leave;
    raw, files as they stand without what looks like a secret. Nobody but the owner of this machine can allow more.
    Empty: none. In the environment separated by commas."""
    engine_url: Annotated[str, Meta(pattern="^https?://[^/]+$")] = "http://127.0.0.1:8787"
    """Where EngineX's own server listens."""
    content: Policy = "metadata"
    """The most that may leave of checkpoints: metadata, sealed, plain. The project's policy can only say less."""
    content_key: Annotated[str, Meta(max_length=100)] = ""
    """The tenant's public key that content is sealed to, from ``content keygen``. Without it the control plane's word
    would be taken for whose key it is, which only ``plain`` allows."""
    content_kib_s: Annotated[int, Meta(ge=1, le=1 << 20)] = 1024
    """How fast content is sent, in KiB a second, so that it leaves the line to others."""
    config_proving_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """How long a configuration from the control plane counts before it is the one that is gone back to."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of what ``run`` writes to stderr: debug, info, warning or error."""

    def zone(self) -> tzinfo | None:
        """Zone of the source's naive times; None: the machine's own.

        Raises:
            BadSetting: The machine does not know a zone of that name.
        """
        try:
            return sources.zone_of(self.source_timezone)
        except sources.UnknownZone as error:
            raise BadSetting(
                f"{PREFIX}SOURCE_TIMEZONE: {error}", hint="Give an IANA name: UTC, Europe/Berlin."
            ) from error

    def opened(self) -> list[Source]:
        """The sources, ready to be asked.

        Raises:
            BadSetting: A malformed source, or two of one kind.
        """
        opened: dict[str, Source] = {}
        for spec in self.sources:
            try:
                kind, path = sources.parse(spec, os.environ)
            except sources.UnknownSource as error:
                raise BadSetting(f"{PREFIX}SOURCES: {error}") from error
            if kind in opened:
                raise BadSetting(f"{PREFIX}SOURCES: two sources of kind {kind!r}; one home reads one of each kind")
            opened[kind] = sources.open_source(kind, path, self.zone())
        return list(opened.values())

    def files(self) -> dict[Path, str]:
        """Which connection is kept in which file.

        Raises:
            BadSetting: One that cannot be.
        """
        return engine_files.wanted(self.credential_files, next((each.path for each in self.opened()), None))


def default_home(environ: Mapping[str, str]) -> Path:
    """Where the agent keeps its own things unless ``--home`` says otherwise."""
    if given := environ.get(PREFIX + "HOME"):
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/runtime-agent")
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".local/share"
    return Path(data) / "runtime-agent"


def key_given() -> str:
    """The runtime's own key for its credential files, where its environment is ours too; it is no setting of ours."""
    return next((os.environ[name] for name in engine_files.KEY_VARIABLES if os.environ.get(name)), "")


def read(home: Path, environ: Mapping[str, str]) -> Settings:
    """Settings from the file, overruled by the environment; a misspelled or ill-typed one stops the start.

    Raises:
        BadSetting: Naming the setting and what was expected.
    """
    from_file = _from_file(home / FILE)
    for name in from_file:
        _check_known(name, f"{name} in {FILE}")
    read_file = _converted(from_file, strict=True)

    from_environment: dict[str, Any] = {}
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        _check_known(name, variable)
        from_environment[name] = [part for part in value.split(",") if part] if name in LISTS else value
    overruled = _converted(from_environment, strict=False)
    return msgspec.structs.replace(read_file, **{name: getattr(overruled, name) for name in from_environment})


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error


def _check_known(name: str, shown: str) -> None:
    known = Settings.__struct_fields__
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(known)}."
        raise BadSetting(f"{shown}: there is no such setting", hint=hint)


def _converted(given: dict[str, Any], *, strict: bool) -> Settings:
    try:
        return msgspec.convert(given, Settings, strict=strict)
    except msgspec.ValidationError as error:
        expected, _, place = str(error).partition(" - at ")
        name = place.strip("`").removeprefix("$.").partition("[")[0]
        shown = f"{name} in {FILE}" if strict else PREFIX + name.upper()
        raise BadSetting(f"{shown}: {expected[:1].lower()}{expected[1:]}") from error


def remember_sources(home: Path, specs: list[str]) -> None:
    """Write *specs* into the file, beside whatever else stands there.

    Raises:
        BadSetting: The file names its sources over several lines, or cannot be written: a person must change it.
    """
    path = home / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if not line.startswith("sources")]
    wanted = f"sources = {msgspec.json.encode(specs).decode()}"
    text = "\n".join([wanted, *kept]) + "\n"
    try:
        if tomllib.loads(text).get("sources") != specs:
            raise BadSetting(f"{path} could not be changed", hint=f"Write there: {wanted}")
        path.write_text(text)
        path.chmod(0o600)
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise BadSetting(f"{path} could not be changed: {error}", hint=f"Write there: {wanted}") from error
