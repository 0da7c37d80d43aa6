"""The classes that users' `logging.json` files name."""

from inference_server.log_config import AMLLogFormatter, RootAccessFilter

__all__ = ["AMLLogFormatter", "RootAccessFilter"]
