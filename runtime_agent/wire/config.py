"""Desired configuration: what a runtime is to be like, signed, and how far it has got with that.

``GET /v1/runtime/config`` hands out the one document that all documents of the tenant come to for this runtime. Every
heartbeat says which generation there is, and what the agent has made of it.
"""

from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from runtime_agent.wire.content import Policy
from runtime_agent.wire.types import Count, Line

LABEL: Final = b"engine-cloud/config/1\n"

LONGEST_TEXT: Final = 64 << 10
"""Characters of one prompt or skill."""

MOST_NAMED: Final = 200
"""Prompts, skills or plugins in one document; words and shapes as well."""

LARGEST: Final = 1 << 20
"""Bytes of a whole document."""

MOST_DRIFTED: Final = 20

NAME: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
"""A prompt, skill or plugin: it becomes the name of a file, so there is no dot and no slash in it."""

Named: TypeAlias = Annotated[str, Meta(pattern=NAME)]
Version: TypeAlias = Annotated[int, Meta(ge=0, le=2**31)]

Withheld: TypeAlias = Literal["attention", "error-lines", "goals", "models", "nodes", "tools"]
"""What leaves as nothing at all."""

Status: TypeAlias = Literal["none", "applying", "applied", "failed"]

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class AgentPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the agent works. None: as it is set on its machine."""

    scan_interval_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    """How often everything is looked at, beside watching."""
    content_kib_s: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    """How fast checkpoint content is sent, at most; the machine's own setting bounds it."""
    log_level: Literal["debug", "info", "warning", "error"] | None = None


class RedactionPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is taken out of everything that leaves, beside what is taken out anyway. It can only become more."""

    withhold: Annotated[list[Withheld], Meta(max_length=10)] = []
    words: Annotated[list[Annotated[str, Meta(min_length=3, max_length=100)]], Meta(max_length=MOST_NAMED)] = []
    """Each is replaced wherever it stands, in capitals or not."""
    shapes: Annotated[list[Annotated[str, Meta(min_length=3, max_length=60)]], Meta(max_length=MOST_NAMED)] = []
    """``#`` stands for a digit, ``@`` for a letter, everything else for itself: ``KD-######``."""


class ContentPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    policy: Policy = "plain"
    """The most that may leave of checkpoints. The project's policy and the machine's own setting can only say less."""


class Text(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt or a skill."""

    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    version: Version = 0
    """Counted by the control plane: another text, another version."""


class Plugin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the runtime is to load, and how. The agent writes it down; it fetches and starts nothing."""

    version: Annotated[str, Meta(min_length=1, max_length=50)]
    enabled: bool = True
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    settings: Annotated[dict[Named, bool | int | Annotated[str, Meta(max_length=2000)]], Meta(max_length=50)] = {}


class Document(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a runtime is to be like."""

    agent: AgentPart = AgentPart()
    redaction: RedactionPart = RedactionPart()
    content: ContentPart = ContentPart()
    prompts: Annotated[dict[Named, Text], Meta(max_length=MOST_NAMED)] = {}
    skills: Annotated[dict[Named, Text], Meta(max_length=MOST_NAMED)] = {}
    plugins: Annotated[dict[Named, Plugin], Meta(max_length=MOST_NAMED)] = {}


class Effective(Struct, frozen=True, kw_only=True):
    """The document for one runtime. All of it is signed."""

    tenant: str
    """Its slug, as the runtime knows it."""
    runtime: str
    """``rt_…``."""
    store_id: UUID
    """Another database may number its generations anew."""
    generation: Annotated[int, Meta(ge=1, le=2**53)]
    """Rises whenever there is another document, or this one is to be tried again."""
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 over :attr:`document`."""
    document: Annotated[str, Meta(max_length=LARGEST)]
    """A :class:`Document` as JSON."""

    def signed(self) -> bytes:
        """What the control plane signs."""
        return LABEL + _ENCODER.encode(self)


class Desired(Struct, frozen=True, kw_only=True):
    """A document and the signature over it."""

    effective: Effective
    key: str
    """Which of the control plane's keys signed: one of those that sign leases."""
    signature: str
    """Ed25519; base64url."""


class News(Struct, frozen=True, kw_only=True):
    """Which document there is."""

    generation: Count = 0
    """0: none."""
    hash: str = ""


class Standing(Struct, frozen=True, kw_only=True):
    """How far the agent has got, in every heartbeat."""

    status: Status = "none"
    generation: Count = 0
    """The newest that it has looked at: the one that ``status`` is about."""
    applied: Count = 0
    """The one that is in force."""
    hash: Annotated[str, Meta(max_length=64)] = ""
    """Of the document that is in force."""
    error: Line = ""
    """Why it failed."""
    drift: Annotated[list[Line], Meta(max_length=MOST_DRIFTED)] = []
    """Files that somebody has changed since they were written."""
