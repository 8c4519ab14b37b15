import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { openLog } from '../../../src/log/open.ts';
import { labMissing } from '../../lab/netns.ts';
import { run } from '../../lab/process.ts';
import { MAN_DATA_LINE } from '../siftr/records.ts';
import { brokenOf, items, MAN_ENABLE, read, samplesOf, siftrItems } from './reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-log-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** 2000 lines, no two alike, so that they do not shrink to nothing. */
const LOG =
  MAN_ENABLE +
  Array.from({ length: 2000 }, (_, i) =>
    MAN_DATA_LINE.replace('14480', String((i * 2654435761) % 4294967296)).replace('185109', String(185109 + i)),
  ).join('');
const ITEMS = siftrItems(LOG);

async function xz(text: string | Buffer): Promise<Buffer> {
  const plain = join(dir, 'plain');
  writeFileSync(plain, text);
  await run(['xz', '-kf', plain]);
  return readFileSync(`${plain}.xz`);
}

const FORMATS: readonly (readonly [string, (text: string | Buffer) => Buffer | Promise<Buffer>])[] = [
  ['gzip', (text) => gzipSync(text)],
  ['zstd', (text) => zstdCompressSync(text)],
  ['xz', xz],
];

describe.each(FORMATS)('a log compressed with %s', (name, compress) => {
  const skip = name === 'xz' && labMissing('xz');

  test.skipIf(skip)('is told by its first bytes, in pieces of any size', async () => {
    const bytes = await compress(LOG);
    expect(bytes.length).toBeLessThan(LOG.length / 2);
    for (const piece of [1 << 20, 4096, 97]) expect(await read(bytes, {}, piece)).toEqual(ITEMS);
  });

  test.skipIf(skip)('is told whatever its name is', async () => {
    const path = join(dir, `${name}.log`);
    writeFileSync(path, await compress(LOG));
    const reader = await openLog(path);
    expect(await items(reader)).toEqual(ITEMS);
    expect(reader.bytesRead).toBe(reader.bytesTotal);
  });

  test.skipIf(skip)('may have several members behind one another', async () => {
    const [a, b] = [await compress(LOG), await compress(MAN_DATA_LINE)];
    for (const piece of [1 << 20, 1000, a.length]) {
      expect(await read(Buffer.concat([a, b, b]), {}, piece)).toEqual(siftrItems(LOG + MAN_DATA_LINE + MAN_DATA_LINE));
    }
  });

  test.skipIf(skip)('that ends early gives what is there, and says where it ends', async () => {
    const bytes = await compress(LOG);
    const all = await read(bytes.subarray(0, bytes.length - 30));
    const samples = samplesOf(all);
    expect(samples.length).toBeGreaterThan(100);
    expect(samples).toEqual(ITEMS.slice(1, samples.length + 1));
    expect(brokenOf(all)[0]).toEqual({
      type: 'broken',
      line: samples.length + 2,
      why: 'the compressed data end early',
    });
  });

  test.skipIf(skip)('that is damaged says so', async () => {
    const bytes = Buffer.from(await compress(LOG));
    bytes.fill(0xaa, bytes.length - 2000, bytes.length - 1000);
    // xz gives what it makes of them until it comes to the check sum.
    expect(brokenOf(await read(bytes)).map((b) => b.why)).toContainEqual(
      expect.stringMatching(/^the compressed data are damaged \(.+\)$/),
    );
  });

  test.skipIf(skip)('of nothing is an empty log', async () => {
    expect(await read(await compress(''))).toEqual([]);
  });
});

test.skipIf(labMissing('xz'))('two logs of xz are read at a time', async () => {
  const bytes = await xz(LOG);
  const readers = [await openLog(Readable.from([bytes])), await openLog(Readable.from([bytes]))];
  expect(await Promise.all(readers.map(items))).toEqual([ITEMS, ITEMS]);
});

describe('openLog', () => {
  const path = join(dir, 'plain.log');
  writeFileSync(path, LOG);

  test('tells path, format and size, and counts the bytes that it reads', async () => {
    const reader = await openLog(path);
    expect([reader.path, reader.format, reader.bytesTotal]).toEqual([path, 'siftr', LOG.length]);
    expect(await items(reader)).toEqual(ITEMS);
    expect(reader.bytesRead).toBe(LOG.length);
  });

  test('knows no size of a stream', async () => {
    const reader = await openLog(Readable.from([Buffer.from(LOG)]));
    expect([reader.path, reader.bytesTotal]).toEqual(['-', Number.NaN]);
    await items(reader);
  });

  test('reads what is made only when it is asked for', async () => {
    let made = 0;
    function* endless(): Generator<Buffer> {
      for (;;) {
        made++;
        yield Buffer.from(MAN_DATA_LINE.repeat(100));
      }
    }
    const reader = await openLog(Readable.from(endless()));
    const batches = reader.batches();
    for (let i = 0; i < 3; i++) expect((await batches.next()).value).toHaveLength(100);
    // A stream of Node keeps some chunks ready (highWaterMark).
    expect(made).toBeLessThan(30);
    await batches.return(undefined);
  });

  test('takes an empty file for a log without lines', async () => {
    const empty = join(dir, 'empty');
    writeFileSync(empty, '');
    expect(await items(await openLog(empty))).toEqual([]);
  });

  test.each([
    [join(dir, 'none'), /none: cannot be read \(ENOENT\)$/, 1],
    [dir, /: cannot be read \(EISDIR\)$/, 1],
    [
      import.meta.filename,
      /: no line of a SIFTR log, a tcp_probe trace, polls of ss or samples of tcpstats at its start$/,
      2,
    ],
  ])('refuses %s in one line', async (from, message, exitCode) => {
    await expect(openLog(from)).rejects.toMatchObject({
      name: 'LogError',
      message: expect.stringMatching(message),
      exitCode,
    });
  });

  test('refuses a segment size that none can have', async () => {
    await expect(openLog(path, { mss: 0 })).rejects.toThrow('mss 0: allowed is a whole number from 1 to 65535');
  });
});
