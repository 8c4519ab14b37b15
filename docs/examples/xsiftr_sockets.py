"""Sockets on a running xsiftr, over its socket endpoint (xsiftr --sockets PATH; docs/endpoint.md).

    import xsiftr_sockets as xs
    ep = xs.Endpoint("/run/xsiftr/sockets")
    s = ep.socket()
    s.connect(("192.0.2.2", 80))
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(s.recv(65536))

A Socket has the methods of Python's own socket, and errors are OSError with Linux's numbers. A call that blocks blocks its Endpoint (one
connection, one request at a time): a thread that waits opens an Endpoint of its own and takes the descriptor along, `Socket(ep2, s.fd)`.
Sockets made over an Endpoint are closed with it. Needs nothing but the standard library.
"""
import os
import socket as _socket
import struct

(SOCKET, BIND, LISTEN, ACCEPT, CONNECT, RECV, SEND, FCNTL, IOCTL, CLOSE, SHUTDOWN, GETSOCKOPT, SETSOCKOPT, POLL,
 GETSOCKNAME, GETPEERNAME, SENDMSG, RECVMSG) = range(1, 19)
LINKSYNC, CLOCK = 20, 21

SIOCOUTQ, FIONREAD = 0x5411, 0x541B
F_GETFL, F_SETFL = 3, 4
# Most bytes that one call carries, address included: send takes no more of what it is given.
PAYLOAD_MAX = 1 << 20


def sockaddr(address):
    """The bytes of a sockaddr_in; bytes are passed through as they are."""
    if isinstance(address, bytes):
        return address
    host, port = address
    return struct.pack("=H", _socket.AF_INET) + struct.pack("!H", port) + _socket.inet_aton(host) + bytes(8)


def address(sa):
    """The (host, port) of a sockaddr_in."""
    return (_socket.inet_ntoa(sa[4:8]), struct.unpack("!H", sa[2:4])[0])


class Endpoint:
    """A connection to the endpoint."""

    def __init__(self, path):
        self._io = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._io.connect(path)

    def request(self, op, fd=-1, a=0, b=0, c=0, payload=b""):
        """Sends a request and waits for its reply: (ret, errno, aux, payload)."""
        self.begin(op, fd, a, b, c, payload)
        return self.finish()

    def begin(self, op, fd=-1, a=0, b=0, c=0, payload=b""):
        """Sends a request; `finish` waits for its reply."""
        self._io.sendall(struct.pack("!IHHiiii", 20 + len(payload), op, 0, fd, a, b, c) + payload)

    def finish(self):
        size, = struct.unpack("!I", self._exactly(4))
        reply = self._exactly(size)
        return struct.unpack("!iii", reply[:12]) + (reply[12:],)

    def call(self, op, fd=-1, a=0, b=0, c=0, payload=b""):
        """The same as `request`, and an error is raised: (ret, aux, payload)."""
        ret, errno, aux, data = self.request(op, fd, a, b, c, payload)
        if ret < 0:
            raise OSError(errno, os.strerror(errno))
        return ret, aux, data

    def _exactly(self, n):
        parts = []
        while n > 0:
            part = self._io.recv(n)
            if not part:
                raise ConnectionError("the endpoint has closed the connection")
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def socket(self, family=_socket.AF_INET, type=_socket.SOCK_STREAM, proto=0):
        return Socket(self, self.call(SOCKET, -1, family, type, proto)[0])

    def poll(self, fds, timeout=-1):
        """poll(2): `fds` are (socket or descriptor, events), `timeout` milliseconds; the revents in the same order."""
        numbers = [(s.fd if isinstance(s, Socket) else s, events) for s, events in fds]
        payload = b"".join(struct.pack("=ihh", fd, events, 0) for fd, events in numbers)
        _, _, found = self.call(POLL, -1, len(numbers), timeout, 0, payload)
        return [struct.unpack_from("=ihh", found, 8 * i)[2] for i in range(len(numbers))]

    def linksync(self, count, index=0):
        """Waits until link `index` has taken in `count` frames."""
        self.call(LINKSYNC, -1, count, index)

    def clock(self, advance=None, virtual=False):
        """The stack's time in microseconds; `virtual` stops it, and then `advance` microseconds go by."""
        what, us = (1, 0) if virtual else (0, 0) if advance is None else (2, advance)
        return struct.unpack("!Q", self.call(CLOCK, -1, what, us)[2])[0]

    def close(self):
        self._io.close()


