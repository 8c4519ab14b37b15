import type { LogFormat } from '../model.ts';

/** How lines of each format look. */
const SIGNS: readonly (readonly [LogFormat, RegExp])[] = [
  ['tcpstats', /^(?:(?:[a-z_]+,)*laddr(?:,[a-z_]+)*$|\{.*"time_us":)/],
  ['siftr', /^(?:(?:en|dis)able_time_secs=|[io],(?:0x[0-9a-f]+,)?\d+\.\d+,)/],
  ['tcp_probe', /(?:^# tracer:|[\s:]tcp_probe:\s)/],
  [
    'ss',
    /^(?:\d{9,11}(?:\.\d+)?\s*$|Netid\s|State\s+Recv-Q|(?:tcp\s+)?(?:ESTAB|SYN-SENT|SYN-RECV|FIN-WAIT-[12]|TIME-WAIT|CLOSE-WAIT|LAST-ACK|CLOSING|LISTEN)\s)/,
  ],
];

/**
 * Tells what wrote a text.
 * @param text its beginning
 * @param whole there is no more of it
 * @returns null when no line tells
 */
export function detectFormat(text: string, whole: boolean): LogFormat | null {
  const lines = text.replace(/^\0+/, '').split(/\r?\n/);
  if (!whole) lines.pop();
  for (const line of lines) {
    for (const [format, sign] of SIGNS) if (sign.test(line)) return format;
  }
  return null;
}
