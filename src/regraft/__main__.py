"""``python -m regraft`` is the command ``regraft``."""

import sys

from regraft.cli import main

if __name__ == "__main__":
    sys.exit(main())
