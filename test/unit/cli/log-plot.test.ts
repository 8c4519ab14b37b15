import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logPlotCommand } from '../../../src/cli/log-plot.ts';
import { exitCodeOf } from '../../../src/daemon/errors.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-log-plot-'));
const log = join(dir, 'a.log');
const svg = join(dir, 'a.svg');

// A line of siftr(4)'s manual page.
const LINE =
  'o,1685191814.185109,10.1.1.2,32291,10.1.1.3,5001,1073725440,14480,2,65160,65700,7,9,4,1460,1000,1,16778209,230000,33580,0,65700,0,0,0,86707916,130';

beforeAll(() => writeFileSync(log, `${LINE}\n`));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs `log plot WORDS…`. */
async function plot(...words: string[]): Promise<void> {
  await logPlotCommand().exitOverride().parseAsync(words, { from: 'user' });
}

describe('log plot', () => {
  test.each<[string[], string]>([
    [[log], 'log plot: -o is missing: name a file that ends in .html, .svg or .png'],
    [
      [log, '-o', 'a.pdf'],
      'log plot: -o a.pdf: allowed is a name that ends in .html, .svg or .png, or any with --format',
    ],
    [[log, '-o', '-'], 'log plot: -o -: allowed is a name that ends in .html, .svg or .png, or any with --format'],
    [[log, '-o', svg, '--format', 'pdf'], 'log plot: --format pdf: allowed is html, svg or png'],
    [
      [log, '-o', svg, '--fields', 'cwnd,cwd'],
      'log plot: --fields cwd: allowed are cwnd, ssthresh, inflight, snd_wnd, rcv_wnd, srtt, rto, snd_hiwat, snd_cc, rcv_hiwat, rcv_cc, mss, segqlen, with a comma between, or all',
    ],
    [[log, '-o', svg, '--max-flows', '0'], 'log plot: --max-flows 0: allowed is a whole number from 1 to 64'],
    [[log, '-o', svg, '--max-flows', '65'], 'log plot: --max-flows 65: allowed is a whole number from 1 to 64'],
    [[log, '-o', svg, '--align', 'end'], 'log plot: --align end: allowed is start, flow or wall'],
    [[log, '-o', svg, '--from', '1s'], 'log plot: --from 1s: allowed are seconds, as 2 or 0.25'],
    [[log, '-o', svg, '--from', '4', '--to', '2'], 'log plot: --from 4: must be less than --to 2'],
    [[log, '-o', svg, '--label', 'a', '--label', 'b'], 'log plot: --label b: there are more labels than logs'],
  ])('refuses %j', async (words, message) => {
    const err = await plot(...words).then(
      () => null,
      (e: unknown) => e,
    );
    expect((err as Error).message).toBe(message);
    expect(exitCodeOf(err)).toBe(2);
    expect(existsSync(svg)).toBe(false);
  });

  test('leaves a file as it was when nothing can be drawn', async () => {
    const file = join(dir, 'kept.svg');
    writeFileSync(file, 'mine');
    await expect(plot(log, '-o', file, '--flow', '*;80-*;*')).rejects.toThrow(
      '--flow *;80-*;*: no flow of a.log fits; there are 10.1.1.2;32291-10.1.1.3;5001',
    );
    await expect(plot(join(dir, 'none.log'), '-o', file)).rejects.toThrow('none.log: cannot be read (ENOENT)');
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  test('calls logs by their names, by their paths where the names are the same, and by labels', async () => {
    const twin = join(mkdtempSync(join(dir, 'b-')), 'a.log');
    writeFileSync(twin, `${LINE}\n`);
    await plot(log, twin, '-o', svg);
    expect(readFileSync(svg, 'utf8')).toContain(`<title id="plot-title">${log}, ${twin}</title>`);
    await plot(log, twin, '-o', svg, '--label', 'ours');
    expect(readFileSync(svg, 'utf8')).toContain(`<title id="plot-title">ours, ${twin}</title>`);
    await plot(log, '-o', svg, '--title', 'A & B');
    expect(readFileSync(svg, 'utf8')).toContain('<title id="plot-title">A &amp; B</title>');
  });

  test('goes by --format, whatever the file is called', async () => {
    const file = join(dir, 'picture');
    await plot(log, '-o', file, '--format', 'html');
    expect(readFileSync(file, 'utf8')).toMatch(/^<!doctype html>/);
  });
});
