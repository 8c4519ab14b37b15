import { inetAton } from '../../stack/net/in-addr.ts';
import { cksum } from '../../stack/wire/checksum.ts';
import { ETHER_HDR_LEN, ETHERTYPE_IP, ethEmit } from '../../stack/wire/ether.ts';
import { ICMP_MINLEN, ICMP_UNREACH, ICMP_UNREACH_NEEDFRAG, icmpEmit } from '../../stack/wire/icmp.ts';
import { IP_DF, IP_HDR_LEN, IPPROTO_ICMP, ipEmit, ipLen, ipOff, ipSrc, setIpSum } from '../../stack/wire/ipv4.ts';
import type { FrameStore, SimFrame } from './frame.ts';
import { MAC_HI } from './node.ts';

/** The router's own address, which nobody talks to. */
const ROUTER = inetAton('198.51.100.1');
/** What it quotes of a packet behind the IP header (RFC 792). */
const QUOTE = 8;

/**
 * A router whose next link takes packets of `mtu` bytes: larger ones are dropped, those with don't-fragment with a word to their sender (RFC 1191
 * section 4), unless that is filtered on its way. It does not fragment: nobody here puts fragments together.
 */
export class MtuGate {
  readonly mtu: number;
  readonly icmp: boolean;
  /** Packets that were too large, and messages sent about them. */
  dropped: number;
  told: number;
  readonly #store: FrameStore;
  readonly #back: (f: SimFrame) => void;

  /**
   * @param icmp false: a black hole
   * @param back takes messages to the sender
   */
  constructor(store: FrameStore, mtu: number, icmp: boolean, back: (f: SimFrame) => void) {
    this.mtu = mtu;
    this.icmp = icmp;
    this.dropped = 0;
    this.told = 0;
    this.#store = store;
    this.#back = back;
  }

  /** Takes a packet that is too large; false: it may go on. */
  take(f: SimFrame): boolean {
    if (f.packetBytes <= this.mtu) return false;
    const v = new DataView(f.u8.buffer, f.u8.byteOffset, f.len);
    if (v.getUint16(ETHER_HDR_LEN - 2) !== ETHERTYPE_IP || ipLen(v, ETHER_HDR_LEN) <= this.mtu) return false;
    this.dropped++;
    if (this.icmp && (ipOff(v, ETHER_HDR_LEN) & IP_DF) !== 0) this.#tell(v);
    this.#store.give(f);
    return true;
  }

  #tell(v: DataView): void {
    const src = ipSrc(v, ETHER_HDR_LEN);
    const f = this.#store.take();
    const w = new DataView(f.u8.buffer, f.u8.byteOffset);
    const icmp = ETHER_HDR_LEN + IP_HDR_LEN;
    const quote = icmp + ICMP_MINLEN;
    const len = IP_HDR_LEN + QUOTE;
    ethEmit(w, 0, MAC_HI, src, MAC_HI, ROUTER, ETHERTYPE_IP);
    ipEmit(w, ETHER_HDR_LEN, 0, IP_HDR_LEN + ICMP_MINLEN + len, 0, 0, 64, IPPROTO_ICMP, ROUTER, src);
    setIpSum(w, ETHER_HDR_LEN, cksum(w, ETHER_HDR_LEN, IP_HDR_LEN));
    icmpEmit(w, icmp, ICMP_UNREACH, ICMP_UNREACH_NEEDFRAG, this.mtu);
    for (let i = 0; i < len; i++) w.setUint8(quote + i, v.getUint8(ETHER_HDR_LEN + i));
    w.setUint16(icmp + 2, cksum(w, icmp, ICMP_MINLEN + len));
    f.len = quote + len;
    this.told++;
    this.#back(f);
  }
}
