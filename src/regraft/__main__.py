"""``python -m regraft`` is the command ``regraft``."""

import sys

from regraft.cli import main
from regraft.distributed import leave

if __name__ == "__main__":
    code = main()
    leave(code)
    sys.exit(code)
