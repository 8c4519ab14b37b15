import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, PATIENT, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peerWords } from '../lab/peer.ts';
import { num, parseSs, type SsLine } from '../lab/ss-line.ts';

const SENT = 1_000_000;
const BODY = 3_000_000;

interface Held {
  readonly echo: number;
  readonly http: number;
  readonly idle: number;
  readonly same: boolean;
  /** Bytes of the answer's head and body. */
  readonly head: number;
  readonly body: number;
}

type Name = 'echo' | 'http' | 'idle';

/** `xsiftr ss` beside Linux's own ss of the same connections, at rest, seen by one reader. */
describe.skipIf(labMissing('python3', 'ss') !== '')(`xsiftr ss and Linux's ss ${labMissing('python3', 'ss')}`, () => {
  let lab: Lab;
  let x: Xsiftr;
  let held: Held;
  const ours = new Map<Name, SsLine>();
  const linux = new Map<Name, SsLine>();

  async function hold(): Promise<Held> {
    const p = lab.spawnFar(peerWords('hold', SENT, BODY, 1));
    return JSON.parse(await p.waitLine(/idle/)) as Held;
  }

  const ss = async (...words: string[]): Promise<SsLine[]> => parseSs((await x.command(['ss', ...words])).stdout);

  beforeAll(async () => {
    lab = await Lab.create('vss', { queues: 2, peerOffloads: false, patient: true });
    x = await startXsiftr(lab, ['--serve', 'http,echo,discard', ...PATIENT]);
    held = await hold();
    const mine = await ss('-tinmHO');
    const theirs = parseSs((await lab.far('ss -tinmHO')).stdout);
    for (const name of ['echo', 'http', 'idle'] as const) {
      ours.set(name, mine.find((l) => l.fport === String(held[name]))!);
      linux.set(name, theirs.find((l) => l.lport === String(held[name]))!);
    }
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  const each = (fn: (us: SsLine, peer: SsLine, name: Name) => void): void => {
    for (const name of ['echo', 'http', 'idle'] as const) fn(ours.get(name)!, linux.get(name)!, name);
  };

  test('both print lines that one reader of the format of iproute2 takes', () => {
    expect(held).toMatchObject({ same: true, body: BODY });
    each((us, peer) => {
      expect([us.state, us.laddr, us.faddr]).toEqual(['ESTAB', '192.0.2.1', '192.0.2.2']);
      expect([peer.laddr, peer.lport, peer.faddr, peer.fport]).toEqual([us.faddr, us.fport, us.laddr, us.lport]);
      expect([us.recvQ, us.sendQ, peer.recvQ, peer.sendQ]).toEqual([0, 0, 0, 0]);
    });
  });

  test('what Linux prints of every connection, and of one with data both ways, is there too', () => {
    const every =
      'skmem cc wscale rto rtt mss pmtu advmss cwnd segs_out segs_in send lastsnd lastrcv lastack rcv_space minrtt snd_wnd';
    const data = 'ato rcvmss bytes_sent bytes_acked bytes_received data_segs_out data_segs_in delivery_rate delivered';
    const missing = (l: SsLine, words: string): string[] => words.split(' ').filter((w) => !l.words.has(w));
    each((us, peer) => expect([missing(us, every), missing(peer, every)]).toEqual([[], []]));
    expect([missing(ours.get('echo')!, data), missing(linux.get('echo')!, data)]).toEqual([[], []]);
  });

  test('bytes mirror each other exactly: sent, acknowledged, received; Linux opened, so its SYN is among its own', () => {
    const answer = held.head + BODY;
    const bytes = (l: SsLine): (number | undefined)[] =>
      ['bytes_sent', 'bytes_acked', 'bytes_received'].map((w) => (l.words.has(w) ? num(l, w) : undefined));
    expect(bytes(ours.get('echo')!)).toEqual([SENT, SENT, SENT]);
    expect(bytes(linux.get('echo')!)).toEqual([SENT, SENT + 1, SENT]);
    const request = num(linux.get('http')!, 'bytes_sent');
    expect(bytes(ours.get('http')!)).toEqual([answer, answer, request]);
    expect(bytes(linux.get('http')!)).toEqual([request, request + 1, answer]);
    expect(bytes(ours.get('idle')!)).toEqual([undefined, undefined, undefined]);
    expect(bytes(linux.get('idle')!)).toEqual([undefined, 1, undefined]);
  });

  test('segments mirror each other exactly: none was lost, and the handshake counts', () => {
    each((us, peer) => {
      expect([num(us, 'segs_out'), num(us, 'segs_in')]).toEqual([num(peer, 'segs_in'), num(peer, 'segs_out')]);
      for (const [a, b] of [
        ['data_segs_out', 'data_segs_in'],
        ['data_segs_in', 'data_segs_out'],
      ] as const) {
        expect(us.words.get(a)).toBe(peer.words.get(b));
      }
      for (const w of ['retrans', 'lost', 'sacked', 'reord_seen', 'dsack_dups', 'rcv_ooopack']) {
        expect([w, us.words.get(w)]).toEqual([w, undefined]);
      }
    });
  });

  test('scales mirror each other, the segment size is the same, windows agree within the scale (RFC 7323 section 2.3)', () => {
    each((us, peer) => {
      const scales = us.words.get('wscale')!.split(',');
      expect(peer.words.get('wscale')!.split(',')).toEqual([...scales].reverse());
      expect(num(us, 'mss')).toBe(1448);
      expect(num(peer, 'mss')).toBe(1448);
      expect([num(us, 'pmtu'), num(peer, 'pmtu')]).toEqual([1500, 1500]);
      const window = num(us, 'rcv_wnd');
      // The window of a SYN,ACK is not scaled.
      const wire = us.words.has('bytes_received') ? (window >> Number(scales[1])) << Number(scales[1]) : window;
      expect(num(peer, 'snd_wnd')).toBe(wire);
    });
    expect(num(ours.get('http')!, 'snd_wnd')).toBeGreaterThan(65_535);
  });

  test('times tell of the same rest: seconds since the last byte either way', () => {
    each((us, peer) => {
      for (const w of ['lastsnd', 'lastrcv'] as const) {
        const mirror = w === 'lastsnd' ? 'lastrcv' : 'lastsnd';
        expect(num(us, w)).toBeGreaterThan(900);
        expect(num(peer, mirror)).toBeGreaterThan(900);
      }
      expect(Number(us.words.get('rtt')!.split('/')[0])).toBeGreaterThan(0);
      expect(num(us, 'minrtt')).toBeLessThanOrEqual(1000);
    });
    expect(ours.get('http')!.words.get('busy')).toMatch(/^\d+ms$/);
  });

  test('filters choose the same connections here and, mirrored, on Linux', async () => {
    for (const [here, there] of [
      [`dport = :${held.echo}`, `sport = :${held.echo}`],
      ['state established sport = :80', 'state established dport = :80'],
      ['state established ( sport = :7 or sport = :9 )', 'state established ( dport = :7 or dport = :9 )'],
      ['dst 192.0.2.0/24 and not sport = :7', 'src 192.0.2.0/24 and not dport = :7'],
      ['dst 198.51.100.1', 'src 198.51.100.1'],
      ['sport >= :9 and sport <= :80', 'dport >= :9 and dport <= :80'],
      ['exclude established', 'exclude established dport = :80'],
    ] as const) {
      const mine = (await x.command(['ss', '-tnH', ...here.split(' ')])).stdout;
      const theirs = (await lab.far(['ss', '-tnH', ...there.split(' ')])).stdout;
      const ports = (text: string, column: RegExp): string[] =>
        text
          .split('\n')
          .flatMap((l) => column.exec(l)?.[1] ?? [])
          .sort();
      expect([here, ports(mine, /192\.0\.2\.2:(\d+)/)]).toEqual([here, ports(theirs, /192\.0\.2\.2:(\d+)/)]);
    }
  });

  test('the header and the second line with its tab are as iproute2 has them', async () => {
    const shape = (text: string): string[] =>
      text
        .split('\n')
        .slice(0, 3)
        .map((l) =>
          l
            .replace(/[\d.]+/g, '0')
            .replace(/ +/g, ' ')
            .replace('PortProcess', 'Port Process')
            .replace(/^(\t \w+):.*/, '$1'),
        );
    const mine = shape((await x.command(['ss', '-tnm'])).stdout);
    const theirs = shape((await lab.far('ss -tnm')).stdout);
    expect(mine.map((l) => l.trimEnd())).toEqual(theirs.map((l) => l.trimEnd()));
    expect(mine[0]).toContain('State Recv-Q Send-Q Local Address:Port Peer Address:Port');
    expect(mine[2]).toMatch(/^\t skmem/);
  });

  test('-a adds the listening sockets, one for all shards; -l shows them alone; -s counts', async () => {
    const all = await ss('-tanHO');
    expect(
      all
        .filter((l) => l.state === 'LISTEN')
        .map((l) => l.lport)
        .sort(),
    ).toEqual(['7', '80', '9']);
    expect(all.filter((l) => l.state === 'ESTAB')).toHaveLength(3);
    expect((await ss('-ltinmHO')).map((l) => [l.state, l.fport])).toEqual(Array(3).fill(['LISTEN', '*']));
    expect((await x.command(['ss', '-s'])).stdout).toMatch(
      /^Total: 6\nTCP: {3}6 \(estab 3, closed 0, orphaned 0, timewait 0\)\n/,
    );
  });

  test('-o and -e show timers, options in use and what identifies the socket', async () => {
    for (const line of await ss('-tinmoeHO')) {
      expect(line.words.get('timer')).toMatch(/^\(keepalive,1\d\dmin,0\)$/);
      expect([line.words.get('ts'), line.words.get('sack'), line.words.get('shut')]).toEqual(['ts', 'sack', '<->']);
      expect(line.words.get('sk')).toMatch(/^[0-9a-f]{1,8}$/);
    }
  });

  test('--json has the same numbers with names and units, a line a connection', async () => {
    const lines = (await x.command(['ss', '--json', 'sport', '=', ':80'])).stdout.split('\n');
    expect(lines).toHaveLength(1);
    const r = JSON.parse(lines[0]!) as Record<string, unknown>;
    const line = ours.get('http')!;
    expect(r).toMatchObject({
      state: 'ESTAB',
      laddr: '192.0.2.1',
      lport: 80,
      faddr: '192.0.2.2',
      fport: held.http,
      cc: 'cubic',
      bytes_sent: num(line, 'bytes_sent'),
      mss_bytes: 1448,
      snd_wnd_bytes: num(line, 'snd_wnd'),
      ts: true,
    });
    expect(Math.floor((r.cwnd_bytes as number) / 1448)).toBe(num(line, 'cwnd'));
    const fields = (await x.command(['ss', '--fields', '--json'])).stdout
      .split('\n')
      .map((l) => JSON.parse(l) as { name: string; unit: string });
    expect(fields.find((f) => f.name === 'cwnd_bytes')).toMatchObject({ unit: 'bytes' });
    const known = new Set([...fields.map((f) => f.name), 'cc_info']);
    expect(Object.keys(r).filter((k) => !known.has(k))).toEqual([]);
  });

  test('a filter that is none, and an option, are refused in one line with exit status 2', async () => {
    for (const [words, line] of [
      [['state', 'bogus'], /^xsiftr: filter: state bogus: allowed are established, /],
      [['(', 'sport', '=', ':80'], /^xsiftr: filter: a \( has no \) after it$/],
      [['sport', '=', ':99999'], /^xsiftr: filter: sport: port 99999: allowed is 0 to 65535/],
      [['-x'], /^xsiftr: unknown option -x; xsiftr ss --help lists what there is$/],
    ] as const) {
      const r = await x.command(['ss', ...words], { check: false });
      expect([r.code, r.stdout]).toEqual([2, '']);
      expect(r.stderr).toMatch(line);
    }
  });

  test('the numbers of BBR and DCTCP are printed as Linux prints its own', async () => {
    for (const [cc, words] of [
      ['bbr', /^\(bw:[1-9]\d*bps,mrtt:[\d.]+,pacing_gain:[\d.]+,cwnd_gain:[\d.]+\)$/],
      ['dctcp', /^\(ce_state:0,alpha:\d+,ab_ecn:0,ab_tot:\d+\)$/],
    ] as const) {
      await x.command(['sysctl', `net.inet.tcp.cc.algorithm=${cc}`]);
      const more = await hold();
      const [line] = await ss('-tinHO', 'dport', '=', `:${more.http}`);
      expect(line!.words.get('cc')).toBe(cc);
      expect(line!.words.get(cc)).toMatch(words);
      expect(num(line!, 'bytes_sent')).toBe(more.head + BODY);
    }
  });
});
