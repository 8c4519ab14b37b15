"""A stack with only a Unix link, driven from outside: packets over the link (mode=ip), calls over the endpoint, virtual time.

    unixlink.py LINK SOCKETS      prints what it sees, one line each; the time is the stack's, in microseconds
"""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/examples"))
import xsiftr_sockets as xs  # noqa: E402

US, PEER = "192.0.2.1", "192.0.2.2"
FIN, SYN, RST, ACK = 1, 2, 4, 16
NONBLOCK = 0o4000


def checksum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


class Peer:
    """The other host, segment by segment."""

    def __init__(self, path, ep):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(path)
        self.ep = ep
        self.sent = 0

    def send(self, sport, dport, seq, ack, flags, data=b""):
        """Injects a segment, and waits until the stack has finished with it (LINKSYNC)."""
        tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0) + data
        src, dst = socket.inet_aton(PEER), socket.inet_aton(US)
        tcp = tcp[:16] + struct.pack("!H", checksum(src + dst + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, src, dst)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self.link.sendall(struct.pack("!I", len(ip + tcp)) + ip + tcp)
        self.sent += 1
        self.ep.linksync(self.sent)

    def exactly(self, n):
        b = b""
        while len(b) < n:
            b += self.link.recv(n - len(b))
        return b

    def recv(self):
        """The next segment that the stack sent: (sport, dport, seq, ack, flags, data)."""
        packet = self.exactly(struct.unpack("!I", self.exactly(4))[0])
        tcp = packet[20:]
        sport, dport, seq, ack, off, flags = struct.unpack("!HHIIBB", tcp[:14])
        return sport, dport, seq, ack, flags, tcp[(off >> 4) * 4:]


def errno_of(call, *args):
    try:
        call(*args)
        return "ok"
    except OSError as e:
        return xs.os.strerror(e.errno)


def main():
    ep = xs.Endpoint(sys.argv[2])
    peer = Peer(sys.argv[1], ep)
    print("time before it is virtual:", errno_of(ep.clock, 5))
    start = ep.clock(virtual=True)
    print("time stands still:", ep.clock() - start)

    listener = ep.socket()
    listener.setblocking(False)
    listener.bind((US, 80))
    listener.listen(5)
    peer.send(1234, 80, 1000, 0, SYN)
    _, _, seq, ack, flags, _ = peer.recv()
    print("SYN,ACK:", flags == SYN | ACK, ack)
    # No call that follows may overtake a segment that was injected before.
    peer.send(1234, 80, 1001, seq + 1, ACK)
    conn, who = listener.accept(NONBLOCK)
    print("accepted:", who)
    peer.send(1234, 80, 1001, seq + 1, ACK, b"hello")
    print("received:", conn.recv(10))
    conn.close()
    listener.close()
    while True:
        _, _, fin, _, flags, _ = peer.recv()
        if flags & FIN:
            break
    peer.send(1234, 80, 1006, fin + 1, ACK | FIN)

    # We closed first: TIME_WAIT, two maximum segment lifetimes of 30 s (RFC 9293 section 3.4.2).
    s = ep.socket()
    print("port in TIME_WAIT:", errno_of(s.bind, (US, 80)))
    ep.clock(advance=59_999_999)
    print("a microsecond before its end:", errno_of(s.bind, (US, 80)))
    ep.clock(advance=1)
    print("at its end:", errno_of(s.bind, (US, 80)))
    print("time gone by:", ep.clock() - start)

    t = ep.clock()
    s = ep.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 1, 250000))
    s.listen(1)
    print("accept with SO_RCVTIMEO:", errno_of(s.accept), ep.clock() - t)
    t = ep.clock()
    print("poll:", ep.poll([(s, 1)], 400), ep.clock() - t)
    # Nobody answers: as somebody waits, time jumps to the end of net.inet.tcp.keepinit, 75 s.
    t = ep.clock()
    s = ep.socket()
    print("connect:", errno_of(s.connect, (PEER, 81)), ep.clock() - t)
    print("link 7:", errno_of(ep.linksync, 1, 7))


main()
