"""TCP servers of Linux for tests: python3 servers.py PORT. Says "serving" and runs until killed.

PORT echoes until the FIN, PORT+1 sends one line and closes at once, PORT+2 reads 100 bytes and resets, PORT+3 never accepts.
"""

import socket
import struct
import sys
import threading

base = int(sys.argv[1])


def listener(port, backlog=512):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("192.0.2.2", port))
    s.listen(backlog)
    return s


def each(port, serve):
    def loop(s):
        while True:
            c, _ = s.accept()
            threading.Thread(target=serve, args=(c,), daemon=True).start()

    threading.Thread(target=loop, args=(listener(port),), daemon=True).start()


def echo(c):
    try:
        while True:
            b = c.recv(1 << 16)
            if not b:
                break
            c.sendall(b)
        c.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    c.close()


def line(c):
    c.sendall(b"220 hello\r\n")
    c.close()


def reset(c):
    got = 0
    while got < 100:
        got += len(c.recv(1000))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


each(base, echo)
each(base + 1, line)
each(base + 2, reset)
deaf = listener(base + 3)
print("serving", flush=True)
threading.Event().wait()
