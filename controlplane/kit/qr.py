"""QR codes (ISO/IEC 18004) of short texts, for a phone to read from a screen: byte mode, error correction level M."""

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Final, TypeAlias

Matrix: TypeAlias = list[list[bool]]
"""Rows of modules, dark ones True; without the quiet zone of four around them."""

CORRECTION: Final = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24)
"""Correcting bytes in each block, of versions 1 to 15."""

BLOCKS: Final = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10)

MASKS: Final[tuple[Callable[[int, int], int], ...]] = (
    lambda x, y: (x + y) % 2,
    lambda x, y: y % 2,
    lambda x, y: x % 3,
    lambda x, y: (x + y) % 3,
    lambda x, y: (x // 3 + y // 2) % 2,
    lambda x, y: x * y % 2 + x * y % 3,
    lambda x, y: (x * y % 2 + x * y % 3) % 2,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2,
)
"""Turns over where it is 0; the one that leaves the fewest lumps is taken."""


def matrix(text: str) -> Matrix:
    """
    Raises:
        ValueError: If *text* is longer than 412 bytes of UTF-8.
    """
    raw = text.encode()
    version = next((each for each in range(1, len(BLOCKS) + 1) if _fits(raw, each)), None)
    if version is None:
        raise ValueError("too long for a code that a phone reads easily")
    bits = _interleaved(_padded(raw, version), version)
    masked = [_drawn(version, bits, mask) for mask in range(len(MASKS))]
    return min(masked, key=_lumps)


def _modules(version: int) -> int:
    """How many modules carry bits."""
    total = (16 * version + 128) * version + 64
    if version >= 2:
        marks = version // 7 + 2
        total -= (25 * marks - 10) * marks - 55
    return total - 36 if version >= 7 else total


def _capacity(version: int) -> int:
    """Bytes of data."""
    return _modules(version) // 8 - CORRECTION[version - 1] * BLOCKS[version - 1]


def _fits(raw: bytes, version: int) -> bool:
    return len(raw) + (2 if version < 10 else 3) <= _capacity(version)  # with four bits of mode, 8 or 16 of length


def _padded(raw: bytes, version: int) -> bytes:
    length_bits = 8 if version < 10 else 16
    bits = f"0100{len(raw):0{length_bits}b}" + "".join(f"{byte:08b}" for byte in raw) + "0000"
    data = bytearray(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))[: _capacity(version)]
    while len(data) < _capacity(version):
        data.append(0xEC)
        data.append(0x11)
    return bytes(data[: _capacity(version)])


def _interleaved(data: bytes, version: int) -> list[bool]:
    """The data in blocks, each with its correction, as one row of bits."""
    blocks, correction = BLOCKS[version - 1], CORRECTION[version - 1]
    short, longer = divmod(len(data), blocks)
    parts, at = [], 0
    for number in range(blocks):
        size = short + (number >= blocks - longer)
        parts.append(data[at : at + size])
        at += size
    divisor = _generator(correction)
    tails = [_remainder(part, divisor) for part in parts]
    mixed = [part[place] for place in range(short + 1) for part in parts if place < len(part)]
    mixed += [tail[place] for place in range(correction) for tail in tails]
    bits = [bool(byte >> shift & 1) for byte in mixed for shift in range(7, -1, -1)]
    return bits + [False] * (_modules(version) - len(bits))


def _times(a: int, b: int) -> int:
    """In the field of 256 elements over x⁸+x⁴+x³+x²+1."""
    product = 0
    for shift in range(7, -1, -1):
        product = product << 1 ^ (product >> 7) * 0x11D
        product ^= (b >> shift & 1) * a
    return product


def _generator(degree: int) -> list[int]:
    """The coefficients of ∏(x - 2ⁱ), without the leading one."""
    found, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        for place in range(degree):
            found[place] = _times(found[place], root)
            if place + 1 < degree:
                found[place] ^= found[place + 1]
        root = _times(root, 2)
    return found


def _remainder(data: bytes, divisor: list[int]) -> list[int]:
    rest = [0] * len(divisor)
    for byte in data:
        factor = byte ^ rest.pop(0)
        rest.append(0)
        rest = [each ^ _times(by, factor) for each, by in zip(rest, divisor, strict=True)]
    return rest


