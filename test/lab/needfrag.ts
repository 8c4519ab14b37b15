/** "Fragmentation needed" of a router on the way of a ScriptedPeer's connection, written byte by byte (RFC 792, RFC 1191 section 4). */
import { ether, icmp, ip4, ipv4, OUR_MAC, PEER_MAC, u16 } from './frames.ts';
import type { ScriptedPeer } from './segments.ts';

export interface Needfrag {
  /** Sequence number of the quoted segment, relative to our ISN. */
  seq: number;
  /** Next-hop MTU; 0 from an old router. */
  mtu: number;
  /** Total Length in the quoted IP header; default 1500. */
  total?: number;
}

/** The message arrives; nothing has run yet. */
export function injectNeedfrag(p: ScriptedPeer, o: Needfrag): void {
  const seq = (p.iss + o.seq) >>> 0;
  const quote = [
    ...ipv4({ src: '192.0.2.1', dst: '192.0.2.2', proto: 6, len: o.total ?? 1500, off: 0x4000 }),
    ...u16(p.dport),
    ...u16(p.sport),
    ...u16(seq >>> 16),
    ...u16(seq & 0xffff),
  ];
  const message = icmp(3, 4, [0, 0, ...u16(o.mtu), ...quote]);
  p.host.link.inject(
    ether({ dst: OUR_MAC, src: PEER_MAC }, ipv4({ src: '192.0.2.254', dst: '192.0.2.1', proto: 1 }, message)),
  );
}

/** The message arrives, and the stack works. */
export function needfrag(p: ScriptedPeer, o: Needfrag): void {
  injectNeedfrag(p, o);
  p.host.pass();
}

/** IP headers of the TCP segments sent since the last call: Total Length and don't-fragment. Takes them out of the output. */
export function ipHeaders(p: ScriptedPeer): { total: number; df: boolean; dst: readonly number[] }[] {
  const frames = p.host.link.sent.splice(0).map((f) => f.bytes);
  return frames
    .filter((f) => f[12] === 8 && f[13] === 0 && f[23] === 6)
    .map((f) => ({ total: f[16]! * 256 + f[17]!, df: (f[20]! & 0x40) !== 0, dst: [...f.subarray(30, 34)] }));
}

export const PEER_ADDR = ip4('192.0.2.2');
