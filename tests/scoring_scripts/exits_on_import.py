"""Leaves while it is loaded, with the exit code of success."""

import sys

sys.exit(0)
