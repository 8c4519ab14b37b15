import { RECORD_FIELDS, type RecordField, type RecordProducer } from '../../../src/siftr/record.ts';

/** Values for a record by field name; missing ones are 0. */
export type RecordValues = Partial<Record<RecordField, number>>;

/** IPv4 address text as an int32 in network order. */
export function v4(text: string): number {
  return text.split('.').reduce((n, part) => (n << 8) | Number(part), 0);
}

/** Addresses and ports of a record from `laddr lport faddr fport`. */
export function tuple(laddr: string, lport: number, faddr: string, fport: number): RecordValues {
  return { l2: 0xffff, l3: v4(laddr), f2: 0xffff, f3: v4(faddr), ports: (lport << 16) | fport };
}

/** Writes a record into words from `r`. */
export function fill(words: Int32Array | Uint32Array, r: number, values: RecordValues): void {
  RECORD_FIELDS.forEach((name, i) => {
    words[r + i] = values[name] ?? 0;
  });
}

/** Pushes a record; false when the ring is full. */
export function push(ring: RecordProducer, values: RecordValues): boolean {
  const r = ring.reserve();
  if (r < 0) return false;
  fill(ring.words, r, values);
  ring.commit();
  ring.publish();
  return true;
}

/** The data line of siftr(4)'s example, dated May 29, 2023. */
export const MAN_DATA_LINE =
  'o,1685191814.185109,10.1.1.2,32291,10.1.1.3,5001,1073725440,14480,2,65160,65700,7,9,4,1460,1000,1,16778209,' +
  '230000,33580,0,65700,0,0,0,86707916,130\n';

/** The values behind it. */
export const MAN_DATA_VALUES: RecordValues = {
  ...tuple('10.1.1.2', 32291, '10.1.1.3', 5001),
  kind: 1 | (130 << 8),
  sec: 1685191814,
  usec: 185109,
  flowid: 86707916,
  ssthresh: 1073725440,
  cwnd: 14480,
  flags2: 2,
  snd_wnd: 65160,
  rcv_wnd: 65700,
  snd_scale: 7,
  rcv_scale: 9,
  state: 4,
  maxseg: 1460,
  srtt: 1000,
  flags: 16778209,
  rxtcur: 230000,
  snd_hiwat: 33580,
  snd_cc: 0,
  rcv_hiwat: 65700,
  rcv_cc: 0,
  inflight: 0,
  segqlen: 0,
};
