"""Two worlds in which the same socket calls are made: sockets of xsiftr's endpoint, and sockets of Linux. In both the socket under test is at
192.0.2.1 and the peer is Linux at 192.0.2.2, so that what a call gives, and what the peer sees of it, can be compared line by line.

Values that no rule gives are replaced by words: ephemeral ports, and numbers of descriptors, which are not shown.
"""

import ctypes
import errno
import fcntl
import http.client
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/examples"))
import xsiftr_sockets as xs  # noqa: E402

US, PEER = "192.0.2.1", "192.0.2.2"
HOSTS = {
    "us": US,
    "peer": PEER,
    "any": "0.0.0.0",
    "nobody": "192.0.2.99",
    "nonet": "203.0.113.1",
    "other": "198.51.100.1",
    "group": "224.0.0.1",
    "bcast": "192.0.2.255",
}
# The first listener of the peer, one a lane, and a port of it that nobody listens on.
PEER_LISTENER, PEER_CLOSED = 7001, 7000
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(ns):
    fd = os.open("/run/netns/" + ns, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def checksum(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


class LinuxSocket:
    """A socket of Linux with the methods of the endpoint's; Python itself keeps no time and no mode of it."""

    def __init__(self, s):
        self.s = s
        s.setblocking(True)

    @property
    def fd(self):
        return self.s.fileno()

    def bind(self, a):
        return self._address(libc.bind, a)

    def connect(self, a):
        return self._address(libc.connect, a)

    def _address(self, call, a):
        sa = xs.sockaddr(a)
        if call(self.fd, sa, len(sa)) != 0:
            raise OSError(ctypes.get_errno(), "")

    def listen(self, n):
        if libc.listen(self.fd, n) != 0:
            raise OSError(ctypes.get_errno(), "")

    def accept(self, flags=0):
        sa, size = ctypes.create_string_buffer(16), ctypes.c_int(16)
        fd = libc.accept4(self.fd, sa, ctypes.byref(size), flags)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "")
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        made = LinuxSocket(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd))
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        return made, xs.address(sa.raw)

    def recv(self, n, flags=0):
        # By number: Python's own gives a buffer for MSG_TRUNC.
        buf = ctypes.create_string_buffer(max(1, n))
        got = libc.recv(self.fd, buf, n, flags)
        if got < 0:
            raise OSError(ctypes.get_errno(), "")
        return b"" if flags & socket.MSG_TRUNC else buf.raw[:got]

    def recv_count(self, n, flags=0):
        buf = ctypes.create_string_buffer(max(1, n))
        got = libc.recv(self.fd, buf, n, flags)
        if got < 0:
            raise OSError(ctypes.get_errno(), "")
        return got

    def recvmsg(self, n, controllen=0, flags=0):
        data, control, got, where = self.s.recvmsg(n, controllen, flags)
        return data, b"", got, where

    def send(self, data, flags=0):
        got = libc.send(self.fd, data, len(data), flags | socket.MSG_NOSIGNAL)
        if got < 0:
            raise OSError(ctypes.get_errno(), "")
        return got

    def sendto(self, data, flags, where):
        sa = xs.sockaddr(where)
        got = libc.sendto(self.fd, data, len(data), flags | socket.MSG_NOSIGNAL, sa, len(sa))
        if got < 0:
            raise OSError(ctypes.get_errno(), "")
        return got

    def sendmsg(self, data, control=b"", flags=0, where=b""):
        return self.s.sendmsg([data], [], flags | socket.MSG_NOSIGNAL)

    def shutdown(self, how):
        if libc.shutdown(self.fd, how) != 0:
            raise OSError(ctypes.get_errno(), "")

    def close(self):
        self.s.close()

    def getsockname(self):
        return self.s.getsockname()

    def getpeername(self):
        return self.s.getpeername()

    def setsockopt(self, level, name, value):
        raw = struct.pack("=i", value) if isinstance(value, int) else value
        if libc.setsockopt(self.fd, level, name, raw, len(raw)) != 0:
            raise OSError(ctypes.get_errno(), "")

    def getsockopt(self, level, name, buflen=0):
        buf, size = ctypes.create_string_buffer(max(buflen, 4)), ctypes.c_int(buflen or 4)
        if libc.getsockopt(self.fd, level, name, buf, ctypes.byref(size)) != 0:
            raise OSError(ctypes.get_errno(), "")
        value = buf.raw[:size.value]
        return value if buflen else int.from_bytes(value, "little", signed=True)

    def fcntl(self, cmd, arg=0):
        return fcntl.fcntl(self.fd, cmd, arg)

    def ioctl(self, request):
        buf = ctypes.c_int(0)
        if libc.ioctl(self.fd, request, ctypes.byref(buf)) != 0:
            raise OSError(ctypes.get_errno(), "")
        return buf.value


