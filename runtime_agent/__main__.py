"""``python -m runtime_agent`` is the program ``runtime-agent``."""

import sys

from runtime_agent.cli import main

sys.exit(main())
