import { describe, expect, test } from 'vitest';
import { TF_ACKNOW, TF_SENTFIN } from '../../../src/stack/tcp/tcpcb.ts';
import { open, pattern, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../lab/twostacks.ts';
import { Watch } from './watch.ts';

const SECOND = 1_000_000;

function setUp(o: ConstructorParameters<typeof TwoStacks>[0] = {}) {
  const net = new TwoStacks(o);
  const client = new Watch(net.a);
  const server = new Watch(net.b);
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  return { net, client, server, accepted };
}

/** Opens a connection and waits until both ends have it and all is quiet. */
function connected(o: ConstructorParameters<typeof TwoStacks>[0] = {}) {
  const t = setUp(o);
  const user = open(t.net.a, ADDR_B, 80);
  t.net.run(SECOND, () => user.has('connected') && t.accepted.length === 1);
  t.net.run(SECOND / 2);
  return { ...t, user, peer: t.accepted[0]! };
}

describe('what each packet of a connection gives (spec/siftr.md section 5.3)', () => {
  test('a client run shows skipped_tcpcb 1 in and 1 out a connection and no skipped_inpcb (section 13 rule 10 d)', () => {
    const t = connected();
    expect(t.client.counted).toMatchObject({ nskip_in_tcpcb: 1, nskip_out_tcpcb: 1 });
    expect(t.client.counted).not.toHaveProperty('nskip_in_inpcb');
    expect(t.client.counted).not.toHaveProperty('nskip_out_inpcb');
  });

  test('a server run shows skipped_inpcb 2 in and 1 out a connection and no skipped_tcpcb (section 13 rule 10 d)', () => {
    const t = connected();
    expect(t.server.counted).toMatchObject({ nskip_in_inpcb: 2, nskip_out_inpcb: 1 });
    expect(t.server.counted).not.toHaveProperty('nskip_in_tcpcb');
    expect(t.server.counted).not.toHaveProperty('nskip_out_tcpcb');
  });

  test('the first line of a client is its handshake ACK: outbound, ESTABLISHED, ACKNOW still set, nothing in flight', () => {
    const t = connected();
    const first = t.client.rows[0]!;
    expect(first).toMatchObject({ dir: 'o', state: 4, inflight: 0 });
    expect(first.flags & TF_ACKNOW).toBe(TF_ACKNOW);
  });

  test('an outbound data line does not count the segment being sent as in flight, the inbound ACK line does', () => {
    const t = connected();
    const before = t.client.rows.length;
    t.user.sendAll(pattern(1000), false);
    t.net.run(SECOND);
    const [data, ack] = t.client.rows.slice(before);
    expect(data).toMatchObject({ dir: 'o', inflight: 0 });
    expect(ack).toMatchObject({ dir: 'i', inflight: 1000 });
  });

  test('the FINs show state 6 out, and in the state before; the last ACK goes out in TIME_WAIT', () => {
    const t = connected();
    const c0 = t.client.rows.length;
    const s0 = t.server.rows.length;
    t.user.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND / 4);
    t.peer.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND);
    // FIN out, ACK in, FIN in (FIN_WAIT_2 before it), ACK out.
    expect(t.client.steps.slice(c0)).toEqual(['o 6', 'i 6', 'i 9', 'o 10']);
    // FIN in (ESTABLISHED before it), ACK out, FIN out (LAST_ACK), ACK in.
    expect(t.server.steps.slice(s0)).toEqual(['i 4', 'o 5', 'o 8', 'i 8']);
    // SENTFIN is not yet set by the FIN that is being sent.
    expect(t.client.rows[c0]!.flags & TF_SENTFIN).toBe(0);
    expect(t.client.rows[c0 + 1]!.flags & TF_SENTFIN).toBe(TF_SENTFIN);
  });

  test('packets in TIME_WAIT are logged with state 10', () => {
    const t = connected();
    t.user.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND / 4);
    // The last ACK gets lost, so that the FIN comes again.
    let lost = 0;
    t.net.filter = (_frame, to) => (to === 1 && lost++ === 0 ? [] : [0]);
    t.peer.sendAll(new Uint8Array(0), true);
    t.net.run(3 * SECOND);
    expect(t.client.steps.slice(-2)).toEqual(['i 10', 'o 10']);
  });

  test('a reset in on a live connection is logged with the state before; the aborting side skips it, its state already 0', () => {
    const t = connected();
    const c0 = t.client.rows.length;
    t.user.so!.abort();
    t.net.run(SECOND / 4);
    expect(t.server.steps.at(-1)).toBe('i 4');
    expect(t.client.rows).toHaveLength(c0);
    expect(t.client.counted).toMatchObject({ nskip_out_tcpcb: 2 });
  });

  test('a SYN for a closed port and the reset that answers it are skipped_inpcb', () => {
    const t = setUp();
    open(t.net.a, ADDR_B, 81);
    t.net.run(SECOND);
    expect(t.server.counted).toEqual({ n_in: 1, n_out: 1, nskip_in_inpcb: 1, nskip_out_inpcb: 1 });
    // On the other side the SYN went out in SYN_SENT and the reset came in in SYN_SENT.
    expect(t.client.counted).toEqual({ n_in: 1, n_out: 1, nskip_in_tcpcb: 1, nskip_out_tcpcb: 1 });
  });

  test('a simultaneous open is skipped_tcpcb until it is established', () => {
    const net = new TwoStacks();
    const watch = new Watch(net.a);
    const a = open(net.a, ADDR_B, 4000, 5000);
    const b = open(net.b, net.a.addr, 5000, 4000);
    net.run(5 * SECOND, () => a.has('connected') && b.has('connected'));
    expect(Math.min(...watch.rows.map((r) => r.state), 4)).toBe(4);
    // SYN out and in, SYN-ACK out and in.
    expect(watch.counted).toMatchObject({ nskip_in_tcpcb: 2, nskip_out_tcpcb: 2 });
  });

  test('a packet with a wrong TCP checksum is logged like any other', () => {
    const t = connected();
    const s0 = t.server.rows.length;
    let spoilt = 0;
    t.net.filter = (frame, to) => {
      // Ethernet 14, IP 20, TCP 20 and 12 of options: payload, first segment only.
      if (to === 1 && frame.length > 66 && spoilt++ === 0) frame[66]! ^= 0xff;
      return [0];
    };
    t.user.sendAll(pattern(100), false);
    t.net.run(SECOND);
    expect(spoilt).toBeGreaterThan(1);
    expect(t.server.steps.slice(s0).filter((s) => s === 'i 4')).toHaveLength(2);
  });
});

