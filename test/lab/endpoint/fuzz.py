"""Differential fuzz: random sequences of socket calls, made to xsiftr's endpoint and to Linux, must give the same answers.

    fuzz.py PATH FAR NEAR2 FAR2 FIRST COUNT

Sequence number n is made from the seed n alone. After each call packets have time to arrive; a sequence in which something differs is played
again with much more time, as a call that overtakes a packet answers differently on one system alone, too. What differs then is a difference:
it is printed with the whole sequence, and the exit status is 1. `explained` knows those that are meant (docs/endpoint.md).
"""

import random
import struct
import sys
import time

from worlds import both, settle

SOL_SOCKET, SOL_TCP, SOL_IP = 1, 6, 0
TCP_CLOSE = b"\7"
# Sequences that are played side by side.
LANES = 24
MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC, MSG_WAITALL, MSG_OOB = 2, 0x40, 0x20, 0x100, 1

# Options with values, and those that are read back.
SET = [
    (SOL_SOCKET, 2, 1), (SOL_SOCKET, 2, 0), (SOL_SOCKET, 15, 1), (SOL_SOCKET, 15, 1), (SOL_SOCKET, 15, 0), (SOL_SOCKET, 9, 1), (SOL_SOCKET, 9, 0), (SOL_SOCKET, 7, 30000),
    (SOL_SOCKET, 8, 30000), (SOL_SOCKET, 8, 1), (SOL_SOCKET, 7, 1), (SOL_SOCKET, 13, struct.pack("ii", 1, 5)),
    (SOL_SOCKET, 13, struct.pack("ii", 0, 5)), (SOL_SOCKET, 13, b"1234"), (SOL_SOCKET, 18, 5), (SOL_SOCKET, 18, 1),
    (SOL_SOCKET, 20, struct.pack("qq", 1, 500000)), (SOL_SOCKET, 21, struct.pack("qq", 2, 0)), (SOL_SOCKET, 20, struct.pack("qq", 0, 2000000)),
    (SOL_SOCKET, 3, 1), (SOL_SOCKET, 4, 1), (SOL_SOCKET, 999, 1), (SOL_SOCKET, 2, b"\1"),
    (SOL_TCP, 1, 1), (SOL_TCP, 1, 0), (SOL_TCP, 3, 1), (SOL_TCP, 3, 0), (SOL_TCP, 4, 100), (SOL_TCP, 4, 0), (SOL_TCP, 4, 40000),
    (SOL_TCP, 5, 10), (SOL_TCP, 6, 4), (SOL_TCP, 6, 200), (SOL_TCP, 18, 30000), (SOL_TCP, 18, -1), (SOL_TCP, 13, b"cubic"),
    (SOL_TCP, 13, b"nosuch"), (SOL_TCP, 25, 100000), (SOL_TCP, 25, 0), (SOL_TCP, 9, 2), (SOL_TCP, 9, 5), (SOL_TCP, 250, 1),
    (SOL_TCP, 2, 1000), (SOL_TCP, 2, 10),
    (SOL_IP, 1, 0x10), (SOL_IP, 1, 0x13), (SOL_IP, 2, 10), (SOL_IP, 2, 256), (SOL_IP, 10, 2), (SOL_IP, 10, 9), (SOL_IP, 11, 1),
    (41, 26, 1), (99, 1, 1),
]
GET = [
    (SOL_SOCKET, 2), (SOL_SOCKET, 3), (SOL_SOCKET, 4), (SOL_SOCKET, 4), (SOL_SOCKET, 9), (SOL_SOCKET, 15), (SOL_SOCKET, 18), (SOL_SOCKET, 30),
    (SOL_SOCKET, 38), (SOL_SOCKET, 39), (SOL_SOCKET, 19), (SOL_SOCKET, 13, 8), (SOL_SOCKET, 13, 4), (SOL_SOCKET, 20, 16), (SOL_SOCKET, 21, 16),
    (SOL_TCP, 1), (SOL_TCP, 3), (SOL_TCP, 4), (SOL_TCP, 5), (SOL_TCP, 18), (SOL_TCP, 25), (SOL_TCP, 9), (SOL_TCP, 250),
    (SOL_IP, 1), (SOL_IP, 1, 1), (SOL_IP, 2), (SOL_IP, 10), (SOL_IP, 11), (41, 26), (99, 1), (SOL_SOCKET, 999),
]
WORDS = [b"a", b"hello", b"0123456789" * 10]


