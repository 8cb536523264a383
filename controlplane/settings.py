"""What an operator may set. Read once, at the start, from ``<home>/controlplane.toml`` and ``CONTROLPLANE_*``."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from controlplane.domain.plans import DEFAULT_PLAN, Plan
from controlplane.domain.vault.durations import Durations
from controlplane.domain.vault.pace import Pace, PaceUneven
from controlplane.kit.problems import Refusal

PREFIX: Final = "CONTROLPLANE_"
FILE: Final = "controlplane.toml"
DNS_PORT: Final = 53

KEYRINGS: Final = ("file:", "env:")
"""What a place of a keyring begins with."""

PostgresUrl = Annotated[str, Meta(pattern="^postgresql://")]
PlanName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,38}$")]


class SettingInvalid(Refusal):
    """A setting is misspelled, or not what it must be. Its value is not repeated: it may hold a password."""

    code, status, title = "setting-invalid", 400, "A setting is wrong"
    hint = "See docs/reference/settings.md."


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The environment overrules the file. No settings at all work with ``controlplane up``."""

    home: str = ""
    """Keys, embedded database, logs. Empty: the usual place of this account."""
    database_url: PostgresUrl | None = None
    """Of the role ``cp_app``. None: the embedded database."""
    database_owner_url: PostgresUrl | None = None
    """Of the role ``cp_owner``; only ``controlplane db`` uses it."""
    database_admin_url: PostgresUrl | None = None
    """Of a role that may create roles; only ``controlplane db init`` uses it."""
    redis_url: Annotated[str, Meta(pattern="^(rediss?|unix)://")] | None = None
    """None: one process, in which wake-ups, rate limits and presence stay."""
    kek: Annotated[str, Meta(pattern="^(file|env|awskms|gcpkms|vault):.")] = ""
    """Who keeps the master key: ``file:PATH`` or ``env:NAME``, a keyring; ``awskms:ARN``, ``gcpkms:projects/…``,
    ``vault:MOUNT/KEY``, a key service. Empty: ``file:<home>/secrets/keyring.json``."""
    keyring: Annotated[str, Meta(pattern="^(file|env):.")] = ""
    """Where the keyring is when a key service keeps the master key. Empty: ``file:<home>/secrets/keyring.json``."""
    kek_grace_s: Annotated[int, Meta(ge=300, le=3600)] = 300
    """Seconds that a data key is used after it was unwrapped while the key service does not answer."""
    key_rest_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    """Seconds that a replaced data key is kept after nothing names it, for those who read it just before."""
    blob_url: Annotated[str, Meta(pattern="^(file:///|s3://|gs://|az://).")] = ""
    """Where checkpoint content is kept: ``file:///folder``, ``s3://bucket/prefix``, ``gs://…``, ``az://…``, with the
    credentials that the store's own tools find. Empty: ``file://<home>/blobs``."""
    metrics_token: Annotated[str, Meta(min_length=16)] | None = None
    """Bearer token for ``/metrics``. None: from loopback only."""
    smtp_url: Annotated[str, Meta(pattern="^smtps?://[^/]")] | None = None
    """Mail server: ``smtp://USER:PASSWORD@HOST:587`` (STARTTLS) or ``smtps://…``. None: letters land in ``<home>/outbox``."""
    mail_from: Annotated[str, Meta(pattern="@")] | None = None
    """Who letters are from: ``Engine Cloud <no-reply@example.com>``. Needed with a mail server."""
    public_url: Annotated[str, Meta(pattern="^https?://[^/]+$")] = "http://127.0.0.1:8700"
    """What browsers call, without a path."""
    audit_syslog_url: Annotated[str, Meta(pattern="^(tcp|tls)://[^/:]+(:[0-9]+)?$")] | None = None
    """Where every audit event is sent as well, RFC 5424: ``tls://host:6514``, ``tcp://host:601``. None: nowhere."""
    outbound_networks: str = ""
    """Networks, ``10.1.0.0/16``, that tenants' addresses may lead to besides the public internet. Empty: none."""
    outbound_loopback: bool = False
    """Whether tenants' addresses may lead to this very machine, over plain http too: for tests and development."""
    trusted_proxies: str = ""
    """Networks, ``10.0.0.0/8,192.0.2.7``, whose ``X-Forwarded-For`` says where calls come from. Empty: nobody's does."""
    dns_servers: str = ""
    """Resolvers that are asked for domains' records: ``192.0.2.53,192.0.2.54:5353``. Empty: those of this machine."""
    operator_sso_issuer: Annotated[str, Meta(pattern="^https?://[^ ?#]+$")] | None = None
    """The identity provider of those who operate the service. Needs the two settings below."""
    operator_sso_client_id: Annotated[str, Meta(min_length=1)] | None = None
    """Who the service is there."""
    operator_sso_client_secret: Annotated[str, Meta(min_length=1)] | None = None
    """And by what it proves that."""

    refresh_pace: Pace = Pace()
    """How fast the vault's refreshes go: a table ``[refresh_pace]`` in the file, in the environment JSON. For tests."""
    drain_s: Annotated[float, Meta(ge=0, le=300)] = 0
    """Seconds in which a replica that is asked to stop lets go of its long polls and streams, one after the other, while
    ``/readyz`` says 503. Where there are others to go to; 0: all at once."""
    deletion_grace_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 2_592_000
    """Seconds between a tenant's deletion and its purge, in which it can be undeleted."""
    lease_longest_s: Annotated[float, Meta(gt=0, le=86_400)] = 900
    """Seconds that a lease lasts at the most, before it is renewed. Policies can say less."""
    lease_margin_s: Annotated[float, Meta(ge=0, le=3_600)] = 5
    """Seconds that a lease ends ahead of its token at the least; a tenth of the token's life, up to a minute, where that is more."""
    plans: dict[PlanName, Plan] = msgspec.field(default_factory=lambda: {DEFAULT_PLAN: Plan()})
    """What tenants may use, by the name of the plan: tables ``[plans.NAME]`` in the file, in the environment JSON."""
    default_plan: str = DEFAULT_PLAN
    """The plan of tenants that have no other."""

    def kek_grace(self) -> timedelta:
        """:attr:`kek_grace_s`."""
        return timedelta(seconds=self.kek_grace_s)

    def key_rest(self) -> timedelta:
        """:attr:`key_rest_s`."""
        return timedelta(seconds=self.key_rest_s)

    def grace(self) -> timedelta:
        """:attr:`deletion_grace_s`."""
        return timedelta(seconds=self.deletion_grace_s)

    def lease_durations(self) -> Durations:
        """:attr:`lease_longest_s` and :attr:`lease_margin_s`."""
        return Durations(longest=timedelta(seconds=self.lease_longest_s), margin=timedelta(seconds=self.lease_margin_s))

    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """:attr:`trusted_proxies`, parsed."""
        return _networks(self.trusted_proxies)

    def callable_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """:attr:`outbound_networks`, parsed."""
        return _networks(self.outbound_networks)

    def resolvers(self) -> tuple[tuple[str, int], ...]:
        """:attr:`dns_servers`, parsed: address and port."""
        found = []
        for part in filter(None, map(str.strip, self.dns_servers.split(","))):
            host, colon, port = part.rpartition(":") if part.count(":") == 1 or "]" in part else (part, "", "")
            found.append((str(ip_address((host if colon else part).strip("[]"))), int(port) if port else DNS_PORT))
        return tuple(found)

    def __repr__(self) -> str:
        return f"Settings(home={self.home!r}, …)"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of the home that *environ* names.

    Raises:
        SettingInvalid: Naming the setting and what was expected.
    """
    given: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)
    }
    for name in ("plans", "refresh_pace"):
        if name in given:
            given[name] = _from_json(f"{PREFIX}{name.upper()}", given[name])
    home = Path(given.get("home") or usual_home(environ))
    settings = _checked({**_from_file(home / FILE), **given})
    keyring = settings.keyring or f"file:{home / 'secrets' / 'keyring.json'}"
    kek = settings.kek or keyring
    if kek.startswith(KEYRINGS):
        if settings.keyring and settings.keyring != kek:
            raise SettingInvalid(f"{PREFIX}KEYRING: Expected to be unset, because {PREFIX}KEK names a keyring already")
        keyring = kek
    blob_url = settings.blob_url or f"file://{home / 'blobs'}"
    return replace(settings, home=str(home), kek=kek, keyring=keyring, blob_url=blob_url)


def usual_home(environ: Mapping[str, str]) -> Path:
    """For root not below ``/root``, which is closed to the account that PostgreSQL runs as."""
    if os.geteuid() == 0:
        return Path("/var/lib/engine-cloud")
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "engine-cloud"


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{path}: {error}") from error
    if "home" in found:
        raise SettingInvalid(f"{path}: home is where this file is; set {PREFIX}HOME instead")
    return found


def _checked(given: dict[str, Any]) -> Settings:
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(_named(str(error))) from None
    if settings.default_plan not in settings.plans:
        raise SettingInvalid(f"{PREFIX}DEFAULT_PLAN: Expected one of the plans: {', '.join(sorted(settings.plans))}")
    for name, parsed in (
        ("TRUSTED_PROXIES", settings.proxies),
        ("OUTBOUND_NETWORKS", settings.callable_networks),
        ("DNS_SERVERS", settings.resolvers),
    ):
        try:
            parsed()
        except ValueError:
            what = "addresses" if name == "DNS_SERVERS" else "networks"
            raise SettingInvalid(f"{PREFIX}{name}: Expected {what}, separated by commas") from None
    _check_pace(settings)
    _check_mail(settings)
    _check_operator_sso(settings)
    return settings


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _check_pace(settings: Settings) -> None:
    try:
        settings.refresh_pace.check()
    except PaceUneven as error:
        raise SettingInvalid(f"{PREFIX}REFRESH_PACE: {error}") from None


def _check_mail(settings: Settings) -> None:
    if settings.smtp_url is None:
        return
    from controlplane.kit import mailing  # noqa: PLC0415 heavy, and ``--help`` has no use for it

    try:
        mailing.through(settings.smtp_url, "")
    except ValueError:
        raise SettingInvalid(f"{PREFIX}SMTP_URL: Expected smtp://HOST:PORT or smtps://HOST:PORT") from None
    if settings.mail_from is None:
        raise SettingInvalid(f"{PREFIX}MAIL_FROM: Expected an address, because {PREFIX}SMTP_URL is set")


def _check_operator_sso(settings: Settings) -> None:
    together = {
        "ISSUER": settings.operator_sso_issuer,
        "CLIENT_ID": settings.operator_sso_client_id,
        "CLIENT_SECRET": settings.operator_sso_client_secret,
    }
    missing = [name for name, value in together.items() if value is None]
    if missing and len(missing) < len(together):
        raise SettingInvalid(f"{PREFIX}OPERATOR_SSO_{missing[0]}: Expected, because others of its kind are set")


def _from_json(name: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise SettingInvalid(f"{name}: Expected JSON") from None


def _named(complaint: str) -> str:
    """msgspec's complaint with the setting's own name in it: ``CONTROLPLANE_KEK: Expected …``."""
    unknown = re.search(r"unknown field `(\w+)`", complaint)
    if unknown and "$.refresh_pace" in complaint:
        return f"{PREFIX}REFRESH_PACE: there is no duration {unknown[1]}"
    if unknown and "$.plans" in complaint:
        return f"{PREFIX}PLANS: there is no limit {unknown[1]}"
    if unknown:
        return f"{PREFIX}{unknown[1].upper()}: there is no such setting"
    what, _, place = complaint.partition(" - at `$.")
    return f"{PREFIX}{place.rstrip('`').upper()}: {what}"