class World:
    """`near`: the namespace of the Linux sockets under test, or None with the path of an endpoint; `far`: that of the peer. Worlds of several
    lanes have nothing to do with each other but for that."""

    def __init__(self, name, far, near=None, path=None, lane=0):
        self.name, self.far, self.near, self.path = name, far, near, path
        self.ep = xs.Endpoint(path) if path else None
        self.sockets = {}
        self.ports = {"L": PEER_LISTENER + lane, "closed": PEER_CLOSED, "0": 0}
        self.waiting = {}
        self.others = []
        self.sniffer, self.quoted = None, b""
        enter(far)
        # The peer gives cookies of TCP Fast Open where a listener of it wants that.
        with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as f:
            f.write("3")
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((PEER, PEER_LISTENER + lane))
        self.listener.listen(1024)
        self.listener.setblocking(False)

    def base(self, port):
        """The ports A to D of the script that follows."""
        for i, letter in enumerate("ABCD"):
            self.ports[letter] = port + i

    def new(self, who, *args):
        """socket(2): of the endpoint or in the namespace of the one whose name it is."""
        args = args or (socket.AF_INET, socket.SOCK_STREAM, 0)
        if who[0] == "u" and self.ep:
            return xs.Socket(self.ep, self.ep.call(xs.SOCKET, -1, *args)[0])
        enter(self.near if who[0] == "u" else self.far)
        fd = libc.socket(*args)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "")
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        s = LinuxSocket(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd))
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        return s

    def where(self, a):
        """("peer", "L") as an address; bytes and other values as they are."""
        if isinstance(a, (list, tuple)):
            return (HOSTS[a[0]], self.ports[a[1]])
        return a

    def shown(self, address):
        """An address in the words of the scripts."""
        host, port = address
        name = next((n for n, h in HOSTS.items() if h == host), host)
        letter = next((n for n, p in self.ports.items() if p == port), "ephemeral")
        return f"{name}:{letter}"

    def step(self, who, call, *args):
        """Makes a call and says what came of it, in one line."""
        try:
            return self.show(self.do(who, call, args, None))
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e.errno))

    def begin(self, who, call, *args):
        """Makes a call in a thread; `finish` says what came of it."""
        box = []

        def work():
            try:
                box.append(self.show(self.do(who, call, args, True)))
            except OSError as e:
                box.append(errno.errorcode.get(e.errno, str(e.errno)))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.waiting[who] = (thread, box)

    def finish(self, who, seconds=10):
        thread, box = self.waiting.pop(who)
        thread.join(seconds)
        return box[0] if box else "blocks"

    def show(self, value):
        if value is None:
            return "ok"
        if isinstance(value, tuple) and len(value) == 2:
            return self.shown(value)
        return repr(value)

    def do(self, who, call, args, other):
        if call == "socket":
            self.put(who, self.new(who, *args))
            return None
        if call in ("mute", "icmp"):
            return getattr(self, call)(*args)
        s = self.sockets.get(who)
        if s is None:
            return "none"
        if other and isinstance(s, xs.Socket):
            # A call that blocks has a connection to the endpoint of its own.
            self.others.append(xs.Endpoint(self.path))
            s = xs.Socket(self.others[-1], s.fd)
        if call in ("bind", "connect"):
            return getattr(s, call)(self.where(args[0]))
        if call == "sendto":
            return s.sendto(args[0], args[1], self.where(args[2]))
        if call == "accept":
            made, peer = s.accept(*args[1:])
            if isinstance(made, xs.Socket):
                made.endpoint = self.ep
            self.put(args[0], made)
            return peer
        if call == "shares":
            # How many connections all had in their queues, and whether each had some: which has which no rule gives.
            shares = [self.accept_all(name) for name in (who, *args)]
            return [sum(shares), sum(shares) < len(shares) or min(shares) > 0]
        if call == "reset_or_not":
            # Of `n` peers' connections: each was reset or can be accepted, and there are some of both.
            n, name = args
            resets = sum(self.poll(self.sockets[f"p{i}"]) & select.POLLERR != 0 for i in range(n))
            return [resets + self.accept_all(name), 0 < resets < n]
        if call == "close":
            del self.sockets[who]
            return s.close()
        if call == "poll":
            return hex(self.poll(s, *args))
        if call == "nonblock":
            return s.fcntl(fcntl.F_SETFL, os.O_NONBLOCK if args[0] else 0) and None
        if call == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            del self.sockets[who]
            return s.close()
        return getattr(s, call)(*args)

    def mute(self, on):
        """The peer's TCP says nothing from now on, and what it is sent is noted; or it speaks again."""
        enter(self.far)
        if on:
            self.sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
            self.sniffer.settimeout(2)
            self.quoted = b""
            rules = "add table ip mute; add chain ip mute out { type filter hook output priority 0; policy accept; }; " \
                "add rule ip mute out meta l4proto tcp drop"
        else:
            self.sniffer.close()
            rules = "delete table ip mute"
        subprocess.run(["nft", rules], check=True)

    def icmp(self, kind, code, mtu=0):
        """The peer's host sends an ICMP error about the first data that came since it is mute. Shows whether that may be fragmented."""
        enter(self.far)
        packet = self.quoted
        while len(packet) < 60 or packet[9] != socket.IPPROTO_TCP or packet[12:16] != socket.inet_aton(US):
            packet = self.quoted = self.sniffer.recv(65536)
        error = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + packet[:28]
        error = error[:2] + struct.pack("!H", checksum(error)) + error[4:]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.sendto(error, (US, 0))
        return "DF" if packet[6] & 0x40 else "no DF"

    def accept_all(self, who):
        """How many connections a listener has in its queue; they are closed."""
        n = 0
        while True:
            try:
                self.sockets[who].accept()[0].close()
            except BlockingIOError:
                return n
            n += 1

    def put(self, who, made):
        """Gives a socket a name; who had it before is closed."""
        old, self.sockets[who] = self.sockets.get(who), made
        if old:
            old.close()

    def poll(self, s, events=0x7FFF, timeout=0):
        if isinstance(s, xs.Socket):
            return s.endpoint.poll([(s, events)], timeout)[0]
        p = select.poll()
        p.register(s.fd, events)
        found = p.poll(timeout)
        return found[0][1] if found else 0

    def peer_accept(self, who):
        """The peer accepts at its listener."""
        try:
            made, _ = self.listener.accept()
        except OSError as e:
            return errno.errorcode[e.errno]
        made.setblocking(True)
        self.put(who, LinuxSocket(made))
        fcntl.fcntl(made.fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
        return "ok"

    def clear(self):
        """Ends everything of a script, with RST."""
        for s in self.sockets.values():
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
            except OSError:
                pass
        for ep in self.others:
            ep.close()
        self.sockets.clear()
        self.waiting.clear()
        self.others.clear()
        while self.peer_accept("rest") == "ok":
            s = self.sockets.pop("rest")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()


def both(argv, lane=0):
    """The two worlds by the arguments PATH FAR NEAR2 FAR2: the endpoint with its peer's namespace, and two namespaces of Linux alone."""
    path, far, near2, far2 = argv
    return World("xsiftr", far, path=path, lane=lane), World("linux", far2, near=near2, lane=lane)


class Control:
    """The control socket of the xsiftr under test."""

    def __init__(self, path):
        self.path, self.http = path, http.client.HTTPConnection("localhost")

    def get(self, url):
        if self.http.sock is None:
            self.http.sock = socket.socket(socket.AF_UNIX)
            self.http.sock.connect(self.path)
        self.http.request("GET", url)
        return self.http.getresponse().read().decode()

    def wait_for_rest(self):
        """Until xsiftr has done all that had come: a machine may keep it from running for longer than any pause."""
        was = None
        while True:
            waiting = sum(map(int, re.findall(r"occupancy: (\d+)", self.get("/kstat?sel=rx-ring"))))
            text = self.get("/netstat?s=1")
            handed, taken = (int(re.search(rf"(\d+) frames? {what} other shards", text)[1]) for what in ("handed to", "taken from"))
            # Every shard answers, between two passes: what it had taken is done.
            self.get("/netstat")
            if was == handed == taken and waiting == 0:
                return
            was = handed


CONTROL = Control(os.environ["XSIFTR_CONTROL"]) if "XSIFTR_CONTROL" in os.environ else None


def settle(seconds):
    """What has been sent by now arrives, and is dealt with: by Linux in no time, by xsiftr once it has run."""
    time.sleep(seconds)
    if CONTROL:
        CONTROL.wait_for_rest()
