"""What a server has in memory is nothing for other processes, and is not written to disk when it dies."""

import subprocess
import sys

SHOWS = """
import ctypes, os, resource
from controlplane.kit import memory
memory.keep_private()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os._exit(0)
"""


def test_a_process_and_what_it_forks_are_not_dumped():
    said = subprocess.run([sys.executable, "-c", SHOWS], capture_output=True, text=True, check=True).stdout

    assert said.splitlines() == ["0 0", "0 0"]