def _drawn(version: int, bits: list[bool], mask: int) -> Matrix:
    fixed = _fixed(version, mask)
    size = 17 + 4 * version
    drawn = [[fixed.get((x, y), False) for x in range(size)] for y in range(size)]
    for (x, y), bit in zip(_path(size, fixed), bits, strict=True):
        drawn[y][x] = bit ^ (MASKS[mask](x, y) == 0)
    return drawn


def _path(size: int, fixed: dict[tuple[int, int], bool]) -> Iterator[tuple[int, int]]:
    """Where the bits go: up and down in columns of two, from the right, past the timing column."""
    upward = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        for y in range(size - 1, -1, -1) if upward else range(size):
            for x in (right, right - 1):
                if (x, y) not in fixed:
                    yield x, y
        upward = not upward


def _fixed(version: int, mask: int) -> dict[tuple[int, int], bool]:
    """Everything that is the same for every text: marks, timing, format and version."""
    size = 17 + 4 * version
    fixed = {(at, 6): at % 2 == 0 for at in range(size)} | {(6, at): at % 2 == 0 for at in range(size)}
    middles = _middles(version)
    corners = {(6, 6), (6, middles[-1]), (middles[-1], 6)} if middles else set()
    for x, y in {(x, y) for x in middles for y in middles} - corners:
        fixed |= _square(x, y, 2, lambda away: away != 1)
    for x, y in ((3, 3), (size - 4, 3), (3, size - 4)):
        square = _square(x, y, 4, lambda away: away not in (2, 4))
        fixed |= {at: dark for at, dark in square.items() if 0 <= at[0] < size and 0 <= at[1] < size}
    return fixed | _format(size, mask) | (_version(size, version) if version >= 7 else {})


def _square(x: int, y: int, reach: int, dark: Callable[[int], bool]) -> dict[tuple[int, int], bool]:
    around = range(-reach, reach + 1)
    return {(x + dx, y + dy): dark(max(abs(dx), abs(dy))) for dx in around for dy in around}


def _middles(version: int) -> list[int]:
    """Where alignment marks stand, in both directions."""
    if version == 1:
        return []
    marks = version // 7 + 2
    step = (version * 4 + marks * 2 + 1) // (marks * 2 - 2) * 2
    return [6, *sorted(version * 4 + 10 - number * step for number in range(marks - 1))]


def _format(size: int, mask: int) -> dict[tuple[int, int], bool]:
    """Level M is 00; ten bits correct the five, and a pattern keeps them from being all light."""
    rest = mask
    for _ in range(10):
        rest = rest << 1 ^ (rest >> 9) * 0x537
    bits = (mask << 10 | rest) ^ 0x5412
    first = [(8, at) for at in (0, 1, 2, 3, 4, 5, 7)] + [(8, 8)] + [(at, 8) for at in (7, 5, 4, 3, 2, 1, 0)]
    second = [(size - 1 - at, 8) for at in range(8)] + [(8, size - 15 + at) for at in range(8, 15)]
    places = {place: bool(bits >> number & 1) for each in (first, second) for number, place in enumerate(each)}
    return places | {(8, size - 8): True}


def _version(size: int, version: int) -> dict[tuple[int, int], bool]:
    rest = version
    for _ in range(12):
        rest = rest << 1 ^ (rest >> 11) * 0x1F25
    bits = version << 12 | rest
    found = {}
    for number in range(18):
        far, near, dark = size - 11 + number % 3, number // 3, bool(bits >> number & 1)
        found[far, near] = found[near, far] = dark
    return found


def _lumps(drawn: Matrix) -> int:
    """What makes a code hard to read: runs of five or more, and squares of one color."""
    lines = [*drawn, *map(list, zip(*drawn, strict=True))]
    runs = (len(list(run)) for line in lines for _, run in groupby(line))
    squares = sum(
        above[x] == above[x + 1] == below[x] == below[x + 1]
        for above, below in pairwise(drawn)
        for x in range(len(drawn) - 1)
    )
    return sum(run - 2 for run in runs if run >= 5) + 3 * squares
