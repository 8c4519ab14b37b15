import type { Plot, PlotFlow, PlotPanel } from './model.ts';
import { type Points, thinned } from './reduce.ts';
import { niceStep, Scale, ticks, tickText } from './scale.ts';
import { COLOURS, colourOf, DASHES, LINE_WIDTHS, MARKERS, markerPath, RECOVERY, RECOVERY_OPACITY } from './style.ts';

/** Pixels. The picture is as high as its panels and legends ask for. */
const WIDTH = 960;
const LEFT = 76;
const RIGHT = 16;
const PANEL = 210;
const LINE = 18;
const FONT = 12;
const INNER = WIDTH - LEFT - RIGHT;
/** Mean width of a letter of DejaVu Sans, in its height. What is laid out by it may come out narrower, hardly wider. */
const LETTER = 0.62;
const INK = '#222';
const GRID = '#ddd';
/** Width of a point that stands alone. */
const DOT = 4;
/** What a line's width and a marker need beyond the ends of the axes. */
const EDGE = 6;
/** Markers of a line, where several flows are told apart by them. */
const MARKED = 9;

/** A plot as an SVG picture on white, that says what it shows to those who cannot see it. */
export function plotSvg(plot: Plot): string {
  const single = plot.flows.length === 1;
  const out: string[] = [];
  let y = 28;
  out.push(text(LEFT, y, plot.title, 'start', 15, ' font-weight="bold"'));
  y += 8;
  for (const row of rowsOf(flowLegend(plot, single), INNER)) {
    y += LINE;
    for (const { x, item } of row) out.push(item.draw(LEFT + x, y));
  }
  plot.panels.forEach((panel, i) => {
    const entries = rowsOf(fieldLegend(plot, panel, single), INNER);
    const top = y + 14 + entries.length * LINE + 8;
    entries.forEach((row, k) => {
      for (const { x, item } of row) out.push(item.draw(LEFT + x, y + 14 + (k + 1) * LINE - 4));
    });
    out.push(panelSvg(plot, panel, i, top, single));
    y = top + PANEL + 22;
  });
  y += LINE;
  out.push(text(LEFT + INNER / 2, y, plot.timeLabel, 'middle'));
  const height = y + 14;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="plot-title plot-desc" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" font-size="${FONT}" fill="${INK}">`,
    `<title id="plot-title">${escaped(plot.title)}</title>`,
    `<desc id="plot-desc">${escaped(describe(plot))}</desc>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...out,
    '</svg>',
  ].join('\n')}\n`;
}

/** Flows that the description names. */
const NAMED = 8;

/** The plot in words. */
export function describe(plot: Plot): string {
  const seconds = ((plot.to - plot.from) / 1e6).toPrecision(3);
  const panels = plot.panels.map(
    (p) => `${p.fields.map((i) => plot.fields[i]!.label).join(', ')} in ${p.shown.name} (${p.title.toLowerCase()})`,
  );
  const flows = plot.flows
    .slice(0, NAMED)
    .map((f) => `${f.name} of ${plot.logs[f.log]!.label}, ${f.samples === 1 ? '1 sample' : `${f.samples} samples`}`);
  const more = plot.flows.length - flows.length;
  return `${panels.join('; ')} over ${Number(seconds)} seconds. ${plot.flows.length === 1 ? 'Flow' : 'Flows'}: ${flows.join('; ')}${more > 0 ? ` and ${more} more` : ''}.`;
}

function panelSvg(plot: Plot, panel: PlotPanel, index: number, top: number, single: boolean): string {
  const bottom = top + PANEL;
  const x = new Scale(plot.from, plot.to, LEFT, LEFT + INNER);
  const y = new Scale(0, ceiling(plot, panel), bottom, top);
  const clip = `plot-clip-${index}`;
  const out = [
    `<g role="group" aria-label="${escaped(panel.title)}">`,
    `<clipPath id="${clip}"><rect x="${LEFT - EDGE}" y="${top - EDGE}" width="${INNER + 2 * EDGE}" height="${PANEL + 2 * EDGE}"/></clipPath>`,
  ];
  if (single && index === 0) out.push(recoverySvg(plot.flows[0]!, plot.to, x, top));
  const values = ticks(0, y.max / panel.shown.div, 6);
  const step = values.length > 1 ? values[1]! - values[0]! : 1;
  for (const v of values) {
    const at = y.px(v * panel.shown.div);
    out.push(`<path d="M${LEFT} ${px(at)}H${LEFT + INNER}" stroke="${GRID}"/>`);
    out.push(text(LEFT - 8, at + 4, tickText(v, step), 'end'));
  }
  const times = ticks(plot.from / 1e6, plot.to / 1e6, 10);
  const timeStep = niceStep((plot.to - plot.from) / 1e6 / 10);
  for (const s of times) {
    const at = x.px(s * 1e6);
    out.push(`<path d="M${px(at)} ${top}V${bottom}" stroke="${GRID}"/>`);
    const words = tickText(s, timeStep);
    // The last one may be wider than the margin.
    const most = WIDTH - 1 - (words.length * FONT * LETTER) / 2;
    out.push(text(Math.min(at, most), bottom + 16, words, 'middle'));
  }
  out.push(`<path d="M${LEFT} ${top}V${bottom}H${LEFT + INNER}" fill="none" stroke="${INK}"/>`);
  const middle = (top + bottom) / 2;
  out.push(
    text(
      20,
      middle,
      `${axisName(plot, panel)}, ${panel.shown.name}`,
      'middle',
      FONT,
      ` transform="rotate(-90 20 ${middle})"`,
    ),
  );
  out.push(`<g clip-path="url(#${clip})" fill="none" stroke-linejoin="round">`);
  plot.flows.forEach((flow, f) => {
    panel.fields.forEach((field, k) => {
      const points = flow.series[field];
      if (points == null) return;
      const colour = COLOURS[colourOf(f, k, single)]!;
      const less = thinned(points, INNER);
      out.push(
        `<path d="${linePath(less, x, y)}" stroke="${colour}" stroke-width="${width(k)}"${dash(k)}><title>${escaped(seriesName(plot, flow, field))}</title></path>`,
      );
      if (!single) out.push(markersSvg(points, f, plot, x, y, colour));
    });
  });
  out.push('</g>', '</g>');
  return out.join('\n');
}

