"""`inference_server.entry:app`, for WSGI servers that are started directly."""

import os

from inference_server.config_file import load_settings
from inference_server.log_config import configure_logging
from inference_server.wsgi import create_wsgi_server

configure_logging(load_settings(os.environ))
app = create_wsgi_server()
