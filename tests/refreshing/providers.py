"""Providers of the tests of refreshing, apart: processes that only refresh start quickly."""

from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.provider import Provider, Verified
from controlplane.kit.oauth.dialect import Dialect, Refreshing

ON = Verified(endpoints="none", behavior="none", on="2026-11")


def catalogue(**refreshing):
    """Of providers that are named after what they do with a refresh token that was used."""
    return Catalogue([_provider(replay, refreshing) for replay in ("strict", "stable")])


def _provider(replay, refreshing):
    how = Refreshing(**{"replay": replay, "rotates": "always", **refreshing})
    dialect = Dialect(refreshing=how)
    return Provider(
        id=replay, name=replay, kind="oauth2", category="generic", verified=ON, own_urls=True, dialect=dialect
    )
