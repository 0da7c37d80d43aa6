"""The HTTP engine on gunicorn: its master, listeners, parser and worker contract, our event loop."""
