"""Who did what to whom: one hash chain per tenant, one for the platform, written with the change itself.

Facts carry ids and words of ours; never names, addresses or secrets. What a request tells of a person is sealed.
"""

from controlplane.domain.audit.events import (
    PRUNED,
    START,
    Actor,
    Event,
    Head,
    Personal,
    Target,
    line,
    link,
)
from controlplane.domain.audit.readers import note_reader
from controlplane.domain.audit.reading import Filters, after, get, listing, people
from controlplane.domain.audit.writing import denied, record

__all__ = [
    "PRUNED",
    "START",
    "Actor",
    "Event",
    "Filters",
    "Head",
    "Personal",
    "Target",
    "after",
    "denied",
    "get",
    "line",
    "link",
    "listing",
    "note_reader",
    "people",
    "record",
]
