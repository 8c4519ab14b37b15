/**
 * The one shape of an address and of a flow (DESIGN.md): four int32 words, IPv4 as ::ffff:a.b.c.d, plus a zone. Words hold the
 * address in network order, read big-endian, so 192.0.2.1 is (0, 0, 0xffff, 0xc0000201 | 0).
 */
export const V4_MAPPED = 0xffff;

/** A flow seen from here: l = local, f = foreign. One is reused for ever on the packet path. */
export class FlowKey {
  l0 = 0;
  l1 = 0;
  l2 = 0;
  l3 = 0;
  f0 = 0;
  f1 = 0;
  f2 = 0;
  f3 = 0;
  lport = 0;
  fport = 0;
  zone = 0;

  setV4(laddr: number, lport: number, faddr: number, fport: number): void {
    this.l0 = 0;
    this.l1 = 0;
    this.l2 = V4_MAPPED;
    this.l3 = laddr;
    this.f0 = 0;
    this.f1 = 0;
    this.f2 = V4_MAPPED;
    this.f3 = faddr;
    this.lport = lport;
    this.fport = fport;
    this.zone = 0;
  }

  copy(k: FlowKey): void {
    this.l0 = k.l0;
    this.l1 = k.l1;
    this.l2 = k.l2;
    this.l3 = k.l3;
    this.f0 = k.f0;
    this.f1 = k.f1;
    this.f2 = k.f2;
    this.f3 = k.f3;
    this.lport = k.lport;
    this.fport = k.fport;
    this.zone = k.zone;
  }
}

function mix(h: number, w: number): number {
  h = Math.imul(h ^ w, 0x85ebca6b);
  return Math.imul(h ^ (h >>> 13), 0xc2b2ae35) ^ (h >>> 16);
}

/** Keyed hash of a flow for tables (not the RSS hash). */
export function flowHash(k: FlowKey, seed: number): number {
  let h = mix(seed, k.f3);
  h = mix(h, k.l3);
  h = mix(h, (k.fport << 16) | k.lport);
  if (k.f2 !== V4_MAPPED) {
    h = mix(h, k.f0);
    h = mix(h, k.f1);
    h = mix(h, k.f2);
    h = mix(h, k.l0 ^ k.l1 ^ k.l2);
    h = mix(h, k.zone);
  }
  return h ^ (h >>> 15);
}
