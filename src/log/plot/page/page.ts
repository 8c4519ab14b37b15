/**
 * The script of the page that `xsiftr log plot -o FILE.html` writes (html.ts puts it in, behind uPlot). uPlot gives the axes, the cursor and the
 * zoom; lines are drawn by ourselves, as each has points at times of its own and uPlot wants one list of times for all.
 */
import type UPlot from 'uplot';
import type { PageData, PageFlow, PagePanel } from './data.ts';

declare const uPlot: typeof UPlot;

interface Points {
  /** Seconds. */
  readonly t: Float64Array;
  /** NaN is a gap. */
  readonly v: Float64Array;
}

interface Chart {
  readonly panel: PagePanel;
  readonly plot: UPlot;
  readonly root: HTMLElement;
  /** Which fields of the panel are shown. */
  readonly shown: boolean[];
  readonly readout: HTMLElement;
  readonly swatches: HTMLElement[];
}

const HEIGHT = 260;
const PRINT_WIDTH = 680;
/** Part of what is seen by which a key or button moves or zooms. */
const PAN = 0.25;
const ZOOM = 0.5;
const MARKED = 9;
const DOT = 3;

const data = JSON.parse(document.getElementById('data')!.textContent!) as PageData;
const points = data.flows.map((flow) => flow.series.map((s) => (s === null ? null : decode(s.t, s.v))));
const from = data.from / 1e6;
const to = data.to / 1e6;
const visible = data.flows.map((_, i) => i < data.shown);
const dark = matchMedia('(prefers-color-scheme: dark)');
const print = matchMedia('print');
const charts: Chart[] = [];
const flowSwatches: HTMLElement[] = [];
let printing = false;
/** What all charts show, seconds. */
let range: [min: number, max: number] = [from, to];

/** Numbers of a series: times as differences, values as differences with 0 for a gap; seven bits a byte, the lowest first. */
function decode(t64: string, v64: string): Points {
  const ts = numbers(t64);
  const vs = numbers(v64);
  const t = new Float64Array(ts.length);
  const v = new Float64Array(ts.length);
  let at = data.from;
  let value = 0;
  ts.forEach((d, i) => {
    at += d;
    t[i] = at / 1e6;
    const code = vs[i]!;
    if (code === 0) v[i] = Number.NaN;
    else {
      const z = code - 1;
      value += z % 2 === 0 ? z / 2 : -(z + 1) / 2;
      v[i] = value;
    }
  });
  return { t, v };
}

function numbers(base64: string): number[] {
  const bytes = atob(base64);
  const out: number[] = [];
  let n = 0;
  let weight = 1;
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes.charCodeAt(i);
    n += (b & 0x7f) * weight;
    weight *= 128;
    if (b < 0x80) {
      out.push(n);
      n = 0;
      weight = 1;
    }
  }
  return out;
}

function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

function button(label: string, words: string, act: () => void): HTMLButtonElement {
  const b = el('button', { type: 'button', 'aria-label': words, title: words }, label);
  b.addEventListener('click', act);
  return b;
}

function isDark(): boolean {
  return dark.matches && !print.matches && !printing;
}

/** True when one flow is seen: colours then tell fields apart, else flows. */
function single(): boolean {
  return visible.filter(Boolean).length === 1;
}

function colour(flow: number, field: number): string {
  const list = isDark() ? data.darkColours : data.colours;
  return list[(single() ? field : flow) % list.length]!;
}

const ink = () => (isDark() ? '#e8e8e8' : '#222');
const grid = () => (isDark() ? '#3a3a3a' : '#ddd');

