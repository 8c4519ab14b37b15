import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { VERSION } from '../../version.ts';
import type { Plot } from './model.ts';
import type { PageData } from './page/data.ts';
import type { Points } from './reduce.ts';
import {
  COLOURS,
  DARK_COLOURS,
  DASHES,
  LINE_WIDTHS,
  MARKERS,
  markerPath,
  RECOVERY,
  RECOVERY_OPACITY,
} from './style.ts';
import { axisName, describe, escaped, recoverySpans } from './svg.ts';

/** Flows that are seen when the page opens; the others are a click away. */
const SHOWN = 8;

/**
 * A plot as one HTML file that needs nothing else: script, style and data lie in it, and its Content-Security-Policy lets it load nothing. It works
 * from a disk without a network.
 */
export function plotHtml(plot: Plot): string {
  const { css, uplot, licence, script } = parts();
  const notes = plot.notes.map((n) => `<p class="note">${escaped(n)}</p>`).join('');
  const policy = [
    "default-src 'none'",
    `script-src ${sha(uplot)} ${sha(script)}`,
    `style-src ${sha(css)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  // The policy comes before all that it is to hold for. "<" in the data could end its element.
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="xsiftr ${VERSION}">
<title>${escaped(plot.title)}</title>
<style>${css}</style>
</head>
<body>
<h1>${escaped(plot.title)}</h1>
<p class="note" id="about">${escaped(describe(plot))}</p>
${notes}
<div class="bar"><span id="zoom" role="group" aria-label="time axis"></span><output id="range" aria-live="polite"></output><output id="time"></output><span id="recovery" hidden>fast recovery</span></div>
<p class="note" id="help">Drag over a chart to zoom, double click to see everything again. With the keyboard: Tab to a chart, then arrow keys, + and −, 0.</p>
<noscript><p>This page draws with JavaScript, which is switched off. xsiftr log plot -o FILE.svg writes the same as a picture.</p></noscript>
<main>
<div id="flows" role="group" aria-label="flows"></div>
<div id="charts"></div>
</main>
<details id="numbers"><summary>The lines in numbers</summary><table><thead><tr><th scope="col">flow</th><th scope="col">field</th><th scope="col">least</th><th scope="col">greatest</th><th scope="col">last</th></tr></thead><tbody></tbody></table></details>
<script type="application/json" id="data">${JSON.stringify(pageData(plot)).replace(/</g, '\\u003c')}</script>
<!-- uPlot:
${licence.replace(/--/g, '- -')}-->
<script>${uplot}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** The page's own files, and uPlot's from its npm package. */
function parts(): { css: string; uplot: string; licence: string; script: string } {
  const dist = dirname(createRequire(import.meta.url).resolve('uplot'));
  const read = (...path: string[]) => readFileSync(join(...path), 'utf8');
  const page = join(import.meta.dirname, 'page');
  // The published package has the script compiled; in the checkout types are taken off as Node does it for every file.
  const compiled = import.meta.filename.endsWith('.js');
  return {
    css: `${read(dist, 'uPlot.min.css')}\n${read(page, 'page.css')}`,
    uplot: read(dist, 'uPlot.iife.min.js'),
    licence: read(dist, '../LICENSE'),
    script: compiled ? read(page, 'page.js') : withoutTypes(read(page, 'page.ts')),
  };
}

/** The function is experimental in Node 24, which it would say on standard error in every checkout. */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Source of a Content-Security-Policy that allows this very text (CSP Level 3 section 8.4). */
function sha(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function pageData(plot: Plot): PageData {
  const opacity = Math.round(RECOVERY_OPACITY * 255).toString(16);
  return {
    timeLabel: plot.timeLabel,
    from: plot.from,
    to: plot.to,
    shown: SHOWN,
    fields: plot.fields.map((f) => f.label),
    logs: plot.logs,
    flows: plot.flows.map((f) => ({
      log: f.log,
      name: f.name,
      samples: f.samples,
      series: f.series.map((p) => (p === null ? null : packed(p, plot.from))),
      recovery: recoverySpans(f, plot.to),
    })),
    panels: plot.panels.map((p) => ({
      title: p.title,
      axis: axisName(plot, p),
      unit: p.shown.name,
      div: p.shown.div,
      fields: p.fields,
    })),
    colours: COLOURS,
    darkColours: DARK_COLOURS,
    dashes: DASHES,
    widths: LINE_WIDTHS,
    markers: MARKERS.map((m) => markerPath(m, 4)),
    recovery: `${RECOVERY}${opacity}`,
  };
}

/**
 * Points as base64: times as differences to the one before, the first to `from`; values as differences to the last value, signs folded in
 * (0, -1, 1, -2, …) and one added, as 0 is a gap. Whole µs and bytes, seven bits a byte, the lowest first, the eighth bit set where more follow.
 */
export function packed(p: Points, from: number): { t: string; v: string } {
  const t: number[] = [];
  const v: number[] = [];
  let at = from;
  let value = 0;
  for (let i = 0; i < p.t.length; i++) {
    const time = Math.max(at, Math.round(p.t[i]!));
    push(t, time - at);
    at = time;
    if (Number.isNaN(p.v[i]!)) push(v, 0);
    else {
      const d = Math.round(p.v[i]!) - value;
      push(v, (d < 0 ? -2 * d - 1 : 2 * d) + 1);
      value += d;
    }
  }
  return { t: Buffer.from(t).toString('base64'), v: Buffer.from(v).toString('base64') };
}

/** Numbers go up to 2^53, beyond what bit operators take. */
function push(bytes: number[], n: number): void {
  while (n >= 128) {
    bytes.push((n % 128) + 128);
    n = Math.floor(n / 128);
  }
  bytes.push(n);
}
