import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type LogItem, readSiftr } from '../../../src/log/index.ts';
import { MAN_DATA_LINE } from '../siftr/records.ts';
import { disableLine, MAN_ENABLE, siftrItems } from './reading.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const OTHER = MAN_DATA_LINE.replace('10.1.1.2', '10.1.1.4');
const LOG = `${MAN_ENABLE}${MAN_DATA_LINE}${OTHER}oops\n${disableLine(0, 2, 0, 0, '')}`;

async function all(items: AsyncIterable<LogItem>): Promise<LogItem[]> {
  const out: LogItem[] = [];
  for await (const item of items) out.push(item);
  return out;
}

describe('readSiftr', () => {
  test('gives the items of a stream in the order of its lines', async () => {
    expect(await all(readSiftr(Readable.from([LOG])))).toEqual(siftrItems(LOG));
    expect(await all(readSiftr(Readable.from([gzipSync(LOG)])))).toEqual(siftrItems(LOG));
  });

  test('leaves out samples of other flows than those that are asked for, and nothing else', async () => {
    const items = await all(readSiftr(Readable.from([LOG]), { flow: '10.1.1.4;*-*;*' }));
    expect(items.map((i) => [i.type, i.line])).toEqual([
      ['enable', 1],
      ['sample', 3],
      ['broken', 4],
      ['disable', 5],
    ]);
  });

  test('closes the stream when the loop is left', async () => {
    const stream = Readable.from([LOG, LOG]);
    for await (const item of readSiftr(stream)) {
      expect(item.type).toBe('enable');
      break;
    }
    expect(stream.destroyed).toBe(true);
  });

  test('refuses a wrong flow', async () => {
    await expect(all(readSiftr(Readable.from([LOG]), { flow: 'all' }))).rejects.toThrow(/^flow all: allowed is /);
  });

  test('keeps nothing of what was read: the heap does not grow with 40 MB and 1000 flows', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => MAN_DATA_LINE.replace('32291', String(1000 + i)));
    const chunk = Buffer.from(lines.join(''));
    const chunks = Math.ceil(40e6 / chunk.length);
    function* stream(): Generator<Buffer> {
      for (let i = 0; i < chunks; i++) yield chunk;
    }
    const heap: number[] = [];
    let samples = 0;
    for await (const item of readSiftr(Readable.from(stream()))) {
      if (item.type === 'sample' && ++samples % 60_000 === 0) {
        gc();
        heap.push(process.memoryUsage().heapUsed);
      }
    }
    expect(samples).toBe(chunks * 1000);
    // What is in use after the first 9 MB is in use at the end. A sample alone takes some 300 bytes, 60 MB for the rest of them.
    expect(heap.at(-1)! - heap[0]!).toBeLessThan(4e6);
  });
});
