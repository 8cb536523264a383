"""Start the PostgreSQL of a home, print its URL, and hold it until standard input ends."""

import sys
from pathlib import Path

from controlplane.embedded import Services, Unavailable

try:
    with Services(Path(sys.argv[1])) as services:
        sys.stdout.write(f"{services.postgres()}\n")
        sys.stdout.flush()
        sys.stdin.read()
except Unavailable as problem:
    sys.exit(str(problem))
