"""One ``controlplane up`` for each module that only looks at it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder).resolve() / "home"


@pytest.fixture(scope="module")
def running(shared_home: Path) -> Iterator[programs.Up]:
    with programs.up(shared_home) as running:
        yield running
