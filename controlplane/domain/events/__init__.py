"""What a tenant may hear about itself: the catalogue of event types, the outbox, and reading from it.

An event is written in the transaction of what it tells, or not at all. Events of a tenant are numbered without gaps
and in the order of the commits, so whoever has read up to a number has missed nothing before it.
"""

from controlplane.domain.events.catalogue import Doer, EventType, TypeUnknown, catalogue, check_types
from controlplane.domain.events.outbox import acted, tell
from controlplane.domain.events.reading import (
    KEPT,
    Event,
    EventsGone,
    Payload,
    Span,
    after,
    get,
    payload,
    prune,
    since,
    span,
)

__all__ = [
    "KEPT",
    "Doer",
    "Event",
    "EventType",
    "EventsGone",
    "Payload",
    "Span",
    "TypeUnknown",
    "acted",
    "after",
    "catalogue",
    "check_types",
    "get",
    "payload",
    "prune",
    "since",
    "span",
    "tell",
]
