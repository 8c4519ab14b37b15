"""Raw frames for tests: python3 raw.py COMMAND ARGS, in the peer's namespace; prints one JSON object.

AF_PACKET on peer0, so nothing on the way corrects or refuses what is sent. The checksums here are this file's own.
"""

import json
import random
import socket
import struct
import subprocess
import sys
import time

US, PEER = "192.0.2.1", "192.0.2.2"
ICMP, TCP, UDP = 1, 6, 17


def csum(b):
    if len(b) % 2:
        b += b"\0"
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def our_mac():
    """xsiftr's station address, as the kernel has resolved it."""
    out = subprocess.run(["ip", "neigh", "show", US, "dev", "peer0"], capture_output=True, text=True).stdout
    return mac(out.split("lladdr ")[1].split()[0])


def peer_mac():
    return mac(open("/sys/class/net/peer0/address").read().strip())


def ether(payload, kind=0x0800, dst=None, src=None):
    return (dst or OURS) + (src or THEIRS) + struct.pack("!H", kind) + payload


def ip(payload, proto=TCP, src=PEER, dst=US, ttl=64, off=0, ident=1, ver=4, ihl=None, length=None, options=b"", bad=0):
    hlen = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        (ver << 4) | (hlen // 4 if ihl is None else ihl),
        0,
        hlen + len(payload) if length is None else length,
        ident,
        off,
        ttl,
        proto,
        0,
        socket.inet_aton(src),
        socket.inet_aton(dst),
    )
    head += options
    return head[:10] + struct.pack("!H", csum(head) ^ bad) + head[12:] + payload


def tcp(sport, dport, seq=0, ack=0, flags=2, win=8192, options=b"", data=b"", doff=None, src=PEER, dst=US, bad=0):
    hlen = 20 + len(options)
    doff = hlen // 4 if doff is None else doff
    seg = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, doff << 4, flags, win, 0, 0) + options + data
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, TCP, len(seg))
    return seg[:16] + struct.pack("!H", csum(pseudo + seg) ^ bad) + seg[18:]


def icmp(kind=8, code=0, rest=b"\0\1\0\1", data=b"x" * 32, bad=0):
    m = struct.pack("!BBH", kind, code, 0) + rest + data
    return m[:2] + struct.pack("!H", csum(m) ^ bad) + m[4:]


def arp(op=1, sha=None, spa=PEER, tpa=US, hrd=1, pro=0x0800, hln=6, pln=4):
    return (
        struct.pack("!HHBBH", hrd, pro, hln, pln, op)
        + (sha or THEIRS)
        + socket.inet_aton(spa)
        + b"\0" * 6
        + socket.inet_aton(tpa)
    )


