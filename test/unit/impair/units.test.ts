import { describe, expect, it } from 'vitest';
import {
  formatRate,
  formatUs,
  parseBytes,
  parsePacketNumbers,
  parseProbability,
  parseQueue,
  parseRate,
  parseTime,
  UnitError,
} from '../../../src/impair/units.ts';

function error(run: () => unknown): string {
  try {
    run();
  } catch (err) {
    expect(err).toBeInstanceOf(UnitError);
    return (err as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('rates', () => {
  it.each([
    // tc(8), PARAMETERS, RATES
    ['10mbit', 10e6],
    ['10Mbit', 10e6],
    ['1.5gbit', 1.5e9],
    ['500kbit', 500e3],
    ['64kibit', 65536],
    ['1mibit', 1048576],
    ['100kbps', 800e3],
    ['1mbps', 8e6],
    ['1kibps', 8192],
    ['9600bit', 9600],
    ['9600', 9600],
    // dnctl(8), bw
    ['10Mbit/s', 10e6],
    ['300Kbit/s', 300e3],
    ['100KByte/s', 800e3],
    ['50Kbytes/s', 400e3],
    ['1MB/s', 8e6],
    ['10Mb/s', 10e6],
    ['1Bit/s', 1],
    ['0', 0],
    ['1e9', 1e9],
  ])('reads %s as tc or dnctl does', (text, bits) => {
    expect(parseRate(text)).toBe(bits);
  });

  it.each(['', 'fast', '10Mbot', '-1', '10 20', '10%', 'mbit', '1bdp'])('refuses %j in one line', (text) => {
    expect(error(() => parseRate(text))).toBe(
      `${text}: a rate like 10Mbit, 10Mbit/s, 1.5Gbit, 2MByte/s, 100kbps (kilobytes, as tc has it) or a number of bit/s`,
    );
  });

  it('writes rates for people', () => {
    expect([0, 9600, 10e6, 1.5e9].map(formatRate)).toEqual(['0 bit/s', '9.6 kbit/s', '10 Mbit/s', '1.5 Gbit/s']);
  });
});

describe('times', () => {
  it.each([
    ['20ms', 20e3],
    ['20msec', 20e3],
    ['20msecs', 20e3],
    ['50us', 50],
    ['50usec', 50],
    ['1.5s', 1.5e6],
    ['2sec', 2e6],
    ['500ns', 0.5],
    ['2min', 120e6],
    ['1h', 3.6e9],
    ['0', 0],
  ])('reads %s', (text, us) => {
    expect(parseTime(text)).toBe(us);
  });

  it("counts a plain number in milliseconds, as dnctl's delay, or in what the caller says", () => {
    expect(parseTime('20')).toBe(20e3);
    expect(parseTime('20', 1e6)).toBe(20e6);
  });

  it.each(['', '20m', 'soon', '-5ms', '5 6ms'])('refuses %j', (text) => {
    expect(error(() => parseTime(text))).toBe(`${text}: a time like 20ms, 20msec, 50us, 1.5s`);
  });

  it('writes times for people', () => {
    expect([0.5, 50, 20e3, 1.5e6].map(formatUs)).toEqual(['0.5 µs', '50 µs', '20 ms', '1.5 s']);
  });
});

describe('sizes and queues', () => {
  it.each([
    ['4096', 4096],
    ['100KB', 102400],
    ['100Kbytes', 102400],
    ['100k', 102400],
    ['1.5MB', 1572864],
    ['1MiB', 1048576],
    ['3000B', 3000],
  ])('reads %s with prefixes of 1024', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each([
    ['50', { packets: 50, bytes: 0, bdp: 0 }],
    ['50pkt', { packets: 50, bytes: 0, bdp: 0 }],
    ['50 slots', { packets: 50, bytes: 0, bdp: 0 }],
    ['100KB', { packets: 0, bytes: 102400, bdp: 0 }],
    ['100Kbytes', { packets: 0, bytes: 102400, bdp: 0 }],
    ['3000B', { packets: 0, bytes: 3000, bdp: 0 }],
    ['1bdp', { packets: 0, bytes: 0, bdp: 1 }],
    ['0.5bdp', { packets: 0, bytes: 0, bdp: 0.5 }],
  ])('reads the queue %s', (text, queue) => {
    expect(parseQueue(text)).toEqual(queue);
  });

  it.each(['', 'long', '1.5', '1.5pkt', '-1', '10ms'])('refuses the queue %j', (text) => {
    expect(error(() => parseQueue(text))).toBe(`${text}: a queue like 50, 50pkt, 100KB, 100Kbytes or 1bdp`);
  });

  it.each(['10bits', 'x'])('refuses the size %j', (text) => {
    expect(error(() => parseBytes(text))).toBe(`${text}: a size like 100KB, 100Kbytes, 1.5MB, or a number of bytes`);
  });
});

describe('probabilities and packet numbers', () => {
  it.each([
    ['0.01', 0.01],
    ['1%', 0.01],
    ['0.1%', 0.001],
    ['100%', 1],
    ['1', 1],
    ['0', 0],
    ['1e-4', 1e-4],
  ])('reads %s', (text, p) => {
    expect(parseProbability(text)).toBe(p);
  });

  it.each(['', '2', '101%', '-0.1', 'some'])('refuses %j', (text) => {
    expect(error(() => parseProbability(text))).toBe(`${text}: a probability like 0.01 or 1%, at most 1 or 100%`);
  });

  it('reads lists of packet numbers, ascending and once each', () => {
    expect(parsePacketNumbers('9,5,20-22,5')).toEqual([5, 9, 20, 21, 22]);
  });

  it.each(['', '0', '5,', '7-3', 'a'])('refuses the list %j', (text) => {
    expect(error(() => parsePacketNumbers(text))).toBe(`${text}: packet numbers from 1 on, like 5,9,20-22`);
  });
});
