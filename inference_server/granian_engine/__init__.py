"""The HTTP engine on Granian: the same WSGI application behind a server written in Rust."""
