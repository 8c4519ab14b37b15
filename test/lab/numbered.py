"""Numbered UDP packets, to see what a path does to each of them.

numbered.py recv PORT IDLE              says "listening"; ends when no packet came for IDLE seconds (10 before the first);
                                        prints {"got": numbers in order of arrival, "end": monotonic time of the last, s}
numbered.py send HOST PORT N SIZE GAP   N packets of SIZE bytes of payload, GAP seconds between two; prints the monotonic
                                        time before the first
"""

import json
import socket
import struct
import sys
import time


def recv(port, idle):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind(("", int(port)))
    print("listening", flush=True)
    s.settimeout(10)
    got, end = [], 0
    try:
        while True:
            got.append(struct.unpack("!I", s.recv(65536)[:4])[0])
            end = time.monotonic()
            s.settimeout(float(idle))
    except TimeoutError:
        print(json.dumps({"got": got, "end": end}))


def send(host, port, n, size, gap):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
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
