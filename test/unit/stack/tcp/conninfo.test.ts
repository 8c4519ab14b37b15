import { describe, expect, it } from 'vitest';
import { CONN_FIELDS, type ConnName } from '../../../../src/stack/tcp/conn-fields.ts';
import { CONN_CC_SLOT, CONN_ROW, CONN_SLOT, connRead, listenRead } from '../../../../src/stack/tcp/conninfo.ts';
import type { Tcpcb } from '../../../../src/stack/tcp/tcpcb.ts';
import { open, pattern, Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_A, ADDR_B, TwoStacks } from '../../../lab/twostacks.ts';

function read(tp: Tcpcb): (name: ConnName) => number {
  const row = new Float64Array(CONN_ROW);
  expect(connRead(tp.t_inpcb!, row, 0)).toBe(true);
  return (name) => row[CONN_SLOT[name]]!;
}

function pair(o: ConstructorParameters<typeof TwoStacks>[0] = {}, appetite = Number.POSITIVE_INFINITY) {
  const net = new TwoStacks(o);
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted, () => {
    const r = new Recorder();
    r.appetite = appetite;
    return r;
  });
  const a = open(net.a, ADDR_B, 80, 40_000);
  net.run(2_000_000, () => a.has('connected') && accepted[0]?.has('connected') === true);
  return { net, a, b: accepted[0]!, ta: a.so!.tp!, tb: accepted[0]!.so!.tp! };
}

describe('the declaration of the fields', () => {
  it('names each once, in small letters, with the unit at the end of the name where there is one to tell', () => {
    const names = CONN_FIELDS.map((f) => f.name as string);
    expect(new Set(names).size).toBe(names.length);
    for (const f of CONN_FIELDS) {
      expect(f.name).toMatch(/^[a-z][a-z_]*$/);
      expect(f.help).not.toBe('');
      if (f.unit === 'us' || f.unit === 'ms') expect(f.name.endsWith(`_${f.unit}`), f.name).toBe(true);
      if (f.unit === 'bytes') expect(f.name, f.name).toMatch(/_bytes$|^bytes_|^(recv|send)_q$/);
    }
  });

  it('has what ss -tinm shows on Linux, but for what this stack does not have', () => {
    const shown = CONN_FIELDS.map((f) => f.ss).join(' ');
    // The words of `ss -tinm` (iproute2 6.1); not here: the degree of reordering, rcv_rtt, rcv_ssthresh, fastopen.
    for (const word of [
      'skmem r,skmem rb,skmem tb,wscale:,rto:,backoff:,rtt:,ato:,mss:,pmtu:,rcvmss:,advmss:,cwnd:,ssthresh:',
      'bytes_sent:,bytes_retrans:,bytes_acked:,bytes_received:,segs_out:,segs_in:,data_segs_out:,data_segs_in:',
      'lastsnd:,lastrcv:,lastack:,pacing_rate,delivery_rate,delivered:,delivered_ce:,app_limited',
      'busy:,rwnd_limited:,sndbuf_limited:,unacked:,retrans:,lost:,sacked:,dsack_dups:,reord_seen:',
      'rcv_space:,notsent:,minrtt:,rcv_ooopack:,snd_wnd:,ts,sack,ecn,ecnseen',
    ].flatMap((line) => line.split(','))) {
      expect(shown).toContain(word);
    }
  });
});

