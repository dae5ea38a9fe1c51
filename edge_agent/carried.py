"""What a connection carried, as the kernel counts it: handshake, headers and TLS too, all of which a SIM pays for."""

import contextlib
import socket
import struct
from typing import Final

TCP_INFO_BYTES: Final = struct.Struct("=120xQQ")
"""Where Linux (4.1 and later) says in `struct tcp_info` what was sent and acknowledged, and what was received."""


def carried_bytes(sock: socket.socket) -> int:
    """Sent and received so far; 0 on a kernel that does not say, or when the socket is closed."""
    with contextlib.suppress(OSError, struct.error):
        return sum(TCP_INFO_BYTES.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES.size)))
    return 0
