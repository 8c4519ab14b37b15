"""One bulk flow on one connection, for comparing senders: the receiver is the same whoever sends.

bulk.py serve PORT CC         a sender of Linux's: waits for a request and sends zeros until the receiver goes; says "serving"
bulk.py fetch HOST PORT N S   asks by HTTP for /bytes/N and reads for S seconds from the first byte on, then resets the connection;
                              prints one JSON object: seconds, bytes, and bytes so far every 0.1 s
"""

import json
import socket
import struct
import sys
import time

STEP = 0.1
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def serve(port, cc):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())
    s.bind(("", int(port)))
    s.listen()
    print("serving", flush=True)
    block = bytes(1 << 17)
    while True:
        c, _ = s.accept()
        assert c.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == cc.encode()
        try:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += c.recv(4096)
            c.sendall(HEAD % int(request.split()[1].split(b"/")[-1]) + block[:1000])
            while True:
                c.sendall(block)
        except OSError:
            c.close()


def fetch(host, port, n, seconds):
    s = socket.create_connection((host, int(port)), timeout=10)
    s.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % int(n))
    got = len(s.recv(1 << 18))
    start = now = time.monotonic()
    end, steps = start + float(seconds), []
    while now < end:
        s.settimeout(max(end - now, 0.001))
        try:
            chunk = len(s.recv(1 << 18))
        except TimeoutError:
            chunk = -1
        if chunk == 0:
            break
        got += max(chunk, 0)
        now = time.monotonic()
        while len(steps) < (now - start) / STEP - 1:
            steps.append(got)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    print(json.dumps({"seconds": now - start, "bytes": got, "steps": steps}))


globals()[sys.argv[1]](*sys.argv[2:])