/** A line as it is drawn, for a legend. */
function swatch(stroke: string, field: number | null, flow: number | null): SVGSVGElement {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  const attributes = (e: Element, values: Record<string, string>) => {
    for (const [key, value] of Object.entries(values)) e.setAttribute(key, value);
  };
  attributes(svg, { width: '36', height: '12', 'aria-hidden': 'true' });
  const line = document.createElementNS(ns, 'path');
  const dashes = field === null ? [] : data.dashes[field % data.dashes.length]!;
  attributes(line, { d: 'M0 6h36', fill: 'none', stroke, 'stroke-width': '2', 'stroke-dasharray': dashes.join(' ') });
  svg.append(line);
  if (flow !== null) {
    const marker = document.createElementNS(ns, 'path');
    attributes(marker, { d: data.markers[flow % data.markers.length]!, transform: 'translate(18 6)', stroke });
    attributes(marker, { class: 'marker' });
    svg.append(marker);
  }
  return svg;
}

/** Index of the last point at or before `t`; -1 when there is none. */
function before(p: Points, t: number): number {
  let lo = 0;
  let hi = p.t.length;
  while (lo < hi) {
    const mid = (lo + hi) >>> 1;
    if (p.t[mid]! <= t) lo = mid + 1;
    else hi = mid;
  }
  return lo - 1;
}

function valueAt(p: Points, t: number): number {
  return p.t.length === 0 || t > p.t.at(-1)! ? Number.NaN : (p.v[before(p, t)] ?? Number.NaN);
}

/** Calls `f` for each line of the chart that is seen. */
function eachLine(chart: Chart, f: (p: Points, flow: number, field: number) => void): void {
  data.flows.forEach((_, flow) => {
    if (!visible[flow]) return;
    chart.panel.fields.forEach((index, field) => {
      const p = points[flow]![index] ?? null;
      if (p !== null && chart.shown[field]) f(p, flow, field);
    });
  });
}

/** Top of a chart: a little above the greatest value between two times. */
function ceiling(chart: Chart, min: number, max: number): number {
  let most = 0;
  eachLine(chart, (p) => {
    for (let i = Math.max(0, before(p, min)); i < p.t.length && p.t[i]! <= max; i++) {
      if (p.v[i]! > most) most = p.v[i]!;
    }
  });
  return most === 0 ? 1 : (most * 1.06) / chart.panel.div;
}

function draw(chart: Chart): void {
  const u = chart.plot;
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  const { min, max } = u.scales['x'] as { min: number; max: number };
  const x = (t: number) => bbox.left + ((t - min) / (max - min)) * bbox.width;
  const top = u.scales['y']!.max! * chart.panel.div;
  const y = (v: number) => bbox.top + (1 - v / top) * bbox.height;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineJoin = 'round';
  if (chart === charts[0] && single()) {
    ctx.fillStyle = data.recovery;
    for (const [a, b] of data.flows[visible.indexOf(true)]!.recovery) {
      ctx.fillRect(x(a / 1e6), bbox.top, Math.max(ratio, x(b / 1e6) - x(a / 1e6)), bbox.height);
    }
  }
  eachLine(chart, (p, flow, field) => {
    ctx.strokeStyle = colour(flow, field);
    ctx.lineWidth = data.widths[field % data.widths.length]! * ratio;
    ctx.setLineDash(data.dashes[field % data.dashes.length]!.map((d) => d * ratio));
    ctx.stroke(line(p, min, max, x, y));
  });
  // Markers may reach over the edge.
  ctx.restore();
  if (single()) return;
  eachLine(chart, (p, flow, field) => {
    const shape = new Path2D(data.markers[flow % data.markers.length]!);
    for (const t of marked(p, flow, min, max)) {
      ctx.save();
      ctx.translate(x(t), y(valueAt(p, t)));
      ctx.scale(ratio, ratio);
      ctx.lineWidth = 1.5;
      ctx.strokeStyle = colour(flow, field);
      ctx.fillStyle = isDark() ? '#161616' : '#fff';
      ctx.fill(shape);
      ctx.stroke(shape);
      ctx.restore();
    }
  });
}

/** Times at which a line has markers: some places of the chart, those of each flow elsewhere, or the last point where it lies between them. */
function marked(p: Points, flow: number, min: number, max: number): number[] {
  const span = (max - min) / MARKED;
  const shift = ((flow + 0.5) / data.flows.length) * span;
  const at: number[] = [];
  for (let k = 0; k < MARKED; k++) {
    const t = min + k * span + shift;
    if (!Number.isNaN(valueAt(p, t))) at.push(t);
  }
  if (at.length > 0) return at;
  const last = p.t[p.v.findLastIndex((v) => !Number.isNaN(v))]!;
  return last >= min && last <= max ? [last] : [];
}

