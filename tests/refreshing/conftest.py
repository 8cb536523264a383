import pytest

from tests.refreshing.rig import Rig
from tests.refreshing.strict import serving


@pytest.fixture
async def strict():
    async with serving() as server:
        yield server


@pytest.fixture
async def rig(db, make, strict):
    rig = Rig(db, make, strict)
    yield await rig.connect()
    await rig.close()