function seriesName(plot: Plot, flow: PlotFlow, field: number): string {
  return `${plot.fields[field]!.label} of ${plot.logs[flow.log]!.label} ${flow.name}`;
}

/** Top of a panel: the next tick above its greatest value. */
function ceiling(plot: Plot, panel: PlotPanel): number {
  let max = 0;
  for (const i of panel.fields) for (const f of plot.flows) for (const v of f.series[i]?.v ?? []) if (v > max) max = v;
  if (max === 0) return panel.shown.div;
  const step = niceStep(max / panel.shown.div / 6) * panel.shown.div;
  return Math.ceil(max / step - 1e-9) * step;
}

/** A line of steps: a value holds until the next sample. */
export function linePath(p: Points, x: Scale, y: Scale): string {
  let d = '';
  let lastX = '';
  let lastY = '';
  for (let i = 0; i < p.t.length; i++) {
    const atX = px(x.px(p.t[i]!));
    if (Number.isNaN(p.v[i]!)) {
      if (lastY !== '' && atX !== lastX) d += `H${atX}`;
      lastX = lastY = '';
      continue;
    }
    const atY = px(y.px(p.v[i]!));
    if (lastY === '') {
      d += staysAt(p, i, x, y) ? `M${px(Number(atX) - DOT / 2)} ${atY}h${DOT}` : `M${atX} ${atY}`;
    } else {
      if (atX !== lastX) d += `H${atX}`;
      if (atY !== lastY) d += `V${atY}`;
    }
    lastX = atX;
    lastY = atY;
  }
  return d;
}

/** The line that begins with point `i` does not get away from there, so that it would not be seen. */
function staysAt(p: Points, i: number, x: Scale, y: Scale): boolean {
  for (let k = i + 1; k < p.t.length; k++) {
    if (px(x.px(p.t[k]!)) !== px(x.px(p.t[i]!))) return false;
    if (Number.isNaN(p.v[k]!)) return true;
    if (px(y.px(p.v[k]!)) !== px(y.px(p.v[i]!))) return false;
  }
  return true;
}

function markersSvg(p: Points, flow: number, plot: Plot, x: Scale, y: Scale, colour: string): string {
  const marker = MARKERS[flow % MARKERS.length]!;
  const span = (plot.to - plot.from) / MARKED;
  const shift = ((flow + 0.5) / plot.flows.length) * span;
  const at: number[] = [];
  for (let k = 0; k < MARKED; k++) {
    const t = plot.from + k * span + shift;
    if (!Number.isNaN(valueAt(p, t))) at.push(t);
  }
  // A line that lies between two of these places has one of its own.
  if (at.length === 0) at.push(...p.t.subarray(p.v.findLastIndex((v) => !Number.isNaN(v))).subarray(0, 1));
  return at
    .map(
      (t) =>
        `<path d="${markerPath(marker, 4)}" transform="translate(${px(x.px(t))} ${px(y.px(valueAt(p, t)))})" fill="${hollow(flow) ? 'none' : '#fff'}" stroke="${colour}" stroke-width="1.5"/>`,
    )
    .join('\n');
}

function hollow(flow: number): boolean {
  const marker = MARKERS[flow % MARKERS.length]!;
  return marker === 'cross' || marker === 'plus';
}

/** What holds at time t; NaN before the first and after the last point. */
export function valueAt(p: Points, t: number): number {
  if (p.t.length === 0 || t > p.t.at(-1)!) return Number.NaN;
  let lo = 0;
  let hi = p.t.length;
  while (lo < hi) {
    const mid = (lo + hi) >>> 1;
    if (p.t[mid]! <= t) lo = mid + 1;
    else hi = mid;
  }
  return lo === 0 ? Number.NaN : p.v[lo - 1]!;
}