/** A line of steps: a value holds until the next sample. */
function line(p: Points, min: number, max: number, x: (t: number) => number, y: (v: number) => number): Path2D {
  const path = new Path2D();
  let lastY = Number.NaN;
  for (let i = Math.max(0, before(p, min)); i < p.t.length; i++) {
    const atX = x(p.t[i]!);
    const atY = y(p.v[i]!);
    if (Number.isNaN(lastY)) {
      if (staysAt(p, i)) {
        path.moveTo(atX - DOT, atY);
        path.lineTo(atX + DOT, atY);
      }
      path.moveTo(atX, atY);
    } else {
      path.lineTo(atX, lastY);
      if (!Number.isNaN(atY)) path.lineTo(atX, atY);
    }
    lastY = atY;
    if (p.t[i]! > max) break;
  }
  return path;
}

/** The line that begins with point `i` does not get away from there, so that it would not be seen. */
function staysAt(p: Points, i: number): boolean {
  for (let k = i + 1; k < p.t.length; k++) {
    if (p.t[k] !== p.t[i]) return false;
    if (Number.isNaN(p.v[k]!)) return true;
    if (p.v[k] !== p.v[i]) return false;
  }
  return true;
}

/** Shows a part of the time axis in all charts. */
function show(min: number, max: number): void {
  const least = (to - from) * 1e-6 || 1e-6;
  if (max - min < least) max = min + least;
  range = [min, max];
  for (const chart of charts) {
    chart.plot.batch(() => {
      chart.plot.setScale('x', { min, max });
      chart.plot.setScale('y', { min: 0, max: ceiling(chart, min, max) });
    });
  }
  const shown = document.getElementById('range')!;
  shown.textContent = `${min.toFixed(decimals(min, max))} s to ${max.toFixed(decimals(min, max))} s`;
}

function decimals(min: number, max: number): number {
  return Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(max - min))));
}

/** Moves what is shown, within the time axis. */
function move(share: number): void {
  const [min, max] = range;
  const by = Math.max(from - min, Math.min(to - max, share * (max - min)));
  show(min + by, max + by);
}

function zoom(factor: number): void {
  const [min, max] = range;
  const half = Math.min(to - from, (max - min) * factor) / 2;
  const middle = Math.max(from + half, Math.min(to - half, (min + max) / 2));
  show(middle - half, middle + half);
}

function chartOf(panel: PagePanel, index: number): Chart {
  const root = el('section', { class: 'panel' });
  const head = el('div', { class: 'head' }, el('h2', {}, panel.title));
  const shown = panel.fields.map(() => true);
  const swatches: HTMLElement[] = [];
  panel.fields.forEach((field, k) => {
    const box = el('input', { type: 'checkbox', checked: '' });
    const place = el('span', { class: 'swatch' });
    box.addEventListener('change', () => {
      shown[k] = box.checked;
      refresh();
    });
    swatches.push(place);
    head.append(el('label', { class: 'field' }, box, place, data.fields[field]!));
  });
  const label = `${panel.title} in ${panel.unit} over time. Arrow keys move, plus and minus zoom, 0 shows everything.`;
  const place = el('div', { class: 'chart', tabindex: '0', role: 'group', 'aria-label': label });
  const readout = el('table', { class: 'readout', 'aria-hidden': 'true' });
  readout.hidden = true;
  root.append(head, place);
  document.getElementById('charts')!.append(root);
  const plot = new uPlot(
    options(panel, index, place),
    [
      [from, to],
      [0, 0],
    ],
    place,
  );
  plot.over.append(readout);
  place.addEventListener('keydown', onKey);
  return { panel, plot, root: place, shown, readout, swatches };
}

