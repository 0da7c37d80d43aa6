"""Stands in for the reference's package wherever that one is not installed.

A single file, so that it never mixes with the files of the real package: where both are installed,
Python prefers the real package's folder.
"""

from pathlib import Path

import inference_server
from inference_server import __version__
from inference_server.drop_in import _HAS_DEBUGPY_SUPPORT

__path__ = [str(Path(inference_server.__file__).parent / "drop_in")]
__all__ = ["_HAS_DEBUGPY_SUPPORT", "__version__"]

if __name__ == "__main__":
    from inference_server.cli import main

    main()