/** Times of fast recovery as bands over the height of the panel. */
function recoverySvg(flow: PlotFlow, end: number, x: Scale, top: number): string {
  const d = recoverySpans(flow, end)
    .map(([a, b]) => `M${px(x.px(a))} ${top}H${px(Math.max(x.px(b), x.px(a) + 1))}v${PANEL}H${px(x.px(a))}Z`)
    .join('');
  return d === ''
    ? ''
    : `<path d="${d}" fill="${RECOVERY}" fill-opacity="${RECOVERY_OPACITY}"><title>fast recovery</title></path>`;
}

/** Beginnings and ends of a flow's fast recoveries, µs. */
export function recoverySpans(flow: PlotFlow, end: number): [from: number, to: number][] {
  const spans: [number, number][] = [];
  const p = flow.recovery;
  if (p === null) return spans;
  let since = Number.NaN;
  for (let i = 0; i < p.t.length; i++) {
    if (p.v[i] === 1 && Number.isNaN(since)) since = p.t[i]!;
    else if (p.v[i] === 0 && !Number.isNaN(since)) {
      spans.push([since, p.t[i]!]);
      since = Number.NaN;
    }
  }
  if (!Number.isNaN(since)) spans.push([since, end]);
  return spans;
}

/** An entry of a legend: how wide it is, and how it is drawn with its left end and base line at (x, y). */
interface Entry {
  readonly width: number;
  draw(x: number, y: number): string;
}

function entry(words: string, sample: number, picture: (x: number, y: number) => string): Entry {
  return {
    width: sample + 6 + words.length * FONT * LETTER + 18,
    draw: (x, y) => picture(x, y - 4) + text(x + sample + 6, y, words, 'start'),
  };
}

/** What belongs to which flow. With one flow that is said in words. */
function flowLegend(plot: Plot, single: boolean): Entry[] {
  return plot.flows.map((flow, f) => {
    const log = plot.logs[flow.log]!;
    const name = plot.logs.length > 1 ? `${log.label}: ${flow.name}` : flow.name;
    if (single) return entry(`flow ${name}`, -6, () => '');
    const colour = COLOURS[colourOf(f, 0, false)]!;
    return entry(name, 28, (x, y) => {
      const line = `<path d="M${x} ${y}h28" stroke="${colour}" stroke-width="1.8"/>`;
      return `${line}<path d="${markerPath(MARKERS[f % MARKERS.length]!, 4)}" transform="translate(${x + 14} ${y})" fill="${hollow(f) ? 'none' : '#fff'}" stroke="${colour}" stroke-width="1.5"/>`;
    });
  });
}

/** What the values of a panel are: of a single field its name, which then needs no legend. */
export function axisName(plot: Plot, panel: PlotPanel): string {
  return panel.fields.length === 1 ? plot.fields[panel.fields[0]!]!.label : panel.title;
}

function fieldLegend(plot: Plot, panel: PlotPanel, single: boolean): Entry[] {
  const out = (panel.fields.length === 1 ? [] : panel.fields).map((field, k) =>
    entry(
      plot.fields[field]!.label,
      36,
      (x, y) =>
        `<path d="M${x} ${y}h36" fill="none" stroke="${single ? COLOURS[colourOf(0, k, true)] : INK}" stroke-width="${width(k)}"${dash(k)}/>`,
    ),
  );
  if (single && panel === plot.panels[0] && recoverySpans(plot.flows[0]!, plot.to).length > 0) {
    out.push(
      entry(
        'fast recovery',
        22,
        (x, y) =>
          `<rect x="${x}" y="${y - 6}" width="22" height="12" fill="${RECOVERY}" fill-opacity="${RECOVERY_OPACITY}"/>`,
      ),
    );
  }
  return out;
}

/** Entries laid out in rows. */
function rowsOf(entries: readonly Entry[], room: number): { x: number; item: Entry }[][] {
  const rows: { x: number; item: Entry }[][] = [];
  let x = 0;
  for (const item of entries) {
    if (rows.length === 0 || (x > 0 && x + item.width > room)) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)!.push({ x, item });
    x += item.width;
  }
  return rows;
}

function width(fieldInPanel: number): number {
  return LINE_WIDTHS[fieldInPanel % LINE_WIDTHS.length]!;
}

function dash(fieldInPanel: number): string {
  const pattern = DASHES[fieldInPanel % DASHES.length]!;
  return pattern.length === 0 ? '' : ` stroke-dasharray="${pattern.join(' ')}"`;
}

function text(x: number, y: number, words: string, anchor: string, size = FONT, more = ''): string {
  const font = size === FONT ? '' : ` font-size="${size}"`;
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}"${font}${more}>${escaped(words)}</text>`;
}

/** Hundredths of a pixel are as fine as any printer. */
function px(n: number): string {
  return String(Math.round(n * 100) / 100);
}

/** Text for XML: what has a meaning there, and characters that XML 1.0 section 2.2 does not allow. */
export function escaped(words: string): string {
  return words
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;');
}