function options(panel: PagePanel, index: number, place: HTMLElement): UPlot.Options {
  const axis: UPlot.Axis = {
    stroke: ink,
    font: '12px sans-serif',
    labelFont: '12px sans-serif',
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
    values: (_, splits, _axis, _space, step) => splits.map((v) => tickText(v, step)),
  };
  return {
    width: Math.max(300, place.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: {
      y: false,
      // The charts follow each other's cursor; what is selected in one is brought to all by show().
      sync: { key: 'time', filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
      drag: { x: true, y: false, dist: 4, setScale: false },
      points: { show: false },
    },
    scales: { x: { time: false, range: (_, min, max) => [min, max] }, y: { range: [0, 1] } },
    axes: [
      { ...axis, label: data.timeLabel, size: 34, labelSize: 22 },
      { ...axis, label: `${panel.axis}, ${panel.unit}`, size: 62, labelSize: 22 },
    ],
    series: [{}, { stroke: 'transparent', points: { show: false } }],
    hooks: {
      draw: [() => charts[index] !== undefined && draw(charts[index])],
      setSelect: [
        (u) => {
          const { left, width } = u.select;
          if (width === 0) return;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          show(u.posToVal(left, 'x'), u.posToVal(left + width, 'x'));
        },
      ],
      setCursor: [(u) => readOut(index, u.cursor.left ?? -1)],
    },
  };
}

/** As many decimals as the ticks of an axis need: 0.25 has two. */
function tickText(value: number, step: number): string {
  let digits = 0;
  while (digits < 9 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
  return value.toFixed(digits);
}

/** A table of the values under the cursor: a row a flow, a column a field. It keeps away from the cursor. */
function readOut(index: number, left: number): void {
  const chart = charts[index];
  if (chart === undefined) return;
  const u = chart.plot;
  const t = left < 0 ? Number.NaN : u.posToVal(left, 'x');
  const fields = [...chart.panel.fields.keys()].filter((k) => chart.shown[k]);
  const rows = data.flows.map(() => [] as string[]);
  if (!Number.isNaN(t)) {
    eachLine(chart, (p, flow, field) => {
      const v = valueAt(p, t);
      if (!Number.isNaN(v)) rows[flow]![field] = shownValue(v, chart.panel);
    });
  }
  chart.readout.hidden = rows.every((r) => r.length === 0);
  chart.readout.classList.toggle('left', left > u.over.clientWidth / 2);
  const head = fields.map((k) => el('th', {}, data.fields[chart.panel.fields[k]!]!));
  const body = rows.flatMap((row, flow) => {
    if (row.length === 0) return [];
    const mark = el('td', {}, ...(single() ? [] : [swatch(colour(flow, 0), null, flow)]));
    return [el('tr', {}, mark, ...fields.map((k) => el('td', {}, row[k] ?? '')))];
  });
  chart.readout.replaceChildren(el('tr', {}, el('td', {}, chart.panel.unit), ...head), ...body);
  document.getElementById('time')!.textContent = Number.isNaN(t) ? '' : `at ${t.toFixed(6)} s`;
}

function shownValue(v: number, panel: PagePanel): string {
  return (v / panel.div).toLocaleString('en', { maximumFractionDigits: 3 });
}

function onKey(e: KeyboardEvent): void {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const acts: Record<string, () => void> = {
    ArrowLeft: () => move(-PAN),
    ArrowRight: () => move(PAN),
    '+': () => zoom(ZOOM),
    '=': () => zoom(ZOOM),
    '-': () => zoom(1 / ZOOM),
    '0': () => show(from, to),
  };
  const act = acts[e.key];
  if (act === undefined) return;
  e.preventDefault();
  act();
}

function flowList(): void {
  const list = document.getElementById('flows')!;
  data.logs.forEach((log, l) => {
    const group = el('fieldset', {}, el('legend', {}, log.label));
    group.append(el('p', { class: 'about' }, log.about));
    const own = [...data.flows.keys()].filter((i) => data.flows[i]!.log === l);
    const boxes = own.map((i) => flowItem(group, data.flows[i]!, i));
    if (own.length > 1 || data.logs.length > 1) {
      const set = (on: boolean) => {
        own.forEach((flow, k) => {
          visible[flow] = on;
          boxes[k]!.checked = on;
        });
        refresh();
      };
      const all = button('All', `show every flow of ${log.label}`, () => set(true));
      const none = button('None', `hide every flow of ${log.label}`, () => set(false));
      group.append(el('div', { class: 'buttons' }, all, none));
    }
    list.append(group);
  });
}

function flowItem(group: HTMLElement, flow: PageFlow, i: number): HTMLInputElement {
  const box = el('input', { type: 'checkbox' });
  box.checked = visible[i]!;
  const place = el('span', { class: 'swatch' });
  flowSwatches.push(place);
  const count = el('small', {}, `${flow.samples.toLocaleString('en')} ${flow.samples === 1 ? 'sample' : 'samples'}`);
  box.addEventListener('change', () => {
    visible[i] = box.checked;
    refresh();
  });
  group.append(el('label', { class: 'flow' }, box, place, el('span', {}, flow.name, ' ', count)));
  return box;
}

/** After what is seen has changed: colours, scales, legends. */
function refresh(): void {
  data.flows.forEach((_, i) => {
    const own = single() ? ink() : colour(i, 0);
    flowSwatches[i]!.replaceChildren(...(data.flows.length > 1 ? [swatch(own, null, i)] : []));
    flowSwatches[i]!.closest('label')!.classList.toggle('off', !visible[i]);
  });
  for (const chart of charts) {
    chart.swatches.forEach((place, k) => {
      place.replaceChildren(swatch(single() ? colour(0, k) : ink(), k, null));
      place.closest('label')!.classList.toggle('off', !chart.shown[k]);
    });
  }
  const recovery = single() && data.flows[visible.indexOf(true)]!.recovery.length > 0;
  document.getElementById('recovery')!.hidden = !recovery;
  show(range[0], range[1]);
  for (const chart of charts) chart.plot.redraw();
  table();
}

/** The plot in numbers. */
function table(): void {
  const rows: HTMLElement[] = [];
  for (const chart of charts) {
    eachLine(chart, (p, flow, field) => {
      const values = p.v.filter((v) => !Number.isNaN(v));
      const cell = (v: number) => el('td', {}, shownValue(v, chart.panel));
      const f = data.flows[flow]!;
      const name = data.logs.length > 1 ? `${data.logs[f.log]!.label} ${f.name}` : f.name;
      rows.push(
        el(
          'tr',
          {},
          el('th', { scope: 'row' }, name),
          el('td', {}, `${data.fields[chart.panel.fields[field]!]!}, ${chart.panel.unit}`),
          cell(values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
          cell(values.reduce((a, b) => Math.max(a, b), 0)),
          cell(values.at(-1)!),
        ),
      );
    });
  }
  document.querySelector('#numbers tbody')!.replaceChildren(...rows);
}

function resize(): void {
  for (const chart of charts) {
    chart.plot.setSize({ width: printing ? PRINT_WIDTH : Math.max(300, chart.root.clientWidth), height: HEIGHT });
  }
}

function start(): void {
  flowList();
  data.panels.forEach((panel, i) => {
    charts.push(chartOf(panel, i));
  });
  // uPlot's own double click goes back to all data of the chart; the others and the range have to follow.
  for (const chart of charts) chart.plot.over.addEventListener('dblclick', () => show(from, to));
  document.getElementById('zoom')!.append(
    button('−', 'zoom out', () => zoom(1 / ZOOM)),
    button('+', 'zoom in', () => zoom(ZOOM)),
    button('◀', 'earlier', () => move(-PAN)),
    button('▶', 'later', () => move(PAN)),
    button('Everything', 'show the whole time axis', () => show(from, to)),
  );
  refresh();
  addEventListener('resize', resize);
  addEventListener('beforeprint', () => {
    printing = true;
    resize();
    refresh();
  });
  addEventListener('afterprint', () => {
    printing = false;
    resize();
    refresh();
  });
  for (const query of [dark, print]) query.addEventListener('change', refresh);
}

start();
