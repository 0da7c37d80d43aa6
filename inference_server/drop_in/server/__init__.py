"""Holds `entry`, the module that WSGI servers are pointed at."""
