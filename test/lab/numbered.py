"""Numbered UDP packets, to see what a path does to each of them.

numbered.py recv PORT IDLE              says "listening"; ends when no packet came for IDLE seconds (10 before the first);
                                        prints {"got": numbers in order of arrival, "ce": those with CE set,
                                        "end": monotonic time of the last, s}
numbered.py send HOST PORT N SIZE GAP TOS   N packets of SIZE bytes of payload, GAP seconds between two; prints the
                                        monotonic time before the first
"""

import json
import socket
import struct
import sys
import time

# Linux's, which the module does not name. Nothing that arrives may be lost to a busy machine.
SO_RCVBUFFORCE = 33


def recv(port, idle):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    s.bind(("", int(port)))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    print("listening", flush=True)
    s.settimeout(10)
    got, ce, end = [], [], 0
    try:
        while True:
            data, (tos,), _, _ = s.recvmsg(65536, 64)
            got.append(struct.unpack("!I", data[:4])[0])
            if tos[2][0] & 3 == 3:
                ce.append(got[-1])
            end = time.monotonic()
            s.settimeout(float(idle))
    except TimeoutError:
        print(json.dumps({"got": got, "ce": ce, "end": end}))


def send(host, port, n, size, gap, tos):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(tos))
    s.connect((host, int(port)))
    rest = bytes(int(size) - 4)
    start = time.monotonic()
    print(start)
    for i in range(1, int(n) + 1):
        s.send(struct.pack("!I", i) + rest)
        wait = start + i * float(gap) - time.monotonic()
        if wait > 0:
            time.sleep(wait)


globals()[sys.argv[1]](*sys.argv[2:])
