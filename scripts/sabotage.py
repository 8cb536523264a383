"""What a sabotage is, and the checkout that it is done to."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "node_modules")


class Change(Struct, frozen=True, kw_only=True):
    """Another line in the place of one that stands there once."""

    file: str
    was: str
    becomes: str


class Sabotage(Change, frozen=True, kw_only=True):
    """One thing that somebody could get wrong."""

    name: str
    noticed_by: tuple[str, ...]
    """Test files, or tests of them."""
    besides: tuple[Change, ...] = ()
    """What goes wrong with it, where that is in several places."""


class Moved(Exception):
    """A line that is to be changed is not there once."""


@contextmanager
def broken(sabotage: Sabotage) -> Iterator[Path]:
    """A copy of the checkout that *sabotage* was done to.

    Raises:
        Moved: It does not apply any more.
    """
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for change in (sabotage, *sabotage.besides):
            path = copy / change.file
            code = path.read_text()
            if code.count(change.was) != 1:
                raise Moved(f"{change.file} has not the line any more")
            path.write_text(code.replace(change.was, change.becomes))
        yield copy