describe('whole transfers', () => {
  const run = (o: { seed: number; loss: number }) => {
    const t = connected({ seed: o.seed });
    if (o.loss > 0) {
      let n = 0;
      t.net.filter = () => (++n % o.loss === 0 ? [] : [0]);
    }
    t.peer.onEnd = () => t.peer.sendAll(pattern(300_000), true);
    t.user.sendAll(pattern(200_000), true);
    expect(t.net.run(300 * SECOND, () => t.peer.has('closed 0'))).toBe(true);
    t.net.run(SECOND);
    return t;
  };

  test.each([
    ['without loss', 0],
    ['with every fiftieth frame lost', 50],
  ])('lines are packets seen less packets skipped, %s (section 7)', (_what, loss) => {
    const t = run({ seed: 7, loss });
    for (const watch of [t.client, t.server]) {
      const c = watch.counted;
      const skipped = ['in_malloc', 'out_malloc', 'in_tcpcb', 'out_tcpcb', 'in_inpcb', 'out_inpcb'];
      const total = c['n_in']! + c['n_out']! - skipped.reduce((n, k) => n + (c[`nskip_${k}`] ?? 0), 0);
      expect(watch.rows).toHaveLength(total);
      expect(total).toBeGreaterThan(300);
    }
  });

  test('every packet that a side sent or received was seen', () => {
    const t = run({ seed: 7, loss: 0 });
    const [a, b] = t.net.sent;
    expect(t.client.counted).toMatchObject({ n_out: a, n_in: b });
    expect(t.server.counted).toMatchObject({ n_out: b, n_in: a });
  });

  test('times never go back in a queue, and states and flowids are those that a log may show (section 13 rules 5, 7 and 8)', () => {
    for (const watch of [run({ seed: 3, loss: 50 }).client, run({ seed: 3, loss: 50 }).server]) {
      const rows = watch.rows;
      for (let i = 1; i < rows.length; i++) expect(rows[i]!.us).toBeGreaterThanOrEqual(rows[i - 1]!.us);
      for (const r of rows) expect(r.state >= 4 && r.state <= 10).toBe(true);
      expect(new Set(rows.map((r) => r.flowid)).size).toBe(1);
      expect(rows[0]!.flowid).not.toBe('0');
    }
  });
});
