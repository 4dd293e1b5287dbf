"""`python -m svsim` is the `svsim` command."""

import sys

from svsim.cli import main

sys.exit(main())
