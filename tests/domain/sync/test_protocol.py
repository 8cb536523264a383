import pytest

from controlplane.domain.sync import batches
from controlplane.domain.sync.refusals import UnsupportedProtocol


def test_a_protocol_that_this_release_has_forgotten_is_refused(monkeypatch):
    monkeypatch.setattr(batches, "OLDEST_PROTOCOL", 2)

    with pytest.raises(UnsupportedProtocol, match="protocol 1"):
        batches.position({"Sync-Count": "1", "Sync-Protocol": "1"}.get)
