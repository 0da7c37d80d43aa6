"""`AZUREML_DEBUG_PORT`: connects to a debugger that waits for us, before the script loads."""

from __future__ import annotations

import importlib

from inference_server.errors import StartError
from inference_server.log_config import print_unhooked
from inference_server.settings import Settings


def connect_to_debugger(settings: Settings) -> None:
    """Connect to the debug client on `debug_port` of this machine and wait until it has attached.

    Raises:
        StartError: debugpy is not installed, or nobody listens on the port.
    """
    port = settings.debug_port
    if port is None:
        return
    print_unhooked("!! The server was started with AZUREML_DEBUG_PORT: it is for debugging only")
    print_unhooked("!! Deadlines are off, and each worker connects to the debugger by itself")
    print_unhooked(f"** Connecting to debugger at port {port}...")
    try:
        debugpy = importlib.import_module("debugpy")
    except ImportError:
        print_unhooked("** Cannot connect to a debugger because debugpy is not installed.")
        error = StartError("AZUREML_DEBUG_PORT is set, but debugpy is not installed")
        error.hint = "pip install 'azml[debug]', or unset AZUREML_DEBUG_PORT"
        raise error from None
    try:
        debugpy.connect(("127.0.0.1", port))
    except (OSError, RuntimeError) as cause:
        error = StartError(f"No debugger listens on 127.0.0.1:{port}: {cause}")
        error.hint = "start listening in the editor first, or unset AZUREML_DEBUG_PORT"
        raise error from None
    debugpy.wait_for_client()
