import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { describe, expect, test } from 'vitest';
import { PLOT_FIELDS } from '../../../src/log/plot/fields.ts';
import { packed, plotHtml } from '../../../src/log/plot/html.ts';
import { collectPlot, type Plot } from '../../../src/log/plot/model.ts';
import { plotPng } from '../../../src/log/plot/png.ts';
import { Scale, ticks, tickText } from '../../../src/log/plot/scale.ts';
import { COLOURS, DARK_COLOURS, MARKERS } from '../../../src/log/plot/style.ts';
import { escaped, linePath, plotSvg, valueAt } from '../../../src/log/plot/svg.ts';
import fc from '../../lab/property.ts';
import { sample, sourceOf } from '../../lab/samples.ts';

async function plotOf(names: string, ...values: [timeUs: number, cwnd: number, flags?: number][]): Promise<Plot> {
  const items = values.map(([timeUs, cwnd, flags]) => sample({ timeUs, cwnd, srtt: 40_000, flags: flags ?? null }));
  return collectPlot([sourceOf(items)], {
    fields: PLOT_FIELDS.filter((f) => names.split(',').includes(f.name)),
    filter: () => true,
    flows: [],
    maxFlows: 8,
    align: 'start',
    from: Number.NEGATIVE_INFINITY,
    to: Number.POSITIVE_INFINITY,
  });
}

