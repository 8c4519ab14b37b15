import { expect, test } from 'vitest';
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR } from '../../../../src/stack/tcp/cc/cc.ts';
import { NewReno } from '../../../../src/stack/tcp/cc/newreno.ts';
import { Driver, MSS } from '../../../lab/cc-drive.ts';

test('slow start adds what an ACK acknowledges, two segments at most (RFC 3465 section 2.2)', () => {
  const d = new Driver(new NewReno());
  d.ack(MSS);
  expect(d.segs).toBe(11);
  d.ack(2 * MSS);
  expect(d.segs).toBe(13);
  d.ack(5 * MSS);
  expect(d.segs).toBe(15);
  d.ack(100);
  expect(d.c.snd_cwnd).toBe(15_100);
});

test('congestion avoidance adds one segment for a window of acknowledged bytes (RFC 5681 section 3.1, RFC 3465 section 2.1)', () => {
  const d = new Driver(new NewReno());
  d.c.snd_ssthresh = d.c.snd_cwnd;
  for (let i = 0; i < 9; i++) d.ack(MSS);
  expect(d.segs).toBe(10);
  d.ack(MSS);
  expect(d.segs).toBe(11);
  for (let i = 0; i < 11; i++) d.ack(MSS);
  expect(d.segs).toBe(12);
});

test('a window that was not the limit does not grow (RFC 7661 section 4.3)', () => {
  const d = new Driver(new NewReno());
  d.ack(MSS, 0, { cwndLimited: false });
  expect(d.segs).toBe(10);
  d.c.snd_ssthresh = 1;
  for (let i = 0; i < 30; i++) d.ack(MSS, 0, { cwndLimited: false });
  expect(d.segs).toBe(10);
});

test('loss and timeout set ssthresh to half the flight, at least two segments (RFC 5681 equation 4)', () => {
  for (const type of [CC_NDUPACK, CC_RTO] as const) {
    const d = new Driver(new NewReno());
    d.cc.congestionSignal(d.c, type);
    expect(d.c.snd_ssthresh).toBe(5 * MSS);
    d.c.snd_max = (d.c.snd_una + 3 * MSS) | 0;
    d.cc.congestionSignal(d.c, type);
    expect(d.c.snd_ssthresh).toBe(2 * MSS);
  }
});

test('segments that limited transmit sent beyond the window do not raise ssthresh (RFC 5681 section 3.2 step 2)', () => {
  const d = new Driver(new NewReno());
  d.c.snd_max = (d.c.snd_una + 12 * MSS) | 0;
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  expect(d.c.snd_ssthresh).toBe(5 * MSS);
});

test("the window is the stack's in fast recovery, and opens one segment an ACK after a timeout (RFC 3465 section 2.3)", () => {
  const d = new Driver(new NewReno());
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  d.c.inRecovery = true;
  d.ack(2 * MSS);
  expect(d.segs).toBe(10);
  d.c.inRecovery = false;
  d.cc.postRecovery?.(d.c);
  d.cc.congestionSignal(d.c, CC_RTO);
  d.c.snd_cwnd = MSS;
  d.ack(2 * MSS);
  expect(d.segs).toBe(2);
});

test('the ACK that ends fast recovery covers old data and adds nothing', () => {
  const d = new Driver(new NewReno());
  d.cc.congestionSignal(d.c, CC_NDUPACK);
  d.c.snd_cwnd = d.c.snd_ssthresh;
  d.cc.postRecovery?.(d.c);
  d.ack(10 * MSS);
  expect(d.segs).toBe(5);
  for (let i = 0; i < 5; i++) d.ack(MSS);
  expect(d.segs).toBe(6);
});

test('a mark halves the window, and takes a fifth with ABE (RFC 3168 section 6.1.2, RFC 8511 section 3.1)', () => {
  const plain = new Driver(new NewReno());
  plain.cc.congestionSignal(plain.c, CC_ECN);
  expect([plain.c.snd_cwnd, plain.c.snd_ssthresh]).toEqual([5 * MSS, 5 * MSS]);
  const abe = new Driver(new NewReno({ abe: true }));
  abe.cc.congestionSignal(abe.c, CC_ECN);
  expect([abe.c.snd_cwnd, abe.c.snd_ssthresh]).toEqual([8 * MSS, 8 * MSS]);
  const lost = new Driver(new NewReno({ abe: true }));
  lost.cc.congestionSignal(lost.c, CC_NDUPACK);
  expect(lost.c.snd_ssthresh).toBe(5 * MSS);
});

test('after a spurious timeout the window that the stack put back goes on growing', () => {
  const d = new Driver(new NewReno());
  d.cc.congestionSignal(d.c, CC_RTO);
  d.c.snd_cwnd = 10 * MSS;
  d.c.snd_ssthresh = 8 * MSS;
  d.cc.congestionSignal(d.c, CC_RTO_ERR);
  expect(d.segs).toBe(10);
  for (let i = 0; i < 10; i++) d.ack(MSS);
  expect(d.segs).toBe(11);
});
