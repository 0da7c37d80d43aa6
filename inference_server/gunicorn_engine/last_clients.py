"""Keeps new clients out of listening sockets that are about to be closed.

Closing a listening socket resets the connections that wait in it. Taking all of them first is not
enough: another may be established between the last `accept` and the `close`, and its client has
perhaps sent a request already. Under Linux a filter on the socket has the kernel drop what opens
further connections. Their clients ask again after a second, and are refused or served by whoever
listens then, with nothing sent and so nothing lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any

_SO_ATTACH_FILTER = 26
"""Of socket(7); Python's `socket` has no name for it."""

_LOAD_BYTE, _JUMP_IF_BITS, _RETURN = 0x30, 0x45, 0x06
"""Instructions of the classic packet filter, from linux/bpf_common.h."""

_TCP_FLAGS = 13
"""Offset in the TCP header, where such a filter starts to count."""

_SYN = 0x02

_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (_LOAD_BYTE, 0, 0, _TCP_FLAGS),
        (_JUMP_IF_BITS, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
)


def keep_new_clients_out(sockets: Iterable[Any]) -> None:
    """Let no further connection be established; those under way still are.

    It holds for all processes that share the sockets, and cannot be taken back by closing a copy.
    Does nothing where the kernel has no such filter.
    """
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    count = len(_DROP_SYN) // 8
    option = struct.pack("HP", count, ctypes.addressof(program))
    for listener in sockets:
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            # A sandbox may forbid it; closing then is as it would be without.
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
