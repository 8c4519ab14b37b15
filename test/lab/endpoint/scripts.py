"""Scripts of socket calls, as data: (who, call, arguments…). `u…` are sockets under test, `p…` are the peer's, which is Linux. A number alone
is a pause in seconds. `begin` makes a call in a thread that may block, `finish` says what came of it. Addresses are ("peer", "L"): host and
port in the words of worlds.py.
"""

import struct

SOL, TCP, IP = 1, 6, 0
NONBLOCK = 0o4000
PEEK, DONTWAIT, TRUNC, WAITALL, OOB, ERRQUEUE = 2, 0x40, 0x20, 0x100, 1, 0x2000
FAST, FAST_CONNECT = 0x20000000, 30
SO_ERROR, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO = 4, 13, 20, 21
FIONREAD, OUTQ = 0x541B, 0x5411
HALF_SECOND = struct.pack("qq", 0, 500000)
RST = struct.pack("ii", 1, 0)

CONNECT = [("u", "socket"), ("u", "connect", ("peer", "L")), 0.1, ("p", "peer_accept")]


def passive(backlog=5):
    """A listener under test on port A, and a connection of the peer to it: u."""
    return [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", backlog),
        ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("ul", "accept", "u"),
    ]


UNSPEC = bytes(16)
# A listener of the peer that takes Fast Open, on port A, and a connection after which its cookie is known; Linux keeps it for all ports.
COOKIE = [
    ("pl", "socket"), ("pl", "bind", ("peer", "A")), ("pl", "setsockopt", TCP, 23, 16), ("pl", "listen", 16), ("u", "socket"),
    ("u", "sendto", b"first", FAST, ("peer", "A")), 0.1, ("pl", "accept", "p"), ("p", "recv", 100),
]


def put_off(flags=NONBLOCK):
    """A connect that waits for the first write: u."""
    return [("u", "socket", 2, 1 | flags, 0), ("u", "setsockopt", TCP, FAST_CONNECT, 1), ("u", "connect", ("peer", "A"))]


def sharing(*names):
    """Listeners under test that share port A by SO_REUSEPORT, and a connection of each of 24 sockets of the peer, which nobody has accepted."""
    return [
        step for u in names for step in [
            (u, "socket", 2, 1 | NONBLOCK, 0), (u, "setsockopt", SOL, 15, 1), (u, "bind", ("any", "A")), (u, "listen", 64),
        ]
    ] + [step for i in range(24) for step in [(f"p{i}", "socket"), (f"p{i}", "connect", ("us", "A"))]] + [0.1]


