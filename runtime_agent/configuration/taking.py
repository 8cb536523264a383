"""What a document changes of this machine's own settings: never more than they allow."""

from msgspec.structs import replace

from runtime_agent.settings import Settings
from runtime_agent.wire.config import Document
from runtime_agent.wire.content import POLICIES


def configured(own: Settings, document: Document) -> Settings:
    """*own*, with what the document says; of what leaves, the lesser of both."""
    said = document.agent
    content = POLICIES[min(POLICIES.index(own.content), POLICIES.index(document.content.policy))]
    return replace(
        own,
        scan_interval_s=said.scan_interval_s or own.scan_interval_s,
        content_kib_s=min(said.content_kib_s or own.content_kib_s, own.content_kib_s),
        log_level=said.log_level or own.log_level,
        content=content,
    )
