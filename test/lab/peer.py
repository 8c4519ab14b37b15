"""A TCP peer for tests: python3 peer.py COMMAND ARGS; prints one JSON object. Blocking sockets, checked payloads."""

import errno
import hashlib
import json
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

US = "192.0.2.1"
ECHO, DISCARD, CHARGEN, DAYTIME, HTTP = 7, 9, 19, 13, 80


def body(n, seed=1):
    """n bytes that differ from place to place, the same for the same seed."""
    block = hashlib.shake_128(b"%d" % seed).digest(min(n, 65521))
    return (block * (n // 65521 + 1))[:n] if n else b""


def chargen(n):
    """What RFC 864 says a character generator sends, its first n bytes."""
    ring = bytes(range(32, 127))
    period = b"".join((ring + ring)[i : i + 72] + b"\r\n" for i in range(95))
    return (period * (n // len(period) + 1))[:n]


def dial(port, **options):
    s = socket.socket()
    s.settimeout(30)
    if "rcvbuf" in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["rcvbuf"])
    s.connect((US, port))
    return s


def recv_all(s, most=None):
    chunks, got = [], 0
    while most is None or got < most:
        c = s.recv(1 << 18 if most is None else min(1 << 18, most - got))
        if not c:
            break
        chunks.append(c)
        got += len(c)
    return b"".join(chunks)


def rst(s):
    """Closes with a RST: SO_LINGER of zero seconds."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def echo(n):
    """Sends n bytes and a FIN, reads meanwhile; the echo must be the same bytes, then a FIN."""
    n = int(n)
    sent = body(n)
    s = dial(ECHO)

    def feed():
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=feed)
    t.start()
    back = recv_all(s)
    t.join()
    s.close()
    return {"bytes": len(back), "same": back == sent}


def echo_sizes(*sizes):
    return [echo(n) for n in sizes]


def discard(n):
    s = dial(DISCARD)
    s.sendall(body(int(n)))
    s.shutdown(socket.SHUT_WR)
    rest = recv_all(s)
    s.close()
    return {"back": len(rest)}


def read_chargen(n):
    n = int(n)
    s = dial(CHARGEN)
    got = recv_all(s, n)
    rst(s)
    return {"bytes": len(got), "same": got == chargen(n)}


def http_bytes(*sizes):
    """GET /bytes/N: byte p of the body is p modulo 251."""
    out = []
    for n in map(int, sizes):
        s = dial(HTTP)
        s.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % n)
        head, _, got = recv_all(s).partition(b"\r\n\r\n")
        s.close()
        ring = bytes(range(251))
        right = (ring * (n // 251 + 1))[:n]
        out.append({"status": int(head.split()[1]), "bytes": len(got), "same": got == right})
    return out


def many_at_once(count):
    """`count` connections to echo are opened before the first is used; each has its own bytes."""
    count = int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    poll = select.epoll()
    socks = {}
    for i in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((US, ECHO))
        socks[s.fileno()] = [s, body(600 + i, i), b""]
        poll.register(s.fileno(), select.EPOLLOUT)
    opened, good, bad = 0, 0, []
    pending = []
    end = time.monotonic() + 40
    while good + len(bad) < count and time.monotonic() < end:
        for fd, event in poll.poll(1):
            entry = socks[fd]
            s, mine, back = entry
            if event & select.EPOLLOUT:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    bad.append(error)
                    poll.unregister(fd)
                    continue
                opened += 1
                pending.append(fd)
                poll.modify(fd, 0)
                if opened == count:
                    for other in pending:
                        socks[other][0].send(socks[other][1])
                        poll.modify(other, select.EPOLLIN)
                continue
            try:
                c = s.recv(1 << 16)
            except OSError as e:
                bad.append(e.errno)
                poll.unregister(fd)
                continue
            entry[2] = back + c
            if not c or len(entry[2]) >= len(mine):
                poll.unregister(fd)
                if entry[2] == mine:
                    good += 1
                else:
                    bad.append("payload")
    for s, _, _ in socks.values():
        s.close()
    return {"opened": opened, "good": good, "bad": bad[:5]}


def many_in_sequence(count):
    good = 0
    for i in range(int(count)):
        s = dial(ECHO)
        mine = body(1 + i, i)
        s.sendall(mine)
        good += recv_all(s, len(mine)) == mine
        s.shutdown(socket.SHUT_WR)
        good += s.recv(1) == b""
        s.close()
    return {"good": good}


def half_close_by_peer(n):
    """FIN first, then the whole answer: /bytes/N for a request whose sender has finished."""
    n = int(n)
    s = dial(HTTP)
    s.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % n)
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    got = recv_all(s).partition(b"\r\n\r\n")[2]
    s.close()
    return {"bytes": len(got)}


def half_close_by_us(n):
    """daytime finishes first and still takes what comes."""
    s = dial(DAYTIME)
    line = recv_all(s)
    s.sendall(body(int(n)))
    s.shutdown(socket.SHUT_WR)
    # the kernel has everything acknowledged when the connection leaves its table
    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    s.close()
    return {"line": line.decode(), "error": error}


def reset(port, n):
    s = dial(int(port))
    if int(n):
        s.sendall(body(int(n)))
    rst(s)
    return {}


def zero_window_of_peer(n, seconds):
    """Reads nothing of chargen for a while, then n bytes of it."""
    s = dial(CHARGEN, rcvbuf=16384)
    time.sleep(float(seconds))
    got = recv_all(s, int(n))
    rst(s)
    return {"bytes": len(got), "same": got == chargen(int(n))}


def zero_window_of_us(n, seconds):
    """Writes n bytes to echo and reads nothing for a while, so that both its buffers fill; then reads all."""
    n = int(n)
    sent = body(n)
    s = dial(ECHO, rcvbuf=16384)
    progress = [0]

    def feed():
        while progress[0] < n:
            progress[0] += s.send(sent[progress[0] : progress[0] + 65536])
        s.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=feed)
    t.start()
    time.sleep(float(seconds))
    stuck = progress[0]
    back = recv_all(s)
    t.join()
    s.close()
    return {"stuck_at": stuck, "bytes": len(back), "same": back == sent}


def hold(port, count):
    """Opens connections, says so, and sleeps until killed."""
    held = [dial(int(port)) for _ in range(int(count))]
    print("holding", len(held), flush=True)
    time.sleep(60)


def hold(sent, wanted, idle):
    """
    Three connections that stay open until a signal: to echo, over which `sent` bytes went and came back; to http, which sent a
    body of `wanted` bytes that was read; to discard, over which nothing went for at least `idle` seconds and which has keepalive.
    """
    e, h, d = dial(ECHO), dial(HTTP), dial(DISCARD)
    d.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    data = body(int(sent))
    t = threading.Thread(target=e.sendall, args=(data,))
    t.start()
    same = recv_all(e, len(data)) == data
    t.join()
    h.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % int(wanted))
    head = b""
    while b"\r\n\r\n" not in head:
        head += h.recv(1)
    got = recv_all(h, int(wanted))
    time.sleep(float(idle))
    ports = [s.getsockname()[1] for s in (e, h, d)]
    print(json.dumps({"echo": ports[0], "http": ports[1], "idle": ports[2], "same": same, "head": len(head), "body": len(got)}), flush=True)
    signal.pause()


def endings(port, count):
    """Opens connections, says from which ports, and reads each to its end: an empty string for a FIN, else the errno's name."""
    count = int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    socks = [dial(int(port)) for _ in range(count)]
    print(json.dumps([s.getsockname()[1] for s in socks]), flush=True)
    ends = {}
    for s in socks:
        s.settimeout(60)
        local = s.getsockname()[1]
        try:
            while s.recv(65536):
                pass
            ends[local] = ""
        except OSError as e:
            ends[local] = errno.errorcode.get(e.errno, "timeout")
    return ends


def main():
    result = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(result))


main()
