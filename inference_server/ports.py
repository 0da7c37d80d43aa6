"""The addresses the server listens on, checked before anything is loaded."""

from __future__ import annotations

import errno
import socket

from inference_server.errors import PortError
from inference_server.settings import DEFAULT_HEALTH_PORT, Settings


def addresses(settings: Settings) -> list[tuple[str, int]]:
    """Host and port of each listener; the separate health port comes first, when there is one."""
    ports = [settings.port]
    if settings.separate_health:
        ports.insert(0, settings.health_port or DEFAULT_HEALTH_PORT)
    return [(settings.host.strip("[]"), port) for port in ports]


def check_addresses(settings: Settings) -> None:
    """Make sure that the addresses can be listened on.

    Raises:
        PortError: One of them is taken, or is not an address of this machine.
    """
    wanted = addresses(settings)
    if len(set(wanted)) < len(wanted):
        raise PortError(
            f"The health port and the port are both {settings.port}",
            "give --health_port another value, or unset SEPERATE_HEALTH_ENDPOINT",
        )
    for host, port in wanted:
        _try_to_bind(host, port)


def _try_to_bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _explained(host, port, error) from None


def _explained(host: str, port: int, error: OSError) -> PortError:
    if error.errno == errno.EADDRINUSE:
        return PortError(
            f"Port {port} of {host} is in use: another process listens there",
            f"stop that process, or choose another port: --port {port + 1}",
        )
    if error.errno == errno.EACCES:
        return PortError(
            f"Port {port} of {host} is not open to this user", "choose a port from 1024 up: --port"
        )
    return PortError(
        f"Cannot listen on {host}:{port}: {error.strerror or error}",
        "--host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0",
    )