describe('the state of a connection', () => {
  it('is what both ends and the wire say at rest', () => {
    const p = pair({ delayUs: 500 });
    p.a.sendAll(pattern(100_000));
    p.net.run(5_000_000, () => p.b.received === 100_000);
    p.net.run(3_000_000);
    const a = read(p.ta);
    const b = read(p.tb);
    expect([a('lport'), a('fport'), b('lport'), b('fport')]).toEqual([40_000, 80, 80, 40_000]);
    expect([a('bytes_sent'), a('bytes_acked'), b('bytes_received')]).toEqual([100_000, 100_001, 100_000]);
    expect([a('segs_out'), a('segs_in')]).toEqual([b('segs_in'), b('segs_out')]);
    expect([a('snd_wscale'), a('rcv_wscale')]).toEqual([b('rcv_wscale'), b('snd_wscale')]);
    expect([a('mss_bytes'), a('pmtu_bytes'), a('advmss_bytes'), b('rcvmss_bytes')]).toEqual([1448, 1500, 1460, 1448]);
    // The window on the wire is cut to a multiple of its scale (RFC 7323 section 2.3).
    const scale = a('snd_wscale');
    expect((b('rcv_wnd_bytes') >> scale) << scale).toBe(a('snd_wnd_bytes'));
    for (const name of ['unacked_bytes', 'inflight_bytes', 'lost_bytes', 'sacked_bytes', 'notsent_bytes'] as const) {
      expect([name, a(name)]).toEqual([name, 0]);
    }
    // The wire takes 500 µs each way.
    expect(a('min_rtt_us')).toBe(1000);
    expect(a('lastsnd_ms')).toBeGreaterThanOrEqual(2999);
    expect(b('lastrcv_ms')).toBeGreaterThanOrEqual(2999);
    expect(a('lastrcv_ms')).toBe(a('age_ms'));
    expect([a('ts'), a('sack'), a('ecn'), a('recovery'), a('orphan')]).toEqual([1, 1, 0, 0, 0]);
    expect(Number.isNaN(a('ssthresh_bytes'))).toBe(true);
    expect([a('timer'), Number.isNaN(a('timer_us'))]).toEqual([2, false]);
  });

  it('tells what waits and where while the peer does not read', () => {
    const p = pair({ tuneB: { tcp_recvspace: 8000, tcp_recvbuf_auto: 0 } }, 0);
    p.a.sendAll(pattern(20_000));
    p.net.run(8_000_000);
    const a = read(p.ta);
    const b = read(p.tb);
    // Of 20 000 bytes the peer holds what its buffer took, the rest waits here, in part in flight as a probe.
    expect(b('recv_q')).toBe(b('rcvmem_bytes'));
    expect(a('send_q') + b('recv_q')).toBe(20_000);
    expect(a('unacked_bytes') + a('notsent_bytes')).toBe(a('send_q'));
    expect(a('snd_wnd_bytes')).toBeLessThan(1448);
    expect(a('timer')).toBe(4);
    expect(a('timer_us')).toBeGreaterThan(0);
    expect(a('rwnd_limited_ms')).toBeGreaterThan(7000);
    expect(a('busy_ms')).toBeGreaterThanOrEqual(a('rwnd_limited_ms'));
  });

  it('tells of losses while they are repaired', () => {
    const p = pair({ delayUs: 20_000 });
    let n = 0;
    p.net.filter = (frame, to) => (to === 1 && frame.length > 1000 && ++n === 12 ? [] : [0]);
    p.a.sendAll(pattern(200_000));
    p.net.run(5_000_000, () => p.ta.snd_rexmitpack > 0);
    const a = read(p.ta);
    expect([a('recovery'), a('retrans_total'), a('bytes_retrans'), a('retrans_bytes')]).toEqual([1, 1, 1448, 1448]);
    expect(a('sacked_bytes')).toBeGreaterThan(0);
    expect(a('ssthresh_bytes')).toBeGreaterThan(0);
    expect(read(p.tb)('rcv_ooopack')).toBeGreaterThan(0);
    expect(a('inflight_bytes')).toBe(a('unacked_bytes') - a('sacked_bytes') - a('lost_bytes'));
  });

  it('counts the FIN as received and acknowledged, as Linux does', () => {
    const p = pair();
    p.a.sendAll(pattern(1000), true);
    p.net.run(2_000_000);
    const a = read(p.ta);
    const b = read(p.tb);
    // The SYN of the active open, 1000 bytes and the FIN.
    expect([a('bytes_sent'), a('bytes_acked'), b('bytes_received')]).toEqual([1000, 1002, 1001]);
    expect([a('snd_shut'), a('rcv_shut'), b('rcv_shut'), b('snd_shut')]).toEqual([1, 0, 1, 0]);
  });

  it('has the addresses as four words and the numbers of the congestion-control module at the end of the row', () => {
    const p = pair();
    const row = new Float64Array(2 * CONN_ROW);
    connRead(p.ta.t_inpcb!, row, CONN_ROW);
    const at = CONN_ROW + CONN_SLOT.laddr;
    expect([...row.slice(at, at + 4)]).toEqual([0, 0, 0xffff, ADDR_A]);
    const fields = p.ta.t_ccmod!.fields!.length;
    const cc = row.slice(CONN_ROW + CONN_CC_SLOT);
    expect([...cc].map((v) => Number.isNaN(v))).toEqual([...cc].map((_, i) => i >= fields));
    // The row before it is as it was.
    expect(row.slice(0, CONN_ROW).every((v) => v === 0)).toBe(true);
  });

  it('is that of a listening socket: its queue, its limit, its buffers', () => {
    const net = new TwoStacks();
    const l = serve(net.b, 80, []);
    const row = new Float64Array(CONN_ROW);
    listenRead(l, row, 0);
    const of = (name: ConnName): number => row[CONN_SLOT[name]]!;
    expect([of('state'), of('recv_q'), of('send_q'), of('lport')]).toEqual([1, 0, l.backlog, 80]);
    expect([of('fport'), of('cwnd_bytes')]).toEqual([Number.NaN, Number.NaN]);
  });

  it('survives a module that throws where it should tell its numbers', () => {
    const p = pair();
    p.ta.t_cc = {
      init() {},
      ackReceived() {},
      congestionSignal() {},
      readFields(out, at) {
        out[at] = 1;
        throw new Error('no');
      },
    };
    const row = new Float64Array(CONN_ROW);
    expect(connRead(p.ta.t_inpcb!, row, 0)).toBe(true);
    expect(row.slice(CONN_CC_SLOT).every(Number.isNaN)).toBe(true);
    expect(row[CONN_SLOT.lport]).toBe(40_000);
  });
});
