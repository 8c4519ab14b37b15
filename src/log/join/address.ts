/** Addresses as texts: one spelling for each, whoever wrote it, so that texts can be compared. */
import { inetNtoa } from '../../stack/net/in-addr.ts';
import { inetNtop, inetPton } from '../../stack/net/in6-addr.ts';

/** Texts that are kept before all are forgotten. */
const KEPT = 65536;
/** First ten bits of fe80::/10. */
const LINK_LOCAL = 0xfe80 >>> 6;

/** The texts of addresses in bytes, and of texts in other spellings; each is made once. */
export class AddressTexts {
  readonly #v4 = new Map<number, string>();
  readonly #v6 = new Map<string, string>();
  readonly #texts = new Map<string, string>();

  /** The IPv4 address at `at`. */
  v4(buf: Buffer, at: number): string {
    const n = buf.readUInt32BE(at);
    let text = this.#v4.get(n);
    if (text === undefined) {
      text = inetNtoa(n);
      keep(this.#v4, n, text);
    }
    return text;
  }

  /** The IPv6 address at `at`. */
  v6(buf: Buffer, at: number): string {
    const key = buf.toString('latin1', at, at + 16);
    let text = this.#v6.get(key);
    if (text === undefined) {
      text = inetNtop(buf.readInt32BE(at), buf.readInt32BE(at + 4), buf.readInt32BE(at + 8), buf.readInt32BE(at + 12));
      keep(this.#v6, key, text);
    }
    return text;
  }

  /** The spelling of `v4` and `v6` for an address of a log. A text that is no address stays as it is. */
  of(text: string): string {
    let known = this.#texts.get(text);
    if (known === undefined) {
      known = text.includes(':') ? canonical6(text) : text;
      keep(this.#texts, text, known);
    }
    return known;
  }
}

function keep<K>(map: Map<K, string>, key: K, text: string): void {
  if (map.size >= KEPT) map.clear();
  map.set(key, text);
}

function canonical6(text: string): string {
  const words = inetPton(text.replace(/%.*$/, ''));
  if (words === null) return text;
  // FreeBSD's kernel writes the zone of a link-local address into its second group (spec/siftr.md section 4).
  if (words[0] >>> 22 === LINK_LOCAL) words[0] &= 0xffff0000;
  return inetNtop(...words);
}