describe('an axis', () => {
  test.each([
    [0, 10, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    [0, 9.95, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [0, 1430, 6, [0, 500, 1000]],
    [0.13, 0.17, 4, [0.13, 0.14, 0.15, 0.16, 0.17]],
    [-1, 1, 4, [-1, -0.5, 0, 0.5, 1]],
    [5, 5, 4, [5]],
  ])('from %d to %d with %d steps or fewer has ticks at %j', (min, max, most, expected) => {
    expect(ticks(min, max, most)).toEqual(expected);
  });

  test('writes no more decimals than its ticks have', () => {
    expect(tickText(0.30000000000000004, 0.1)).toBe('0.3');
    expect(tickText(1000, 500)).toBe('1000');
    expect(tickText(0.25, 0.05)).toBe('0.25');
  });

  test('maps its ends to the pixels that they were given', () => {
    const s = new Scale(10, 20, 300, 100);
    expect([s.px(10), s.px(15), s.px(20)]).toEqual([300, 200, 100]);
  });
});

describe('a line', () => {
  const x = new Scale(0, 10, 0, 100);
  const y = new Scale(0, 10, 100, 0);
  const path = (t: number[], v: number[]) => linePath({ t: Float64Array.from(t), v: Float64Array.from(v) }, x, y);

  test('is one of steps: a value holds until the next sample', () => {
    expect(path([0, 5, 10], [1, 2, 2])).toBe('M0 90H50V80H100');
  });

  test('ends where a gap begins and begins where it ends', () => {
    expect(path([0, 2, 4, 6], [1, Number.NaN, 3, 3])).toBe('M0 90H20M40 70H60');
  });

  test('shows a point that stands alone', () => {
    expect(path([0, 2, 4, 5, 6], [1, Number.NaN, 3, Number.NaN, 4])).toBe('M0 90H20M40 70H50M58 60h4');
    // Also where several samples have one time and one value, or a gap begins at once.
    expect(path([6, 6], [4, 4])).toBe('M58 60h4');
    expect(path([0, 0, 5], [4, Number.NaN, Number.NaN])).toBe('M-2 60h4');
    expect(path([0, 0, 5], [4, 4, 4])).toBe('M0 60H50');
    expect(path([0, 0], [4, 3])).toBe('M0 60V70');
  });

  test('has a value from its first to its last point', () => {
    const p = { t: Float64Array.of(1, 3), v: Float64Array.of(5, 7) };
    expect([0, 1, 2.9, 3, 3.1].map((t) => valueAt(p, t))).toEqual([Number.NaN, 5, 5, 7, Number.NaN]);
  });
});

describe('the SVG', () => {
  // The panel lies from x 76 to 944 and from y 76 to 286. 20 kB is its top, 0 its bottom: 10 kB lies at 286 - 105, 15 kB at 286 - 157.5.
  test('has the points of a small log at the places worked out by hand', async () => {
    const svg = plotSvg(await plotOf('cwnd', [0, 10_000], [1e6, 20_000], [2e6, 15_000]));
    expect(svg).toContain(' d="M76 181H510V76H944V128.5" ');
    expect(svg).toContain('>cwnd, kB</text>');
    expect(svg).toContain('>time since the first sample, s</text>');
  });

  test('has room for the times at its ends, of one sample too', async () => {
    const svg = plotSvg(await plotOf('cwnd', [0, 10_000]));
    const ends = [...svg.matchAll(/<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">([\d.]+)</g)];
    expect(ends.at(-1)![2]).toBe('0.0010');
    // Digits of DejaVu Sans are 0.636 of its size wide.
    for (const [, x, words] of ends) expect(Number(x) + (words!.length * 12 * 0.636) / 2).toBeLessThan(960);
  });

  test('says what it shows: title and description, which its role points to', async () => {
    const svg = plotSvg(await plotOf('cwnd,srtt', [0, 10_000], [2e6, 15_000]));
    expect(svg).toMatch(/<svg [^>]*role="img" aria-labelledby="plot-title plot-desc"/);
    expect(svg).toContain('<title id="plot-title">a.log</title>');
    expect(svg).toContain(
      '<desc id="plot-desc">cwnd in kB (congestion control); srtt in ms (times) over 2 seconds. Flow: 192.0.2.1;5001-192.0.2.2;40000 of a.log, 2 samples.</desc>',
    );
  });

  test('names eight flows in its description and counts the others', async () => {
    const plot = await plotOf('cwnd', [0, 10_000], [2e6, 15_000]);
    const many = Array.from({ length: 11 }, (_, i) => ({ ...plot.flows[0]!, name: `flow${i}` }));
    const svg = plotSvg({ ...plot, flows: many });
    expect(svg).toContain('flow7 of a.log, 2 samples and 3 more.</desc>');
  });

  test('marks a line that lies between the places of markers at its end', async () => {
    const plot = await plotOf('cwnd', [0, 10_000], [1e5, 20_000]);
    const svg = plotSvg({ ...plot, to: 10e6, flows: [plot.flows[0]!, { ...plot.flows[0]!, name: 'other' }] });
    // The second flow's places are 0.75, 1.75, … of nine parts of 10 s. Its end, 0.1 s, lies at 76 + 868 / 100.
    expect(svg).toMatch(/d="M-4 -4H4V4H-4Z" transform="translate\(84\.68 76\)"/);
  });

  test('shows fast recovery of a single flow behind its lines', async () => {
    const svg = plotSvg(await plotOf('cwnd', [0, 10_000, 0], [1e6, 20_000, 0x100000], [2e6, 15_000, 0]));
    expect(svg).toContain('<path d="M510 94H944v210H510Z" fill="#F0C000"');
    expect(svg).toContain('>fast recovery</text>');
  });

  test('is well-formed XML, whatever a log is called', async () => {
    const plot = await plotOf('cwnd', [0, 10_000], [2e6, 15_000]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (title) => {
        // Its parser refuses what is not (XML 1.0 section 2.1).
        expect(new Resvg(plotSvg({ ...plot, title }), { font: { loadSystemFonts: false } }).width).toBe(960);
      }),
      { numRuns: 20 },
    );
    expect(escaped(`<&'">\u0000\ud800`)).toBe('&lt;&amp;&#39;&quot;&gt;\ufffd\ufffd');
  });
});

describe('the PNG', () => {
  test('is twice as wide as the SVG, and has text without any font of the machine', async () => {
    const plot = await plotOf('cwnd', [0, 10_000], [2e6, 15_000]);
    const png = await plotPng(plotSvg({ ...plot, title: '' }));
    expect([...png.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    expect(png.readUInt32BE(16)).toBe(1920);
    // Only the text differs.
    expect(await plotPng(plotSvg({ ...plot, title: 'Wider µs → 10' }))).not.toEqual(png);
  });
});

describe('the page', () => {
  test('allows nothing but its own two scripts and its style', async () => {
    const html = plotHtml(await plotOf('cwnd', [0, 10_000], [2e6, 15_000]));
    const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(html)![1]!;
    const sha = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    const scripts = [...html.matchAll(/<script(?: type="module")?>(.*?)<\/script>/gs)].map((m) => sha(m[1]!));
    const style = sha(/<style>(.*?)<\/style>/s.exec(html)![1]!);
    expect(scripts).toHaveLength(2);
    expect(policy).toBe(
      `default-src 'none'; script-src ${scripts.join(' ')}; style-src ${style}; base-uri 'none'; form-action 'none'`,
    );
    expect(html.indexOf('Content-Security-Policy')).toBeLessThan(html.indexOf('<style>'));
    expect(html).not.toMatch(/(?:src|href|action)="/);
  });

  test('stays whole when a log is called </script>', async () => {
    const plot = await plotOf('cwnd', [0, 10_000]);
    const html = plotHtml({ ...plot, title: '</script><b>', logs: [{ label: '</script>', about: '' }] });
    expect(html.match(/<\/script>/g)).toHaveLength(3);
    expect(html).toContain('<title>&lt;/script&gt;&lt;b&gt;</title>');
    expect(html).toContain('\\u003c/script>');
  });

  test('carries the licence of uPlot', async () => {
    const html = plotHtml(await plotOf('cwnd', [0, 10_000]));
    expect(html).toContain('The MIT License (MIT)');
    expect(createRequire(import.meta.url)('uplot/package.json').license).toBe('MIT');
  });

  // 300 - 1 = 299 = 2 * 128 + 43: bytes 43 + 128 and 2. 5 is folded to 10 and one added; a gap is 0; 3 - 5 = -2 is folded to 3.
  test('has its numbers packed: differences, signs folded in, seven bits a byte', () => {
    const p = { t: Float64Array.of(0, 1, 300), v: Float64Array.of(5, Number.NaN, 3) };
    const base64 = (...bytes: number[]) => Buffer.from(bytes).toString('base64');
    expect(packed(p, 0)).toEqual({ t: base64(0, 1, 171, 2), v: base64(11, 0, 4) });
  });
});

describe('the palette', () => {
  /** WCAG 2.2, relative luminance and contrast ratio. */
  const luminance = (hex: string) => {
    const [r, g, b] = [1, 3, 5].map((i) => {
      const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (a: string, b: string) => {
    const [low, high] = [luminance(a), luminance(b)].toSorted((p, q) => p - q);
    return (high! + 0.05) / (low! + 0.05);
  };

  test('is that of Okabe and Ito', () => {
    const theirs = ['#000000', '#E69F00', '#56B4E9', '#009E73', '#F0E442', '#0072B2', '#D55E00', '#CC79A7'];
    for (const c of COLOURS) expect(theirs).toContain(c);
    expect(new Set(COLOURS).size).toBe(COLOURS.length);
  });

  // The fourth, #CC79A7, has 3.06.
  test('stands out from white by 3:1 with its first five colours (WCAG 2.2 section 1.4.11), on the dark ground with all', () => {
    for (const c of COLOURS.slice(0, 5)) expect(contrast(c, '#FFFFFF')).toBeGreaterThanOrEqual(3);
    for (const c of DARK_COLOURS) expect(contrast(c, '#161616')).toBeGreaterThanOrEqual(3);
  });

  test('has a marker that differs for flows of one colour', () => {
    const both = Array.from({ length: 42 }, (_, i) => `${i % COLOURS.length} ${i % MARKERS.length}`);
    expect(new Set(both).size).toBe(42);
  });
});
