"""A configuration as files for the runtime to read: a folder of its own each, and a link that says which counts."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from runtime_agent.wire.config import Document, Effective

FOLDER: Final = "configuration"
CURRENT: Final = "current"


def wanted(document: Document) -> dict[str, bytes]:
    """Each file by its path in the folder. Names are checked where they are read: none leads out of it."""
    found = {f"prompts/{name}.md": each.text.encode() for name, each in document.prompts.items()}
    found |= {f"skills/{name}/SKILL.md": each.text.encode() for name, each in document.skills.items()}
    found |= {f"plugins/{name}.json": _json(each) for name, each in document.plugins.items()}
    return {**found, "versions.json": _json(_versions(document))}


def lay_out(home: Path, effective: Effective, document: Document) -> None:
    """Write everything into a new folder, then have the link lead there: who reads sees the old or the new, whole.

    Where it leads there already nothing is touched: what somebody has changed since is theirs until the next one.

    Raises:
        OSError: It cannot be written; what was there counts on.
    """
    top = home / FOLDER
    top.mkdir(mode=0o700, exist_ok=True)
    new = top / f"{effective.generation}-{effective.hash[:12]}"
    if _leads_to(top / CURRENT) == new.name:
        return
    beside = top / ".new"
    shutil.rmtree(beside, ignore_errors=True)
    for name, content in wanted(document).items():
        _write(beside / name, content)
    shutil.rmtree(new, ignore_errors=True)
    beside.rename(new)
    link = top / ".link"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    link.replace(top / CURRENT)
    _durable(top)
    for other in top.iterdir():
        if other.is_dir() and not other.is_symlink() and other != new:
            shutil.rmtree(other, ignore_errors=True)


def take_away(home: Path) -> None:
    """There is nothing for the runtime any more."""
    with suppress(OSError):
        (home / FOLDER / CURRENT).unlink()


class Watch:
    """Whether files are still as they were written; cheap where nobody has touched them."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER / CURRENT
        self._seen: dict[str, tuple[int, int, int]] = {}

    def drift(self, document: Document) -> list[str]:
        """The files that hold something else than they should, or are gone, or are none of ours."""
        found, files = [], wanted(document)
        for name, content in files.items():
            stamp = _stamp(self._folder / name)
            if stamp is not None and self._seen.get(name) == stamp:
                continue
            if _content(self._folder / name) == content and stamp is not None:
                self._seen[name] = stamp
            else:
                self._seen.pop(name, None)
                found.append(name)
        return sorted([*found, *_strange(self._folder, files)])


def _leads_to(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _strange(folder: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    for part in ("prompts", "skills", "plugins"):
        for path in sorted(folder.glob(f"{part}/**/*")):
            name = str(path.relative_to(folder))
            if path.is_file() and name not in files:
                yield name


def _versions(document: Document) -> dict[str, dict[str, int]]:
    parts = {"prompts": document.prompts, "skills": document.skills}
    return {part: {name: each.version for name, each in texts.items()} for part, texts in parts.items()}


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _durable(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
