"""Plays the scripts against xsiftr's endpoint and against Linux's own sockets, and compares what every call gave, line by line.

    compare.py PATH FAR NEAR2 FAR2 [TEXT]      only scripts with TEXT in the name; XSIFTR_CONTROL names the control socket

Prints each line that differs, and exits with 1 when one is not in EXPLAINED; each of those is in docs/endpoint.md.
"""

import sys

from scripts import SCRIPTS
from worlds import both, settle

# (script, call) and why the answers differ.
EXPLAINED = {
    ("connect that times out", "u.poll()"): "Linux leaves the ICMP error in the error queue of a socket without IP_RECVERR, too",
    ("IP_MTU of a connection that is over", "u.getsockopt(0, 14)"): "Linux keeps the route of a connection that is over",
}


def play(worlds, steps, base):
    """The lines of both worlds."""
    out = ([], [])
    for w in worlds:
        w.base(base)
    for step in steps:
        if isinstance(step, float):
            settle(step)
            continue
        who, name, *args = step
        for w, lines in zip(worlds, out):
            if name == "peer_accept":
                got = w.peer_accept(who)
                if got == "ok":
                    w.step(who, "nonblock", 0)
            elif name == "begin":
                w.begin(who, *args)
                continue
            elif name == "finish":
                got = w.finish(who, *args)
            else:
                got = w.step(who, name, *args)
            lines.append(f"{who}.{name}({', '.join(map(repr, args))}) -> {got}")
    for w in worlds:
        w.clear()
    return out


def main():
    worlds = both(sys.argv[1:5])
    wanted = sys.argv[5] if len(sys.argv) > 5 else ""
    lines = wrong = 0
    # Below the ephemeral ports of either.
    base = 20000
    for name, steps in SCRIPTS.items():
        if wanted not in name:
            continue
        base += 4
        ours, linux = play(worlds, steps, base)
        lines += len(ours)
        for mine, other in zip(ours, linux):
            if mine == other:
                continue
            call = mine.split(" -> ")[0]
            why = EXPLAINED.get((name, call))
            print(f"{name}: {mine}   linux: {other.split(' -> ')[1]}{'   explained: ' + why if why else ''}", flush=True)
            wrong += why is None
    print(f"{len(SCRIPTS)} scripts, {lines} lines, {wrong} differ")
    sys.exit(1 if wrong else 0)


main()
