import type { LogFormat, LogItem, LogReader, Sample } from '../../src/log/model.ts';
import type { PlotSource } from '../../src/log/plot/model.ts';

/** A sample of a flow from 192.0.2.1:5001 to 192.0.2.2:40000 at 0 µs in which nothing is told but what is given. */
export function sample(given: Partial<Sample> = {}): Sample {
  return {
    type: 'sample',
    line: 1,
    timeUs: 0,
    dir: 'o',
    laddr: '192.0.2.1',
    lport: 5001,
    faddr: '192.0.2.2',
    fport: 40000,
    ssthresh: null,
    cwnd: null,
    flags2: null,
    sndWnd: null,
    rcvWnd: null,
    sndScale: null,
    rcvScale: null,
    state: null,
    mss: null,
    srtt: null,
    sack: null,
    flags: null,
    rto: null,
    sndHiwat: null,
    sndCc: null,
    rcvHiwat: null,
    rcvCc: null,
    inflight: null,
    segqlen: null,
    flowid: null,
    flowtype: null,
    ...given,
  };
}

/** A log that is read from an array, three items at a time. */
export function sourceOf(
  items: readonly LogItem[],
  { label = 'a.log', format = 'siftr' as LogFormat, again = true } = {},
): PlotSource & { opened: number } {
  const source = {
    label,
    again,
    opened: 0,
    open: async (): Promise<LogReader> => {
      source.opened++;
      return {
        path: label,
        format,
        bytesRead: 0,
        bytesTotal: Number.NaN,
        async *batches() {
          for (let i = 0; i < items.length; i += 3) yield items.slice(i, i + 3);
        },
      };
    },
  };
  return source;
}
