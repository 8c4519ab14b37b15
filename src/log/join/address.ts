/** Addresses as texts: one spelling for each, whoever wrote it, so that texts can be compared. */

/** Texts that are kept before all are forgotten. */
const KEPT = 65536;
/** fe80::/10. */
const LINK_LOCAL = 0xfe80;
const LINK_LOCAL_MASK = 0xffc0;

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
      text = `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
      keep(this.#v4, n, text);
    }
    return text;
  }

  /** The IPv6 address at `at`. */
  v6(buf: Buffer, at: number): string {
    const key = buf.toString('latin1', at, at + 16);
    let text = this.#v6.get(key);
    if (text === undefined) {
      text = format6(Array.from({ length: 8 }, (_, i) => buf.readUInt16BE(at + 2 * i)));
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
  const halves = text.replace(/%.*$/, '').split('::');
  if (halves.length > 2) return text;
  const [head = [], tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 0) return text;
  const words = [...head, ...Array.from({ length: missing }, () => '0'), ...(tail ?? [])];
  if (!words.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return text;
  const groups = words.map((word) => Number.parseInt(word, 16));
  // FreeBSD's kernel writes the zone of a link-local address into its second group (spec/siftr.md section 4).
  if ((groups[0]! & LINK_LOCAL_MASK) === LINK_LOCAL) groups[1] = 0;
  return format6(groups);
}

/** RFC 5952 section 4: lower case, no leading zeros, the first longest run of two or more zero groups shortened. */
function format6(groups: readonly number[]): string {
  let best = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > length) {
      best = i;
      length = n;
    }
    i += n;
  }
  const hex = groups.map((g) => g.toString(16));
  return best < 0 ? hex.join(':') : `${hex.slice(0, best).join(':')}::${hex.slice(best + length).join(':')}`;
}