SCRIPTS = {
    # Before all others with Fast Open, as it is about a host whose cookie nobody knows.
    "Fast Open without a cookie": [
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "sendto", b"abc", FAST, ("peer", "L")), 0.1, ("p", "peer_accept"), ("u", "poll"),
        ("p", "recv", 9, DONTWAIT), ("u", "sendto", b"def", FAST, ("peer", "L")), ("u", "sendto", b"x", FAST, ("peer", "L")),
        ("u", "connect", ("peer", "L")), ("u", "send", b"ghi"), 0.1, ("p", "recv", 9),
        # The call returns with the SYN-ACK; what it answers is on its way to the peer.
        ("u", "socket"), ("u", "sendto", b"abc", FAST, ("peer", "L")), 0.1, ("p", "peer_accept"), ("p", "recv", 9), ("u", "send", b"x", FAST),
        # Linux keeps the last ACK of the handshake back for data, 0.2 s.
        ("u", "socket"), ("u", "sendto", b"", FAST, ("peer", "L")), ("u", "poll"), 0.3, ("p", "peer_accept"),
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "setsockopt", TCP, FAST_CONNECT, 1), ("u", "connect", ("peer", "L")), 0.1, ("u", "poll"),
        ("u", "sendto", b"x", FAST, ("peer", "L")), ("u", "connect", ("peer", "L")), ("u", "connect", ("peer", "L")),
        ("u", "sendto", b"x", FAST, ("peer", "L")), ("p", "peer_accept"), ("u", "send", b"late"), 0.1, ("p", "recv", 9),
        ("u", "socket"), ("u", "setsockopt", TCP, FAST_CONNECT, 1), ("u", "connect", ("peer", "L")), ("u", "send", b"x"),
        ("u", "socket"), ("u", "sendto", b"x", FAST, ("peer", "closed")), ("u", "poll"), ("u", "send", b"x"),
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "sendto", b"x", FAST, ("peer", "closed")), 0.1, ("u", "poll"),
        ("u", "sendto", b"x", FAST, ("peer", "closed")), ("u", "poll"),
    ],
    "Fast Open that cannot begin": [
        ("u", "socket"), ("u", "send", b"x", FAST), ("u", "sendto", b"x", FAST, UNSPEC), ("u", "sendto", b"x", FAST, b"\2\0"),
        ("u", "sendto", b"x", FAST, b"\2"), ("u", "sendto", b"x", FAST, b"\2\0\0\0\0\0\0\0"), ("u", "sendto", b"x", FAST, b"\x0a" + bytes(15)),
        ("u", "sendto", b"x", FAST, ("nonet", "L")), ("u", "poll"), ("u", "sendto", b"x", FAST, ("group", "L")),
        ("u", "getsockopt", TCP, FAST_CONNECT), ("u", "setsockopt", TCP, FAST_CONNECT, 2), ("u", "setsockopt", TCP, FAST_CONNECT, -1),
        ("u", "setsockopt", TCP, FAST_CONNECT, 1), ("u", "getsockopt", TCP, FAST_CONNECT), ("u", "setsockopt", TCP, FAST_CONNECT, 0),
        ("u", "getsockopt", TCP, FAST_CONNECT), ("u", "listen", 1), ("u", "sendto", b"x", FAST, ("peer", "L")), ("u", "send", b"x", FAST),
        ("u", "setsockopt", TCP, FAST_CONNECT, 1),
    ],
    "MSG_FASTOPEN with the server's cookie": COOKIE + [
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "sendto", b"abc", FAST, ("peer", "A")), 0.1, ("u", "poll"), ("pl", "accept", "p"), ("p", "recv", 9),
        ("u", "connect", ("peer", "A")), ("u", "connect", ("peer", "A")), ("u", "sendto", b"x", FAST, ("peer", "A")), ("u", "send", b"def"), 0.1,
        ("p", "recv", 9), ("p", "send", b"back"), 0.1, ("u", "recv", 9),
        ("u", "socket"), ("u", "sendto", b"abc", FAST, ("peer", "A")), ("u", "poll"), ("pl", "accept", "p"), ("p", "recv", 9),
        ("u", "connect", ("peer", "A")), ("u", "getpeername"),
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "sendto", b"", FAST, ("peer", "A")), 0.1, ("u", "poll"), ("pl", "accept", "p"),
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "sendto", bytes(100000), FAST, ("peer", "A")), 0.1, ("pl", "accept", "p"), ("p", "recv", 9999),
        ("u", "socket"), ("u", "sendto", bytes(20000), FAST, ("peer", "A")), ("pl", "accept", "p"), ("p", "recv", 20000, WAITALL),
        ("u", "socket"), ("u", "shutdown", 1), ("u", "sendto", b"abc", FAST, ("peer", "A")), ("u", "send", b"x"), ("pl", "accept", "p"), ("p", "recv", 9),
    ],
    "TCP_FASTOPEN_CONNECT with the server's cookie": COOKIE + put_off() + [
        ("u", "poll"), ("u", "getpeername"), ("u", "getsockname"), ("u", "getsockopt", TCP, FAST_CONNECT), ("u", "setsockopt", TCP, FAST_CONNECT, 0),
        ("u", "getsockopt", SOL, SO_ERROR), ("u", "getsockopt", TCP, 11, 1), ("u", "recv", 1), ("u", "connect", ("peer", "A")), ("u", "ioctl", OUTQ),
        ("u", "ioctl", FIONREAD), ("u", "bind", ("any", "B")), ("u", "listen", 1), ("u", "setsockopt", SOL, 9, 1), 0.2, ("u", "poll"),
        ("u", "send", b"hello"), 0.1, ("u", "poll"), ("pl", "accept", "p"), ("p", "recv", 9), ("u", "connect", ("peer", "A")),
        ("u", "connect", ("peer", "A")), ("u", "send", b"x", FAST), ("u", "getpeername"), ("p", "send", b"back"), 0.1, ("u", "recv", 9),
    ] + put_off(0) + [
        ("u", "poll"), ("u", "recv", 1, DONTWAIT), ("u", "send", b"hello"), ("u", "poll"), ("pl", "accept", "p"), ("p", "recv", 9),
        ("u", "connect", ("peer", "A")),
    ] + put_off() + [("u", "sendto", b"x", FAST, UNSPEC), ("u", "sendto", b"x", 0, UNSPEC), ("u", "sendto", b"zz", FAST, ("peer", "A"))] + [
        0.1, ("pl", "accept", "p"), ("p", "recv", 9),
    ] + put_off() + [("u", "send", b"zz", FAST), 0.1, ("pl", "accept", "p"), ("p", "recv", 9)] + put_off() + [
        ("u", "send", b""), 0.1, ("u", "poll"), ("pl", "accept", "p"), ("u", "send", b"after"), 0.1, ("p", "recv", 9),
    ] + put_off(0) + [("u", "send", b""), ("pl", "accept", "p")] + put_off() + [
        ("u", "send", bytes(100000)), 0.1, ("pl", "accept", "p"), ("p", "recv", 9999),
    ] + put_off() + [("u", "send", b"mm", 0x8000), 0.1, ("pl", "accept", "p"), ("p", "recv", 9)] + put_off(0) + [
        ("u", "setsockopt", SOL, SO_SNDTIMEO, HALF_SECOND), ("u", "setsockopt", SOL, SO_RCVTIMEO, HALF_SECOND), ("u", "connect", ("peer", "A")),
        ("u", "recv", 1), ("u", "begin", "recv", 9), ("u", "send", b"hello"), ("pl", "accept", "p"), ("p", "recv", 9), ("p", "send", b"back"),
        ("u", "finish"),
    ],
    "what ends a connect that was put off": COOKIE + [
        step for how in (0, 1, 2) for step in put_off() + [
            ("u", "shutdown", how), ("u", "poll"), ("u", "send", b"x"), ("u", "connect", ("peer", "A")), ("u", "poll"), ("u", "recv", 1),
        ]
    ] + put_off() + [("u", "connect", UNSPEC), ("u", "poll"), ("u", "connect", ("peer", "A")), ("u", "send", b"x"), 0.1, ("pl", "accept", "p")] + [
        ("p", "recv", 9), *put_off(), ("u", "close"), 0.1, ("pl", "nonblock", 1), ("pl", "accept", "p"),
    ] + put_off() + [("pl", "close"), ("u", "send", b"x"), 0.1, ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR), ("u", "send", b"x")],
    "a socket that is not connected": [
        ("u", "socket"), ("u", "poll"), ("u", "recv", 10), ("u", "send", b"x"), ("u", "shutdown", 1), ("u", "shutdown", 5), ("u", "poll"),
        ("u", "getpeername"), ("u", "getsockname"), ("u", "accept", "v"), ("u", "getsockopt", SOL, SO_ERROR), ("u", "ioctl", FIONREAD),
        ("u", "ioctl", OUTQ), ("u", "fcntl", 3), ("u", "fcntl", 99), ("u", "recv", 10, OOB), ("u", "close"),
    ],
    "kinds of sockets that there are": [
        ("u", "socket", 2, 1, 0), ("u", "socket", 2, 1, 6), ("u", "socket", 2, 1, 17), ("u", "socket", 99, 1, 0), ("u", "socket", 2, 77, 0),
        ("u", "socket", 2, 11, 0), ("u", "socket", 2, 5, 0), ("u", "socket", 2, 1, -1), ("u", "socket", 2, 1, 999), ("u", "socket", -1, 1, 0),
        ("u", "socket", 2, 1 | 0o20000, 0), ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "fcntl", 3),
    ],
    "connect, transfer both ways, orderly end by us": CONNECT + [
        ("u", "getpeername"), ("u", "getsockname"), ("u", "poll"), ("u", "send", b"hello"), 0.1, ("p", "recv", 100), ("p", "send", b"world!"), 0.1,
        ("u", "poll"), ("u", "ioctl", FIONREAD), ("u", "recv", 3), ("u", "recv", 100, PEEK), ("u", "recv", 100), ("u", "shutdown", 1), 0.1,
        ("u", "poll"), ("p", "poll"), ("p", "recv", 10), ("u", "send", b"x"), ("p", "send", b"bye"), ("p", "close"), 0.1,
        ("u", "poll"), ("u", "recv", 100), ("u", "recv", 100), ("u", "getpeername"), ("u", "shutdown", 0), ("u", "shutdown", 2), ("u", "send", b"x"),
        ("u", "getsockopt", SOL, SO_ERROR), ("u", "close"),
    ],
    "orderly end by the peer first": CONNECT + [
        ("p", "send", b"last"), ("p", "close"), 0.1, ("u", "poll"), ("u", "recv", 2), ("u", "recv", 10), ("u", "recv", 10), ("u", "recv", 10),
        ("u", "poll"), ("u", "send", b"into nothing"), 0.1, ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR), ("u", "send", b"x"), ("u", "recv", 10),
        ("u", "close"),
    ],
    "both end at once": CONNECT + [
        ("u", "shutdown", 1), ("p", "shutdown", 1), 0.1, ("u", "poll"), ("p", "poll"), ("u", "recv", 1), ("u", "getpeername"), ("u", "close"),
    ],
    "connect to a closed port": [
        ("u", "socket"), ("u", "connect", ("peer", "closed")), ("u", "getsockopt", SOL, SO_ERROR), ("u", "poll"), ("u", "getpeername"),
        ("u", "send", b"x"), ("u", "recv", 1), ("u", "connect", ("peer", "closed")), ("u", "connect", ("peer", "L")), ("u", "poll"),
    ],
    "connect without blocking": [
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "connect", ("peer", "L")), 0.1, ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR),
        ("u", "connect", ("peer", "L")), ("u", "connect", ("peer", "L")), ("u", "connect", ("peer", "closed")),
    ],
    "connect without blocking to a closed port": [
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "connect", ("peer", "closed")), 0.1, ("u", "poll"), ("u", "poll", 1),
        ("u", "connect", ("peer", "closed")), 0.1, ("u", "poll"), ("u", "connect", ("peer", "closed")), 0.1,
        ("u", "getsockopt", SOL, SO_ERROR), ("u", "getsockopt", SOL, SO_ERROR), ("u", "connect", ("peer", "closed")),
        ("u", "connect", ("peer", "L")), 0.1, ("u", "connect", ("peer", "L")),
    ],
    "connect that nobody answers": [
        ("u", "socket", 2, 1 | NONBLOCK, 0), ("u", "connect", ("nobody", "A")), ("u", "connect", ("nobody", "A")), ("u", "poll"),
        ("u", "send", b"x"), ("u", "recv", 1), ("u", "getpeername"), ("u", "listen", 1), ("u", "bind", ("any", "A")), ("u", "ioctl", FIONREAD),
        ("u", "ioctl", OUTQ), ("u", "shutdown", 0), ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR), ("u", "connect", ("peer", "L")), 0.1,
        ("u", "connect", ("peer", "L")), ("u", "poll"),
    ],
    "connect with SO_SNDTIMEO that nobody answers": [
        ("u", "socket"), ("u", "setsockopt", SOL, SO_SNDTIMEO, HALF_SECOND), ("u", "connect", ("nobody", "A")), ("u", "connect", ("nobody", "A")),
        ("u", "close"),
    ],
    "connect that times out": [
        ("u", "socket"), ("u", "begin", "connect", ("nobody", "A")), ("u", "finish", 90), ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR),
    ],
    "connect where there is no way": [
        ("u", "socket"), ("u", "connect", ("nonet", "A")), ("u", "connect", ("group", "A")), ("u", "connect", ("bcast", "A")),
        ("u", "connect", b"\2"), ("u", "connect", b"\2\0\0\0\0\0\0\0"), ("u", "connect", b"\n\0" + bytes(26)), ("u", "connect", bytes(200)),
        ("u", "connect", bytes(16)), ("u", "poll"), ("u", "connect", ("peer", "L")), ("u", "poll"),
    ],
    "connect again after AF_UNSPEC": CONNECT + [
        ("p", "send", b"lost"), 0.1, ("u", "connect", bytes(16)), ("u", "poll"), ("u", "getsockopt", SOL, SO_ERROR), ("u", "recv", 10), 0.1,
        ("p", "recv", 10), ("u", "getsockname"), ("u", "connect", ("peer", "L")), 0.1, ("q", "peer_accept"), ("u", "send", b"again"), 0.1,
        ("q", "recv", 10),
    ],
    "bind": [
        ("u", "socket"), ("u", "bind", ("other", "A")), ("u", "bind", b"\2\0\0\0"), ("u", "bind", b"\n\0" + bytes(26)), ("u", "bind", ("us", "A")),
        ("u", "getsockname"), ("u", "bind", ("us", "B")), ("u2", "socket"), ("u2", "bind", ("any", "A")), ("u2", "bind", ("us", "A")),
        ("u2", "bind", ("any", "0")), ("u2", "getsockname"), ("u3", "socket"), ("u3", "bind", bytes(16)), ("u3", "getsockname"),
        ("u", "close"), ("u4", "socket"), ("u4", "bind", ("any", "A")), ("u4", "connect", ("peer", "L")), ("u4", "getsockname"),
    ],
    "ports shared by SO_REUSEADDR": [
        ("u", "socket"), ("u2", "socket"), ("u", "setsockopt", SOL, 2, 1), ("u", "bind", ("any", "A")), ("u2", "bind", ("any", "A")),
        ("u2", "setsockopt", SOL, 2, 1), ("u2", "bind", ("us", "A")), ("u", "listen", 1), ("u2", "listen", 1), ("u3", "socket"),
        ("u3", "setsockopt", SOL, 2, 1), ("u3", "bind", ("any", "A")), ("u", "close"), ("u2", "listen", 1),
    ],
    "ports shared by SO_REUSEPORT": [
        ("u", "socket"), ("u2", "socket"), ("u3", "socket"), ("u", "bind", ("any", "A")), ("u2", "setsockopt", SOL, 15, 1), ("u2", "bind", ("any", "A")),
        ("u", "setsockopt", SOL, 15, 1), ("u2", "bind", ("any", "A")), ("u3", "bind", ("us", "A")), ("u3", "setsockopt", SOL, 2, 1),
        ("u3", "bind", ("us", "A")), ("u", "listen", 5), ("u3", "bind", ("any", "A")), ("u2", "listen", 5), ("u2", "listen", 7),
        ("u3", "setsockopt", SOL, 15, 1), ("u3", "bind", ("us", "A")), ("u3", "listen", 5), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1,
        ("u", "poll"), ("u2", "poll"), ("u3", "poll"), ("u3", "accept", "c"), ("c", "getsockname"), ("c", "getsockopt", SOL, 15),
        ("u4", "socket"), ("u4", "bind", ("any", "A")), ("u4", "setsockopt", SOL, 2, 1), ("u4", "bind", ("any", "A")), ("u3", "close"), ("u2", "close"),
        ("p2", "socket"), ("p2", "connect", ("us", "A")), 0.1, ("u", "poll"), ("u", "accept", "c2"), ("u", "close"), ("p3", "socket"),
        ("p3", "connect", ("us", "A")), ("u4", "bind", ("any", "A")), ("u4", "setsockopt", SOL, 15, 1), ("u4", "bind", ("any", "A")), ("u4", "listen", 1),
    ],
    "a port that only some may share": [
        ("u", "socket"), ("u2", "socket"), ("u", "setsockopt", SOL, 15, 1), ("u", "bind", ("any", "A")), ("u", "listen", 5),
        ("u2", "bind", ("any", "A")), ("u2", "setsockopt", SOL, 2, 1), ("u2", "bind", ("any", "A")), ("u2", "bind", ("us", "A")),
        ("u2", "setsockopt", SOL, 15, 1), ("u", "setsockopt", SOL, 15, 0), ("u2", "bind", ("any", "A")), ("u", "setsockopt", SOL, 15, 1),
        ("u2", "bind", ("any", "A")), ("u2", "setsockopt", SOL, 15, 0), ("u2", "listen", 5), ("u2", "setsockopt", SOL, 15, 1), ("u2", "listen", 5),
        ("u", "shutdown", 0), ("u", "listen", 3), ("u2", "shutdown", 0), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("u", "accept", "c"),
    ],
    "connections to a port that is shared": sharing("u", "u2", "u3") + [
        ("u", "shares", "u2", "u3"), ("u", "close"), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("u2", "shares", "u3"),
    ],
    "one of those that share a port is closed, with connections in its queue": sharing("u", "u2") + [
        ("u", "close"), 0.1, ("p", "reset_or_not", 24, "u2"), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("u2", "accept", "c"),
    ],
    "a port that a connection still has": passive() + [
        ("ul", "close"), ("u2", "socket"), ("u2", "bind", ("any", "A")), ("u2", "setsockopt", SOL, 2, 1), ("u2", "bind", ("any", "A")),
        ("u", "shutdown", 1), 0.1, ("p", "close"), 0.1, ("u", "close"), ("u2", "bind", ("any", "A")), ("u2", "close"),
    ],
    "a port in TIME_WAIT": [
        ("ul", "socket"), ("ul", "setsockopt", SOL, 2, 1), ("ul", "bind", ("any", "A")), ("ul", "listen", 5), ("p", "socket"),
        ("p", "connect", ("us", "A")), 0.1, ("ul", "accept", "u"), ("u", "getsockopt", SOL, 2), ("u", "close"), 0.1, ("p", "close"), 0.1, ("ul", "close"),
        ("u2", "socket"), ("u2", "bind", ("any", "A")), ("u2", "setsockopt", SOL, 2, 1), ("u2", "bind", ("any", "A")), ("u2", "listen", 1),
    ],
    "a second connection from the same port": [
        ("u", "socket"), ("u", "setsockopt", SOL, 2, 1), ("u", "bind", ("any", "A")), ("u2", "socket"), ("u2", "setsockopt", SOL, 2, 1),
        ("u2", "bind", ("any", "A")), ("u", "connect", ("peer", "L")), ("u2", "connect", ("peer", "L")), ("u2", "listen", 1),
    ],
    "listen and accept": [
        ("u", "socket"), ("u", "listen", 1), ("u", "getsockname"), ("u", "close"), ("ul", "socket", 2, 1 | NONBLOCK, 0), ("ul", "bind", ("any", "A")),
        ("ul", "accept", "x"), ("ul", "listen", 2), ("ul", "listen", 3), ("ul", "poll"), ("ul", "accept", "x"), ("ul", "accept", "x", 77),
        ("ul", "getsockopt", SOL, 30), ("ul", "connect", ("peer", "L")), ("ul", "recv", 1), ("ul", "send", b"x"), ("ul", "ioctl", FIONREAD),
        ("ul", "ioctl", OUTQ), ("ul", "getpeername"), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("ul", "poll"), ("ul", "accept", "u", NONBLOCK),
        ("u", "fcntl", 3), ("u", "getsockname"), ("u", "getpeername"), ("u", "recv", 10), ("p", "send", b"hi"), 0.1, ("u", "recv", 10),
        ("ul", "shutdown", 1), ("ul", "poll"), ("ul", "shutdown", 0), ("ul", "poll"), ("ul", "accept", "x"), ("ul", "listen", 1), ("ul", "poll"),
    ],
    "an accept that waits": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", 5), ("ul", "begin", "accept", "u"), 0.2, ("p", "socket"),
        ("p", "connect", ("us", "A")), ("ul", "finish"), ("p", "send", b"x"), ("u", "recv", 1), ("ul", "begin", "accept", "w"), 0.2,
        ("ul", "shutdown", 0), ("ul", "finish"), ("ul", "setsockopt", SOL, SO_RCVTIMEO, HALF_SECOND), ("ul", "listen", 5), ("ul", "accept", "x"),
    ],
    "the backlog": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", 1),
        ("p1", "socket", 2, 1 | NONBLOCK, 0), ("p1", "connect", ("us", "A")), 0.1, ("p2", "socket", 2, 1 | NONBLOCK, 0), ("p2", "connect", ("us", "A")), 0.1,
        ("p3", "socket", 2, 1 | NONBLOCK, 0), ("p3", "connect", ("us", "A")), 0.1, ("p1", "poll"), ("p2", "poll"), ("p3", "poll"),
        ("ul", "accept", "u1"), ("ul", "accept", "u2"), 1.2, ("p3", "poll"), ("ul", "poll"), ("ul", "accept", "u3"),
    ],
    "a connection that is reset before it is accepted": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", 5), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("p", "send", b"data"), 0.1,
        ("p", "reset"), 0.1, ("ul", "poll"), ("ul", "accept", "u"), ("u", "getpeername"), ("u", "getsockname"), ("u", "poll"), ("u", "recv", 10),
        ("u", "recv", 10), ("u", "recv", 10), ("u", "send", b"x"),
    ],
    "a connection that ends before it is accepted": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", 5), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("p", "send", b"data"),
        ("p", "close"), 0.1, ("ul", "accept", "u"), ("u", "getpeername"), ("u", "poll"), ("u", "recv", 10), ("u", "recv", 10), ("u", "close"),
    ],
    "a listener that is closed with a connection in its queue": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "listen", 5), ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("ul", "close"), 0.1,
        ("p", "poll"), ("p", "recv", 1), ("p", "socket"), ("p", "connect", ("us", "A")),
    ],
    "reset by the peer": CONNECT + [
        ("p", "send", b"data"), 0.1, ("p", "reset"), 0.1, ("u", "poll"), ("u", "getpeername"), ("u", "ioctl", FIONREAD), ("u", "recv", 2),
        ("u", "recv", 100), ("u", "recv", 100), ("u", "recv", 100), ("u", "poll"), ("u", "send", b"x"), ("u", "connect", ("peer", "L")),
        ("u", "connect", ("peer", "L")), ("u", "close"),
    ],
    "reset by the peer, heard by the writer": CONNECT + [
        ("p", "reset"), 0.1, ("u", "send", b"x"), ("u", "send", b"x"), ("u", "recv", 1), ("u", "getsockopt", SOL, SO_ERROR),
    ],
    "reset by the peer, heard by SO_ERROR": CONNECT + [
        ("p", "reset"), 0.1, ("u", "getsockopt", SOL, SO_ERROR), ("u", "getsockopt", SOL, SO_ERROR), ("u", "poll"), ("u", "recv", 1), ("u", "send", b"x"),
    ],
    "reset after the peer's FIN": CONNECT + [
        ("p", "close"), 0.1, ("u", "send", b"x"), 0.1, ("u", "poll"), ("u", "recv", 1), ("u", "getsockopt", SOL, SO_ERROR), ("u", "send", b"y"),
    ],
    "closing with unread data": CONNECT + [("p", "send", b"unread"), 0.1, ("u", "close"), 0.1, ("p", "poll"), ("p", "recv", 1), ("p", "recv", 1)],
    "closing with SO_LINGER 0": CONNECT + [
        ("u", "send", b"x"), ("u", "setsockopt", SOL, SO_LINGER, RST), ("u", "close"), 0.1, ("p", "poll"), ("p", "recv", 10), ("p", "recv", 10),
    ],
    "closing with SO_LINGER 5": CONNECT + [
        ("u", "setsockopt", SOL, SO_LINGER, struct.pack("ii", 1, 5)), ("u", "send", b"x"), ("u", "close"), 0.1, ("p", "recv", 10), ("p", "recv", 10),
    ],
    "data after SHUT_RDWR is answered with RST": CONNECT + [
        ("u", "shutdown", 2), 0.1, ("u", "poll"), ("p", "send", b"x"), 0.1, ("p", "poll"), ("p", "recv", 1), ("u", "poll"), ("u", "recv", 1),
        ("u", "getsockopt", SOL, SO_ERROR), ("u", "send", b"x"),
    ],
    "SHUT_RD": CONNECT + [
        ("u", "shutdown", 0), ("u", "poll"), ("u", "recv", 1), ("p", "send", b"late"), 0.1, ("u", "poll"), ("u", "recv", 10), ("u", "recv", 10),
        ("u", "send", b"ok"), 0.1, ("p", "recv", 10),
    ],
    "a read that waits, and is ended by SHUT_RD": CONNECT + [("u", "begin", "recv", 10), 0.2, ("u", "shutdown", 0), ("u", "finish")],
    "a read that waits, and is reset": CONNECT + [("u", "begin", "recv", 10), 0.2, ("p", "reset"), ("u", "finish"), ("u", "recv", 1)],
    "a read that waits for data": CONNECT + [("u", "begin", "recv", 10), 0.2, ("p", "send", b"abc"), ("u", "finish")],
    "MSG_WAITALL": CONNECT + [
        ("u", "begin", "recv", 6, WAITALL), 0.2, ("p", "send", b"abc"), 0.2, ("p", "send", b"defgh"), ("u", "finish"), ("u", "begin", "recv", 6, WAITALL), 0.2,
        ("p", "shutdown", 1), ("u", "finish"), ("u", "recv", 6, WAITALL),
    ],
    "MSG_WAITALL and SO_RCVTIMEO": CONNECT + [
        ("u", "setsockopt", SOL, SO_RCVTIMEO, HALF_SECOND), ("p", "send", b"abc"), ("u", "recv", 6, WAITALL), ("u", "recv", 6),
        ("u", "getsockopt", SOL, SO_RCVTIMEO, 16),
    ],
    "MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, SO_RCVLOWAT": CONNECT + [
        ("p", "send", b"abcdef"), 0.1, ("u", "recv", 4, PEEK), ("u", "recv_count", 2, TRUNC), ("u", "recv", 2, PEEK), ("u", "recv_count", 1, PEEK | TRUNC),
        ("u", "recv", 10), ("u", "recv", 10, DONTWAIT), ("u", "recv", 0, DONTWAIT), ("u", "setsockopt", SOL, 18, 5), ("u", "getsockopt", SOL, 18),
        ("p", "send", b"abc"), 0.1, ("u", "poll"), ("u", "recv", 10, DONTWAIT), ("p", "send", b"abcdefgh"), 0.1, ("u", "poll"), ("u", "recv", 10),
    ],
    "out of band without urgent data": CONNECT + [("u", "recv", 1, OOB), ("u", "recv", 1, OOB | DONTWAIT), ("u", "ioctl", 0x8905)],
    "sendto and sendmsg on a connection": CONNECT + [
        ("u", "sendto", b"to", 0, ("nobody", "A")), ("u", "sendmsg", b"msg"), 0.1, ("p", "recv", 10), ("p", "send", b"answer"), 0.1, ("u", "recvmsg", 4),
        ("u", "recvmsg", 4), ("u", "send", b""),
    ],
    "a writer that waits for the reader": CONNECT + [
        ("u", "begin", "send", bytes(1 << 20)), 0.3, ("u", "poll"), ("p", "recv", 1 << 20, WAITALL), ("u", "finish"), ("u", "poll"),
    ],
    "what was set is read back": [
        ("u", "socket"), *[step for level, name, values in [
            (SOL, 2, [1, 0, 7]), (SOL, 15, [1, 0]), (SOL, 9, [1, 0]), (SOL, 6, [1]), (SOL, 1, [0]), (SOL, 10, [1]),
            (SOL, 7, [50000, 1, 0]), (SOL, 8, [50000, 1, 0]), (SOL, 18, [7, 0]),
            (TCP, 1, [1, 0]), (TCP, 3, [1, 0]), (TCP, 2, [1000, 0, 87, 32768]), (TCP, 4, [60, 0, 32768]), (TCP, 5, [20, 0]), (TCP, 6, [3, 0, 128]),
            (TCP, 9, [1, 2, 3, 4, 8, 60, 0]), (TCP, 12, [0, 1]), (TCP, 18, [12345, -1]), (TCP, 23, [5, -1]), (TCP, 25, [16384, 0]),
            (IP, 1, [16, 0x13, 0xFC, 256]), (IP, 2, [33, 0, 256, -1]), (IP, 10, [0, 1, 2, 3, 6, -1]), (IP, 11, [1, 0]),
            (SOL, 3, [1]), (SOL, 4, [1]), (SOL, 19, [1]), (SOL, 30, [1]), (SOL, 38, [1]), (SOL, 39, [1]), (SOL, 777, [1]), (TCP, 777, [1]),
            (41, 26, [1]), (41, 16, [1]), (41, 67, [1]),
        ] for value in values for step in [("u", "setsockopt", level, name, value), ("u", "getsockopt", level, name)]],
        ("u", "getsockopt", SOL, 2, 1), ("u", "getsockopt", SOL, 2, 2), ("u", "getsockopt", IP, 2, 1), ("u", "setsockopt", IP, 1, b"\x20"),
        ("u", "getsockopt", IP, 1), ("u", "setsockopt", SOL, 2, b"\1"), ("u", "setsockopt", SOL, SO_LINGER, struct.pack("ii", 1, 9)),
        ("u", "getsockopt", SOL, SO_LINGER, 8), ("u", "setsockopt", SOL, SO_LINGER, struct.pack("ii", 0, 3)), ("u", "getsockopt", SOL, SO_LINGER, 8),
        ("u", "setsockopt", SOL, SO_LINGER, b"1234"), ("u", "setsockopt", SOL, SO_RCVTIMEO, b"12345678"),
        ("u", "setsockopt", SOL, SO_RCVTIMEO, struct.pack("qq", 1, 1000000)), ("u", "setsockopt", SOL, SO_RCVTIMEO, struct.pack("qq", 3, 0)),
        ("u", "getsockopt", SOL, SO_RCVTIMEO, 16), ("u", "getsockopt", SOL, SO_SNDTIMEO, 16), ("u", "setsockopt", TCP, 13, b"cubic"),
        ("u", "getsockopt", TCP, 13, 16), ("u", "getsockopt", TCP, 13, 4), ("u", "setsockopt", TCP, 13, b"nosuch"), ("u", "setsockopt", TCP, 13, b""),
    ],
    "options go from the listener to its connections": [
        ("ul", "socket"), ("ul", "bind", ("any", "A")), ("ul", "setsockopt", TCP, 1, 1), ("ul", "setsockopt", SOL, 9, 1), ("ul", "setsockopt", TCP, 4, 77),
        ("ul", "setsockopt", SOL, SO_LINGER, struct.pack("ii", 1, 4)), ("ul", "listen", 5), ("ul", "setsockopt", TCP, 18, 5555),
        ("p", "socket"), ("p", "connect", ("us", "A")), 0.1, ("ul", "accept", "u"), ("u", "getsockopt", TCP, 1), ("u", "getsockopt", SOL, 9),
        ("u", "getsockopt", TCP, 4), ("u", "getsockopt", SOL, SO_LINGER, 8), ("u", "getsockopt", TCP, 18), ("u", "fcntl", 3),
    ],
    "simultaneous use of one descriptor": CONNECT + [
        ("u", "begin", "recv", 10), 0.2, ("u", "send", b"meanwhile"), 0.1, ("p", "recv", 20), ("p", "send", b"done"), ("u", "finish"),
    ],
    "poll waits": CONNECT + [
        ("u", "begin", "poll", 1, 5000), 0.2, ("p", "send", b"x"), ("u", "finish"), ("u", "poll", 1, 100), ("u", "recv", 1), ("u", "poll", 1, 100),
        ("u", "poll", 0, 100), ("u", "begin", "poll", 0, -1), 0.2, ("p", "reset"), ("u", "finish"),
    ],
    "ICMP errors about data, of which IP_RECVERR tells at once": CONNECT + [("p", "mute", 1), ("u", "send", b"lost" * 20)] + [
        step for on in (0, 1) for kind, codes in ((3, [0, 1, 2, 3, *range(5, 16)]), (11, [0]), (12, [0])) for code in codes for step in [
            ("u", "setsockopt", IP, 11, on), ("p", "icmp", kind, code), 0.03, ("u", "poll"), ("u", "recv", 1, DONTWAIT | ERRQUEUE), ("u", "send", b"x"),
            ("u", "recv", 1, DONTWAIT), ("u", "getsockopt", SOL, SO_ERROR), ("u", "getsockopt", SOL, SO_ERROR), ("u", "poll"),
        ]
    ] + [("p", "mute", 0), ("u", "reset"), ("p", "reset")],
    "a read that waits, and an ICMP error with IP_RECVERR": CONNECT + [
        ("u", "setsockopt", IP, 11, 1), ("p", "mute", 1), ("u", "send", b"lost" * 20), ("u", "begin", "recv", 1), 0.1, ("p", "icmp", 3, 1), ("u", "finish"),
        ("u", "poll"), ("p", "mute", 0), 0.7, ("p", "recv", 100),
    ],
    # The last ones: the path to the peer is known to be narrow from here on.
    "IP_MTU_DISCOVER": [
        step for how in (0, 4, 5, 3, 2, 1) for step in [
            ("u", "socket"), ("u", "setsockopt", IP, 10, how), ("u", "getsockopt", IP, 14), ("u", "connect", ("peer", "L")), 0.1, ("p", "peer_accept"),
            ("u", "getsockopt", IP, 14), ("p", "mute", 1), ("u", "send", b"lost" * 20), ("p", "icmp", 3, 4, 1300 - 20 * how), 0.03,
            ("u", "getsockopt", IP, 14), ("u", "getsockopt", TCP, 2), ("u", "getsockopt", SOL, SO_ERROR), ("p", "mute", 0), ("u", "reset"), ("p", "reset"),
        ]
    ],
    "IP_MTU": CONNECT + [("u", "getsockopt", IP, 14), ("u", "setsockopt", IP, 14, 1)],
    "IP_MTU of a connection that is over": CONNECT + [("p", "reset"), 0.1, ("u", "recv", 1), ("u", "getsockopt", IP, 14)],
}
