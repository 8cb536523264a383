"""What the agent's tests share: they need its own packages and nothing of the server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "home")
    yield made
    made.close()
