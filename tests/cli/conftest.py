"""One ``controlplane up`` for all tests that only look at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    with programs.empty_home() as home:
        yield home


@pytest.fixture(scope="session")
def running(shared_home: Path) -> Iterator[programs.Up]:
    with programs.up(shared_home) as running:
        yield running
