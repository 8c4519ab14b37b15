import type { StatusFacts } from './host.ts';

function html(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** `3d 04:05:06` from seconds. */
export function duration(seconds: number): string {
  const s = Math.floor(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  const days = Math.floor(s / 86400);
  const clock = `${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return days > 0 ? `${days}d ${clock}` : clock;
}

/** The status page of one shard: the one whose queue the browser's connection came to. */
export function statusPage(facts: StatusFacts, shard: number, nshards: number): string {
  const rows = facts.counters
    .map(([label, value]) => `<tr><th scope="row">${html(label)}</th><td>${value.toLocaleString('en-US')}</td></tr>`)
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>xsiftr on ${html(facts.iface)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; }
th { text-align: left; font-weight: normal; padding-right: 2rem; }
td { text-align: right; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
</style>
</head>
<body>
<h1>xsiftr on ${html(facts.iface)}</h1>
<p>Version ${html(facts.version)}, up ${duration(facts.uptime)}. Shard ${shard} of ${nshards} served this page: the counters below
are its own.</p>
<table>
${rows}
</table>
<p>For measuring: <a href="/bytes/1000">/bytes/1000</a>, <a href="/bytes/1000000">/bytes/1000000</a>,
<a href="/bytes/100000000">/bytes/100000000</a>.</p>
</body>
</html>
`;
}