def emit(frames):
    """Sends frames in small bursts, so that no ring overflows and none is lost on the way."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("peer0", 0))
    for i, frame in enumerate(frames):
        s.send(frame)
        if i % 64 == 63:
            time.sleep(0.004)
    s.close()
    return len(frames)


def ping_sweep(first, last):
    """One echo request of every size; each reply must have its bytes, whole and unchanged (RFC 792)."""
    rng = random.Random(7)
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, ICMP)
    s.settimeout(2)
    wrong, good = [], 0
    for n in range(int(first), int(last) + 1):
        data = rng.randbytes(n)
        s.sendto(icmp(rest=struct.pack("!HH", 0x5157, n), data=data), (US, 0))
        while True:
            try:
                r = s.recv(65536)
            except socket.timeout:
                wrong.append(n)
                break
            if r[20] != 0 or struct.unpack("!HH", r[24:28]) != (0x5157, n):
                continue
            whole = struct.unpack("!H", r[2:4])[0] == 28 + n == len(r)
            if r[28:] == data and whole and csum(r[20:]) == 0 and csum(r[:20]) == 0:
                good += 1
            else:
                wrong.append(n)
            break
    return {"good": good, "wrong": wrong[:10]}


def bad_sums(count):
    """`count` frames of each kind, right but for one checksum."""
    count = int(count)
    kinds = {
        "ip": lambda i: ip(tcp(20000 + i, 9), bad=1 + i),
        "ip_icmp": lambda i: ip(icmp(), ICMP, bad=1 + i),
        "tcp": lambda i: ip(tcp(20000 + i, 9, bad=1 + i)),
        "tcp_data": lambda i: ip(tcp(20000 + i, 9, seq=5, ack=7, flags=0x18, data=b"hello", bad=1 + i)),
        "icmp": lambda i: ip(icmp(bad=1 + i), ICMP),
    }
    return {name: emit([ether(make(i)) for i in range(count)]) for name, make in kinds.items()}


def one_syn(sport, dport, bad):
    return {"sent": emit([ether(ip(tcp(int(sport), int(dport), seq=1000, bad=int(bad))))])}


def stray_acks(count, dport):
    """ACKs of connections that never were, each from a port of its own; the answer to each is a RST (RFC 9293 3.10.7.1)."""
    return {"sent": emit([ether(ip(tcp(20000 + i, int(dport), seq=1, ack=1, flags=0x10))) for i in range(int(count))])}


def syn_flood(first, end, dport):
    """SYNs number `first` up to `end` from addresses of a net that does not exist; what we answer goes nowhere."""
    frames = []
    for i in range(int(first), int(end)):
        src = "198.51.%d.%d" % (100, 1 + i % 250)
        frames.append(ether(ip(tcp(1024 + i // 250, int(dport), seq=i, src=src), src=src)))
    return {"sent": emit(frames)}


def malformed(count, name):
    """`count` frames of one kind, each of which exactly one counter must account for."""
    rng = random.Random("malformed " + name)
    n = int(count)
    r = rng.randbytes
    port = lambda: rng.randrange(1024, 65536)
    good_ip = lambda: ip(tcp(port(), 9))
    make = {
        "ip_truncated": lambda i: ether(good_ip()[: i % 20]),
        "ip_badvers": lambda i: ether(ip(tcp(port(), 9), ver=(i % 15 + 5) & 15)),
        "ip_badhlen_small": lambda i: ether(ip(tcp(port(), 9), ihl=i % 5)),
        "ip_badhlen_long": lambda i: ether(ip(b"", ihl=6 + i % 10)),
        "ip_badlen": lambda i: ether(ip(tcp(port(), 9), length=i % 20)),
        "ip_tooshort": lambda i: ether(ip(tcp(port(), 9), length=41 + rng.randrange(60000))),
        "ip_badsum": lambda i: ether(ip(tcp(port(), 9), bad=rng.randrange(1, 65535))),
        "ip_loopback_src": lambda i: ether(ip(tcp(port(), 9), src="127.0.0.%d" % (i % 255))),
        "ip_loopback_dst": lambda i: ether(ip(tcp(port(), 9), dst="127.0.0.%d" % (i % 255))),
        "ip_group_src": lambda i: ether(ip(tcp(port(), 9), src="224.0.0.%d" % (i % 255))),
        "ip_broadcast_src": lambda i: ether(ip(tcp(port(), 9), src=("192.0.2.255", "255.255.255.255")[i % 2])),
        "ip_own_src": lambda i: ether(ip(tcp(port(), 9), src=US)),
        "ip_zero_src": lambda i: ether(ip(tcp(port(), 9), src="0.0.0.%d" % (i % 255))),
        "ip_not_ours": lambda i: ether(ip(tcp(port(), 9), dst="198.51.100.%d" % (i % 255))),
        "ip_group_dst": lambda i: ether(ip(r(20), UDP, dst="239.0.0.%d" % (i % 255))),
        "fragment_first": lambda i: ether(ip(r(64), TCP, off=0x2000, ident=i & 0xFFFF)),
        "fragment_last": lambda i: ether(ip(r(rng.randrange(1, 100)), TCP, off=1 + rng.randrange(8000), ident=i & 0xFFFF)),
        "fragment_bad": lambda i: ether(ip(r(8 * rng.randrange(10) + 1 + i % 7), TCP, off=0x2000 + i % 100)),
        "tcp_short": lambda i: ether(ip(tcp(port(), 9)[: i % 20])),
        "tcp_badoff": lambda i: ether(ip(tcp(port(), 9, doff=(0, 1, 2, 3, 4, 6, 7, 10, 15)[i % 9]))),
        "tcp_badsum": lambda i: ether(ip(tcp(port(), 9, bad=rng.randrange(1, 65535)))),
        "tcp_group_src": lambda i: ether(ip(tcp(port(), 9)), dst=b"\xff" * 6),
        "icmp_short": lambda i: ether(ip(icmp(data=b"")[: i % 8], ICMP)),
        "icmp_badsum": lambda i: ether(ip(icmp(bad=rng.randrange(1, 65535)), ICMP)),
        "icmp_type": lambda i: ether(ip(icmp(kind=41 + i % 200), ICMP)),
        "icmp_error_short": lambda i: ether(ip(icmp(3, 1, data=r(rng.randrange(28))), ICMP)),
        "icmp_error_code": lambda i: ether(ip(icmp(3, 16 + i % 200, data=r(28)), ICMP)),
        "ether_not_ours": lambda i: ether(good_ip(), dst=b"\x02" + r(5)),
        "ether_group_src": lambda i: ether(good_ip(), src=b"\x03" + r(5)),
        "ether_vlan": lambda i: ether(r(2) + b"\x08\x00" + good_ip(), kind=(0x8100, 0x88A8)[i % 2]),
        "ether_llc": lambda i: ether(b"\xaa\xaa\x03\0\0\0\x08\0" + good_ip(), kind=rng.randrange(0x600)),
        "ether_type": lambda i: ether(r(46), kind=0x9000 + rng.randrange(0x1000)),
        "ether_ip6": lambda i: ether(b"\x60" + r(60), kind=0x86DD),
        "arp_truncated": lambda i: ether(arp()[: i % 28], kind=0x0806),
        "arp_type": lambda i: ether(arp(hrd=2 + i % 9) if i % 2 else arp(hln=7 + i % 9), kind=0x0806),
        "arp_op": lambda i: ether(arp(op=3 + i % 60000), kind=0x0806),
        "arp_sender": lambda i: ether(arp(sha=b"\xff" * 6), kind=0x0806),
    }[name]
    return {"sent": emit([make(i) for i in range(n)])}


def noise(seed, first, end):
    """Frames `first` up to `end` of a sequence: their first bytes are right up to a random layer, and random after it."""
    rng = random.Random(int(seed))
    frames = []
    for i in range(int(end)):
        body = rng.randbytes(rng.randrange(0, 400))
        kind = rng.randrange(6)
        if kind == 0:
            frame = ether(body, kind=(0x0800, 0x0806, 0x86DD)[rng.randrange(3)])
        elif kind == 1:
            frame = ether(ip(body, rng.randrange(256), off=0 if rng.randrange(4) else rng.randrange(65536)))
        elif kind == 2:
            frame = ether(ip(body, TCP))
        elif kind == 3:
            flags = rng.randrange(64)
            options = rng.randbytes(4 * rng.randrange(11))
            seg = tcp(
                rng.randrange(1, 65536),
                (7, 9, 80, rng.randrange(65536))[rng.randrange(4)],
                rng.randrange(1 << 32),
                rng.randrange(1 << 32),
                flags,
                rng.randrange(65536),
                options,
                body,
            )
            frame = ether(ip(seg))
        elif kind == 4:
            frame = ether(ip(icmp(rng.randrange(20), rng.randrange(20), rng.randbytes(4), body), ICMP))
        else:
            options = rng.randbytes(4 * rng.randrange(1, 11))
            frame = ether(ip(body, (ICMP, TCP, UDP)[rng.randrange(3)], options=options))
        frames.append(frame)
    return {"sent": emit(frames[int(first):])}


OURS, THEIRS = our_mac(), peer_mac()
print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