class Socket:
    """A socket of the endpoint, used like Python's own."""

    def __init__(self, endpoint, fd):
        self.endpoint = endpoint
        self.fd = fd

    def _call(self, op, a=0, b=0, c=0, payload=b""):
        return self.endpoint.call(op, self.fd, a, b, c, payload)

    def fileno(self):
        return self.fd

    def bind(self, where):
        self._call(BIND, payload=sockaddr(where))

    def listen(self, backlog=128):
        self._call(LISTEN, backlog)

    def accept(self, flags=0):
        fd, _, sa = self._call(ACCEPT, flags)
        return Socket(self.endpoint, fd), address(sa)

    def connect(self, where):
        self._call(CONNECT, payload=sockaddr(where))

    def connect_ex(self, where):
        try:
            self.connect(where)
        except OSError as e:
            return e.errno
        return 0

    def recv(self, size, flags=0):
        return self._call(RECV, size, flags)[2]

    def recv_count(self, size, flags=0):
        """Number of bytes that recv(2) returns: with MSG_TRUNC they are thrown away."""
        return self._call(RECV, size, flags)[0]

    def recvmsg(self, size, controllen=0, flags=0):
        _, msg_flags, reply = self._call(RECVMSG, size, flags, controllen)
        addrlen, ctl = struct.unpack("!HH", reply[:4])
        sa, control, data = reply[4:4 + addrlen], reply[4 + addrlen:4 + addrlen + ctl], reply[4 + addrlen + ctl:]
        return data, control, msg_flags, address(sa) if sa else None

    def send(self, data, flags=0):
        return self._call(SEND, flags, payload=bytes(data[:PAYLOAD_MAX]))[0]

    def sendall(self, data, flags=0):
        data = memoryview(bytes(data))
        while data:
            data = data[self.send(data, flags):]

    def sendto(self, data, flags, where):
        sa = sockaddr(where)
        return self._call(SEND, flags, len(sa), payload=sa + bytes(data[:PAYLOAD_MAX - len(sa)]))[0]

    def sendmsg(self, data, control=b"", flags=0, where=b""):
        sa = sockaddr(where)
        room = PAYLOAD_MAX - len(sa) - len(control)
        return self._call(SENDMSG, flags, len(sa), len(control), sa + control + bytes(data[:room]))[0]

    def shutdown(self, how):
        self._call(SHUTDOWN, how)

    def close(self):
        self._call(CLOSE)

    def getsockname(self):
        return address(self._call(GETSOCKNAME)[2])

    def getpeername(self):
        return address(self._call(GETPEERNAME)[2])

    def setsockopt(self, level, name, value):
        self._call(SETSOCKOPT, level, name, payload=struct.pack("=i", value) if isinstance(value, int) else value)

    def getsockopt(self, level, name, buflen=0):
        """An int, or with `buflen` so many bytes at most."""
        value = self._call(GETSOCKOPT, level, name, buflen or 4)[2]
        return value if buflen else int.from_bytes(value, "little", signed=True)

    def fcntl(self, cmd, arg=0):
        return self._call(FCNTL, cmd, arg)[0]

    def ioctl(self, request):
        return self._call(IOCTL, request)[1]

    def setblocking(self, on):
        flags = self.fcntl(F_GETFL)
        self.fcntl(F_SETFL, flags & ~os.O_NONBLOCK if on else flags | os.O_NONBLOCK)
