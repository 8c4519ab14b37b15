import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCc } from '../src/load/cc-load.ts';
import { Flows } from '../test/lab/cc-flow.ts';

/**
 * Draws docs/examples/gentle.svg: the congestion windows of the example module and of cubic, each alone on the same path, in simulation.
 * Usage: node tools/plot-cwnd.ts
 */
const BW = 20e6;
const RTT = 40_000;
const SECONDS = 20;
const STEP = 20_000;
const W = 720;
const H = 320;
const PAD = { left: 52, right: 12, top: 28, bottom: 36 };

const root = join(import.meta.dirname, '..');
await loadCc([join(root, 'docs/examples/gentle.ts')]);
const bdp = (BW * RTT) / 8e6;

/** Windows in kB, one a STEP. */
function windows(cc: string): number[] {
  const f = new Flows({ cc: [cc], bw: BW, rtt: RTT, data: { limitBytes: bdp } });
  const out: number[] = [];
  for (let t = STEP; t <= SECONDS * 1e6; t += STEP) {
    f.run(t);
    out.push((f.tp[0]?.snd_cwnd ?? 0) / 1000);
  }
  return out;
}

const lines = [
  { name: 'cubic', colour: '#8a8a8a', at: windows('cubic') },
  { name: 'gentle', colour: '#c0392b', at: windows('gentle') },
];
const top = Math.ceil(Math.max(...lines.flatMap((l) => l.at)) / 50) * 50;
const x = (i: number) => PAD.left + ((W - PAD.left - PAD.right) * i) / ((SECONDS * 1e6) / STEP);
const y = (kb: number) => H - PAD.bottom - ((H - PAD.top - PAD.bottom) * kb) / top;
const text = (px: number, py: number, words: string, anchor = 'middle', colour = '#333') =>
  `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${words}</text>`;

const parts = [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${H}" font-family="sans-serif" font-size="12">`,
  '<title>Congestion windows of gentle and cubic</title>',
  `<rect width="${W}" height="${H}" fill="#fff"/>`,
];
for (let kb = 0; kb <= top; kb += 50) {
  parts.push(`<path d="M${PAD.left} ${y(kb).toFixed(1)}H${W - PAD.right}" stroke="#ddd"/>`);
  parts.push(text(PAD.left - 6, y(kb) + 4, String(kb), 'end'));
}
for (let s = 0; s <= SECONDS; s += 5) parts.push(text(x((s * 1e6) / STEP), H - PAD.bottom + 16, `${s} s`));
for (const [kb, words] of [
  [bdp / 1000, 'BDP'],
  [(2 * bdp) / 1000, 'BDP + queue'],
] as const) {
  parts.push(`<path d="M${PAD.left} ${y(kb).toFixed(1)}H${W - PAD.right}" stroke="#2c7fb8" stroke-dasharray="4 4"/>`);
  parts.push(text(W - PAD.right - 4, y(kb) - 4, words, 'end', '#2c7fb8'));
}
lines.forEach((l, i) => {
  const path = l.at.map((kb, k) => `${x(k + 1).toFixed(1)},${y(kb).toFixed(1)}`).join(' ');
  parts.push(`<polyline points="${path}" fill="none" stroke="${l.colour}" stroke-width="1.5"/>`);
  parts.push(text(PAD.left + 8 + 70 * i, PAD.top - 10, l.name, 'start', l.colour));
});
parts.push(text(W - PAD.right, PAD.top - 10, 'congestion window, kB', 'end'), '</svg>');
writeFileSync(join(root, 'docs/examples/gentle.svg'), `${parts.join('\n')}\n`);
