"""The HTTP engine: gunicorn's master, listeners and parser, and an event loop of ours."""
