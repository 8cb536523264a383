"""Which version of the program this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """As installed; ``0`` where the package runs from a bare folder."""
    try:
        return installed("engine-cloud")
    except PackageNotFoundError:
        return "0"
