import { describe, expect, it } from 'vitest';
import type { CcModule, CcVar, CongestionControl } from '../../../../src/stack/tcp/cc/cc.ts';
import { ccRegister } from '../../../../src/stack/tcp/cc/registry.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Sender } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const ECONNABORTED = 103;
/** Modules work until this is true, so that their registration sees nothing. */
let armed = false;
/** The next instance of throws-first is the one that throws. */
let firstOnly = false;

function bad(name: string, part: Partial<CongestionControl>, create?: () => CongestionControl): CcModule {
  const m: CcModule = {
    name,
    create: create ?? (() => ({ init() {}, ackReceived() {}, congestionSignal() {}, ...part })),
  };
  armed = false;
  ccRegister(m);
  return m;
}

const boom = () => {
  if (armed) throw new Error('boom');
};

bad('throws-ack', { ackReceived: boom });
bad('throws-init', { init: boom });
bad('throws-signal', { congestionSignal: boom });
bad('throws-sent', { sent: boom });
bad('throws-create', {}, () => {
  boom();
  return { init() {}, ackReceived() {}, congestionSignal() {} };
});
bad('throws-first', {}, () => {
  const mine = firstOnly;
  firstOnly = false;
  return {
    init() {},
    ackReceived() {
      if (mine) throw new Error('boom');
    },
    congestionSignal() {},
  };
});
bad('throws-lines', {
  ackReceived() {
    if (armed) throw new Error('boom\nat the second line');
  },
});
bad('throws-nothing', {
  ackReceived() {
    if (armed) throw Object.create(null);
  },
});
bad('nan-cwnd', {
  ackReceived(c: CcVar) {
    c.snd_cwnd = Number.NaN;
  },
});
bad('nan-ssthresh', {
  congestionSignal(c: CcVar) {
    c.snd_ssthresh = Number.NaN;
  },
});
bad('nan-rate', { pacingRate: () => Number.NaN });
bad('negative-rate', { pacingRate: () => -1 });
bad('wide', {
  ackReceived(c: CcVar) {
    c.snd_cwnd = Number.POSITIVE_INFINITY;
  },
});
bad('narrow', {
  ackReceived(c: CcVar) {
    c.snd_cwnd = 0.5;
    c.snd_ssthresh = -3;
  },
});

/** A connection under the module, through an ACK and a loss; the lines that the stack says meanwhile. */
function run(cc: string, loss = true) {
  const lines: string[] = [];
  armed = true;
  const s = new Sender({ cc, tune: { tcp_tlp: 0 } });
  s.p.host.st.onWarning = (text) => lines.push(text);
  s.write(30);
  s.wait(100).ack(1);
  if (loss && s.tp.t_inpcb !== null) s.ack(1, [[2, 5]]);
  return { s, lines };
}

describe('a congestion-control module that fails', () => {
  it.each([
    ['throws-ack', 'boom'],
    ['throws-signal', 'boom'],
    ['throws-sent', 'boom'],
    ['nan-cwnd', 'NaN'],
    ['nan-ssthresh', 'NaN'],
  ])('%s: ends its own connection with ECONNABORTED, a counter and one line', (cc, why) => {
    const { s, lines } = run(cc);
    expect(s.rec.events.at(-1)).toBe(`closed ${ECONNABORTED}`);
    expect(s.count('tcps_ccfail')).toBe(1);
    expect(lines.length).toBe(1);
    expect(lines[0]).toContain(cc);
    expect(lines[0]).toContain(why);
    expect(s.p.host.st.tcp.tcb.count).toBe(0);
    // The peer is told.
    expect(s.out().some((o) => o.flags.includes('R'))).toBe(true);
  });

  it.each(['throws-create', 'throws-init', 'nan-rate', 'negative-rate'])('%s: does so at the handshake', (cc) => {
    armed = true;
    const lines: string[] = [];
    const p = new ScriptedPeer({ cc }).listen();
    p.host.st.onWarning = (text) => lines.push(text);
    p.send({ flags: 'S', mss: 1460 }).one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.events.at(-1)).toBe(`closed ${ECONNABORTED}`);
    expect(p.host.count('tcps_ccfail')).toBe(1);
    expect(lines.length).toBe(1);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('leaves the other connections of the stack alone, also those of the same module', () => {
    armed = true;
    firstOnly = true;
    const s = new Sender({ cc: 'throws-first', tune: { tcp_tlp: 0 } });
    const iss = s.p.iss;
    s.p.send({ flags: 'S', mss: 1460, wscale: 7, sport: 40001 });
    s.out();
    s.p.send({ flags: 'A', seq: 1, ack: 1, sport: 40001 });
    const other = s.p.accepted[1]!;
    const otherIss = s.p.iss;
    s.p.iss = iss;
    s.write(30);
    s.wait(100).ack(1);
    expect(s.rec.events.at(-1)).toBe(`closed ${ECONNABORTED}`);
    s.p.iss = otherIss;
    other.sendAll(pattern(30 * 1460));
    s.p.host.pass();
    s.p.send({ flags: 'A', seq: 1, ack: 1 + 1460, data: [1, 2, 3], sport: 40001 });
    expect(other.received).toBe(3);
    expect(other.has(`closed ${ECONNABORTED}`)).toBe(false);
    expect(s.count('tcps_ccfail')).toBe(1);
  });

  it('may set any number: the window stays within a segment and the largest window', () => {
    const wide = run('wide', false).s;
    expect(wide.tp.snd_cwnd).toBe(65535 << 14);
    const narrow = run('narrow').s;
    expect(narrow.tp.snd_cwnd).toBeGreaterThanOrEqual(narrow.mss);
    expect(narrow.tp.snd_ssthresh).toBeGreaterThanOrEqual(narrow.mss);
    expect(narrow.count('tcps_ccfail')).toBe(0);
  });

  it.each([
    ['throws-lines', 'congestion control throws-lines failed, its connection is dropped: Error: boom'],
    [
      'throws-nothing',
      'congestion control throws-nothing failed, its connection is dropped: it threw what has no text',
    ],
  ])('%s is told in one line, whatever was thrown', (cc, line) => {
    expect(run(cc).lines).toEqual([line]);
  });
});
