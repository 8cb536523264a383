"""What the tests of doors share."""

import io
import logging

import pytest
import structlog

from controlplane.kit import log


@pytest.fixture
def logged():
    """Everything that is logged, as it is written where nobody sits at a terminal."""
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    stream = io.StringIO()
    log.configure(level=logging.DEBUG, stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(logging.WARNING)