def call(rnd, used):
    """A call on one of three sockets under test or of the peer, more often on one of those that are used."""
    u = rnd.choice(used + used + ["u0", "u1", "u2"])
    p = rnd.choice(["p0", "p0", "p1"])
    kind = rnd.random()
    if kind < 0.25:
        # The peer's part.
        return rnd.choice([
            (p, "peer_accept"), (p, "peer_accept"), (p, "socket"), (p, "nonblock", 1), (p, "connect", ("us", rnd.choice("AB"))),
            (p, "connect", ("us", rnd.choice("AB"))), (p, "send", rnd.choice(WORDS), MSG_DONTWAIT), (p, "send", rnd.choice(WORDS), MSG_DONTWAIT),
            (p, "recv", 1000, MSG_DONTWAIT), (p, "shutdown", 1), (p, "shutdown", 2), (p, "close"), (p, "reset"), (p, "poll"),
        ])
    return rnd.choice([
        lambda: (u, "socket", 2, 1 | 0o4000, 0),
        lambda: (u, "bind", (rnd.choice(["any", "us", "us", "other"]), rnd.choice(["A", "B", "A", "B", "0"]))),
        lambda: (u, "bind", (rnd.choice(["any", "us"]), rnd.choice(["A", "B"]))),
        lambda: (u, "listen", rnd.choice([0, 1, 5])),
        lambda: (u, "listen", 5),
        lambda: (u, "accept", rnd.choice(["u0", "u1", "u2"]), 0o4000),
        lambda: (u, "connect", (rnd.choice(["peer"] * 8 + ["nonet", "group", "bcast"]), rnd.choice(["L", "L", "L", "closed"]))),
        lambda: (u, "connect", ("peer", "L")),
        lambda: (u, "connect", ("peer", "L")),
        lambda: (u, "connect", rnd.choice([bytes(16), b"\2", b"\2\0\0\1", b"\n\0" + bytes(26), b"\1\0" + bytes(14)])),
        lambda: (u, "send", rnd.choice(WORDS + [b""]), rnd.choice([0, MSG_DONTWAIT])),
        lambda: (u, "send", rnd.choice(WORDS), 0),
        lambda: (u, "recv", rnd.choice([0, 1, 3, 1000]), rnd.choice([0, 0, MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_OOB])),
        lambda: (u, "recv", 1000, 0),
        lambda: (u, "recv_count", rnd.choice([1, 1000]), MSG_TRUNC),
        lambda: (u, "shutdown", rnd.choice([0, 1, 2, 1, 3, -1])),
        lambda: (u, "close"),
        lambda: (u, "reset"),
        lambda: (u, "setsockopt", *rnd.choice(SET)),
        lambda: (u, "getsockopt", *rnd.choice(GET)),
        lambda: (u, "getsockname"),
        lambda: (u, "getpeername"),
        lambda: (u, "poll"),
        lambda: (u, "poll"),
        lambda: (u, "ioctl", rnd.choice([0x541B, 0x5411, 0x894B, 0x1234])),
        lambda: (u, "fcntl", 3),
    ])()


def sequence(n):
    rnd = random.Random(n)
    start = [("u0", "socket", 2, 1 | 0o4000, 0)]
    used = ["u0"]
    scene = rnd.random()
    if scene < 0.4:
        start += [("u0", "connect", ("peer", "L")), ("p0", "peer_accept")]
    elif scene < 0.7:
        used = ["u0", "u1", "u1"]
        start += [("u0", "bind", ("any", "A")), ("u0", "listen", 5), ("p0", "socket", 2, 1 | 0o4000, 0), ("p0", "connect", ("us", "A")),
                  ("u0", "accept", "u1", 0o4000)]
    elif scene < 0.85:
        used = ["u0", "u1"]
        start += [("u1", "socket", 2, 1 | 0o4000, 0)]
        start += [(u, "setsockopt", SOL_SOCKET, rnd.choice([2, 15]), 1) for u in used if rnd.random() < 0.7]
        start += [("u0", "bind", (rnd.choice(["any", "us"]), "A"))]
        start += [("u1", "bind", (rnd.choice(["any", "us"]), "A"))] if rnd.random() < 0.5 else []
    return start + [call(rnd, used) for _ in range(rnd.randrange(4, 18))]


