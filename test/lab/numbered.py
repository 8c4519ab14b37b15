"""Numbered UDP packets, to see what a path does to each of them.

numbered.py recv PORT                   says "listening"; ends on SIGTERM, when it has taken what has come by then;
                                        prints {"got": numbers in order of arrival, "ce": those with CE set,
                                        "end": monotonic time of the last, s}
numbered.py send HOST PORT N SIZE GAP TOS   N packets of SIZE bytes of payload, GAP seconds between two, or none, so that
                                        nothing comes between them, with GAP 0; prints the monotonic time before the first
"""

import json
import os
import select
import signal
import socket
import struct
import sys
import time

# Linux's, which the module does not name. Nothing that arrives may be lost to a busy machine.
SO_RCVBUFFORCE = 33
UDP_SEGMENT = 103
# What is on its way from one end of a veth to the other takes less, s.
LAST = 0.1


def recv(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    s.bind(("", int(port)))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    s.setblocking(False)
    # A signal is a byte in a pipe here, so that it comes between two packets.
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("listening", flush=True)
    got, ce, end, ending = [], [], 0, False
    while True:
        ready, _, _ = select.select([s] if ending else [s, told], [], [], LAST if ending else None)
        if s in ready:
            try:
                data, (tos,), _, _ = s.recvmsg(65536, 64)
            except BlockingIOError:
                # Its checksum was wrong, as is found when it is read.
                continue
            got.append(struct.unpack("!I", data[:4])[0])
            if tos[2][0] & 3 == 3:
                ce.append(got[-1])
            end = time.monotonic()
        elif ending:
            break
        else:
            ending = True
    print(json.dumps({"got": got, "ce": ce, "end": end}))


def burst(s, packets):
    """Packets of one size in as few calls as may be: the kernel takes them apart, and no other program comes between them."""
    size = len(packets[0])
    most = min(64, 65000 // size)
    for i in range(0, len(packets), most):
        s.sendmsg([b"".join(packets[i:i + most])], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))])


def send(host, port, n, size, gap, tos):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(tos))
    s.connect((host, int(port)))
    rest = bytes(int(size) - 4)
    packets = [struct.pack("!I", i) + rest for i in range(1, int(n) + 1)]
    start = time.monotonic()
    print(start)
    if float(gap) == 0:
        burst(s, packets)
        return
    for i, packet in enumerate(packets, 1):
        s.send(packet)
        wait = start + i * float(gap) - time.monotonic()
        if wait > 0:
            time.sleep(wait)


globals()[sys.argv[1]](*sys.argv[2:])
