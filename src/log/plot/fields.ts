import type { Sample } from '../model.ts';

/** What a field is measured in. Times are shown in ms or s, bytes in kB or MB, as the values ask for. */
export type PlotUnit = 'bytes' | 'us' | 'segments';

export interface PlotField {
  /** Name on the command line. */
  readonly name: string;
  /** Name in a legend. */
  readonly label: string;
  readonly panel: string;
  readonly unit: PlotUnit;
  readonly key: keyof Sample;
}

const PANELS: readonly (readonly [
  panel: string,
  unit: PlotUnit,
  fields: readonly (readonly [name: string, label: string, key: keyof Sample])[],
])[] = [
  [
    'Congestion control',
    'bytes',
    [
      ['cwnd', 'cwnd', 'cwnd'],
      ['ssthresh', 'ssthresh', 'ssthresh'],
      ['inflight', 'in flight', 'inflight'],
    ],
  ],
  [
    'Windows',
    'bytes',
    [
      ['snd_wnd', 'send window', 'sndWnd'],
      ['rcv_wnd', 'receive window', 'rcvWnd'],
    ],
  ],
  [
    'Times',
    'us',
    [
      ['srtt', 'srtt', 'srtt'],
      ['rto', 'RTO', 'rto'],
    ],
  ],
  [
    'Socket buffers',
    'bytes',
    [
      ['snd_hiwat', 'send buffer', 'sndHiwat'],
      ['snd_cc', 'in the send buffer', 'sndCc'],
      ['rcv_hiwat', 'receive buffer', 'rcvHiwat'],
      ['rcv_cc', 'in the receive buffer', 'rcvCc'],
    ],
  ],
  ['Segment size', 'bytes', [['mss', 'MSS', 'mss']]],
  ['Reassembly queue', 'segments', [['segqlen', 'segments', 'segqlen']]],
];

/** Every field that can be drawn, in the order of the panels. */
export const PLOT_FIELDS: readonly PlotField[] = PANELS.flatMap(([panel, unit, fields]) =>
  fields.map(([name, label, key]) => ({ name, label, panel, unit, key })),
);

/** Drawn unless others are asked for. */
export const DEFAULT_FIELDS: readonly string[] = ['cwnd', 'ssthresh', 'inflight', 'snd_wnd', 'rcv_wnd', 'srtt', 'rto'];

/** How values are shown: `value / div` followed by the unit's name. */
export interface Shown {
  readonly name: string;
  readonly div: number;
}

/** The unit in which values up to `max` are read easily. @param max bytes, µs or segments */
export function shownUnit(unit: PlotUnit, max: number): Shown {
  if (unit === 'segments') return { name: 'segments', div: 1 };
  if (unit === 'us') {
    if (max >= 10e6) return { name: 's', div: 1e6 };
    return max >= 1e3 ? { name: 'ms', div: 1e3 } : { name: 'µs', div: 1 };
  }
  if (max >= 10e9) return { name: 'GB', div: 1e9 };
  if (max >= 10e6) return { name: 'MB', div: 1e6 };
  return max >= 10e3 ? { name: 'kB', div: 1e3 } : { name: 'bytes', div: 1 };
}