def closed_after_connect(who, before):
    """Another socket under test has connected and was closed since, by a call or because its name went to a new one."""
    other = "u1" if who == "u0" else "u0"
    at = [i for i, line in enumerate(before) if line.startswith((f"{other}.connect(", f"{other}.sendto("))]
    return bool(at) and any(line.startswith((f"{other}.close(", f"{other}.socket(")) for line in before[at[0]:])


def explained(step, ours, linux_answer, linux, before):
    """Why the answer of `linux`, a world, may differ from ours, or None."""
    who, name, *args = step
    if name == "ioctl" and args[0] in (0x5411, 0x894B) and ours == "0" and linux.sockets[who].getsockopt(SOL_TCP, 11, 1) == TCP_CLOSE:
        return "of a connection that is over Linux gives the distance of two numbers that mean nothing any more"
    if name == "peer_accept" and any(".setsockopt(6, 9, " in line for line in before):
        return "who connects with TCP_DEFER_ACCEPT keeps the last ACK of the handshake back on Linux"
    if name == "connect" and ours == "EADDRNOTAVAIL" and linux_answer in ("EINPROGRESS", "ok") and closed_after_connect(who, before):
        return "Linux gives the addresses and ports of a closed connection in FIN-WAIT-2 or TIME-WAIT to a connect from its bound port"
    return None


def share(linux):
    """Two sockets under test listen on one address and port: which of them gets a connection, no rule gives."""
    names = [s.getsockname() for who, s in linux.sockets.items() if who[0] == "u" and s.getsockopt(SOL_SOCKET, 30)]
    return len(set(names)) < len(names)


class Game:
    """One sequence in one lane: `lines` says what happened, `failed` whether something differs."""

    def __init__(self, n, worlds, base):
        self.n, self.worlds, self.steps = n, worlds, sequence(n)
        self.lines, self.failed, self.over = [], False, False
        for w in worlds:
            w.base(base)

    def play(self, i):
        """Makes call number i in both worlds. False when there is none, or nothing more to find out."""
        if self.failed or self.over or i >= len(self.steps):
            return False
        who, name, *args = step = self.steps[i]
        ours, linux = [w.peer_accept(who) if name == "peer_accept" else w.step(who, name, *args) for w in self.worlds]
        differs = ours != linux
        why = explained(step, ours, linux, self.worlds[1], self.lines) if differs else None
        self.failed = differs and why is None
        # The peer has a socket more in one world, or who has the peer's connection is left to chance: what follows cannot be compared.
        self.over = (why is not None and name in ("peer_accept", "connect")) or (who[0] == "p" and name == "connect" and share(self.worlds[1]))
        self.lines.append(f"{who}.{name}{tuple(args)} -> {ours}" + (f"   linux: {linux}" if self.failed else ""))
        return True


# Ports of the sequences, four each, below the ephemeral ones of both systems: as many as Linux's TIME_WAIT of 60 s needs before one comes again.
FIRST_PORT, LAST_PORT = 2000, 32000


def play(games, pause):
    """Plays games side by side, a call of each and then `pause()`."""
    i = 0
    while any([g.play(i) for g in games]):
        pause()
        i += 1
    for g in games:
        for w in g.worlds:
            w.clear()
    pause()


def main():
    lanes = [both(sys.argv[1:5], lane) for lane in range(LANES)]
    first, count = int(sys.argv[5]), int(sys.argv[6])
    base = FIRST_PORT

    def games(numbers):
        # Each has ports of its own, as a connection that is over holds its port for a while.
        nonlocal base
        made = []
        for n, worlds in zip(numbers, lanes):
            base = base + 4 if base < LAST_PORT else FIRST_PORT
            made.append(Game(n, worlds, base))
        return made

    doubtful = []
    for n in range(first, first + count, LANES):
        batch = games(range(n, min(n + LANES, first + count)))
        play(batch, lambda: time.sleep(0.004))
        doubtful += [g.n for g in batch if g.failed]
    different = 0
    for k in range(0, len(doubtful), LANES):
        batch = games(doubtful[k:k + LANES])
        play(batch, lambda: settle(0.15))
        for g in batch:
            if not g.failed:
                continue
            different += 1
            print(f"sequence {g.n}:")
            print("\n".join("  " + line for line in g.lines), flush=True)
    print(f"{count} sequences from {first} on, {len(doubtful)} played again, {different} differ")
    sys.exit(1 if different else 0)


main()
