"""TCP Fast Open of Linux for tests.

python3 tfo.py client ADDR PORT COUNT BYTES: connections to an echo server, one after the other, each with its data in the SYN where
Linux has the cookie. Says how many gave back what they got.
python3 tfo.py server ADDR PORT: an echo server; says "serving" and runs until killed.
"""

import json
import socket
import sys


def client(addr, port, count, size):
    good = 0
    for i in range(int(count)):
        mine = bytes((i + j) % 251 for j in range(int(size)))
        s = socket.socket()
        s.sendto(mine, socket.MSG_FASTOPEN, (addr, int(port)))
        back = b""
        while len(back) < len(mine):
            c = s.recv(1 << 16)
            if not c:
                break
            back += c
        good += back == mine
        s.shutdown(socket.SHUT_WR)
        s.recv(1)
        s.close()
    print(json.dumps({"good": good}))


def server(addr, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    s.bind((addr, int(port)))
    s.listen(16)
    print("serving", flush=True)
    while True:
        c, _ = s.accept()
        while True:
            b = c.recv(1 << 16)
            if not b:
                break
            c.sendall(b)
        c.close()


{"client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
