"""``python -m regraft`` is the command ``regraft``."""

import sys

from regraft.cli import main
from regraft.distributed import shutdown

if __name__ == "__main__":
    code = main()
    shutdown(code)
    sys.exit(code)
