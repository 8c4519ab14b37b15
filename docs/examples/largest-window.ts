import { flowText, readSiftr } from 'xsiftr/siftr';

// The largest congestion window of each flow: node largest-window.ts LOG
const largest = new Map<string, number>();
for await (const item of readSiftr(process.argv[2] ?? '-')) {
  if (item.type === 'broken') console.error(`line ${item.line}: ${item.why}`);
  if (item.type !== 'sample' || item.cwnd === null) continue;
  const flow = flowText(item);
  largest.set(flow, Math.max(largest.get(flow) ?? 0, item.cwnd));
}
for (const [flow, bytes] of largest) console.log(flow, bytes);
