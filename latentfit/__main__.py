"""``python -m latentfit …``: the same as the command ``latentfit …``."""

import sys

from latentfit.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
