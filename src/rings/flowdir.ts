/**
 * The flow directory: which shard owns a TCP flow, by the RSS hash of the packets that the peer sends. Shared by all shards;
 * lookups take no lock.
 *
 *   bucket (32 words, two cache lines): | lock | unused 7 | 8 slots of (hash, owner + 1, uses) |
 *
 * A slot is empty while its owner word is 0. A slot with 0 uses is a tentative claim: a SYN has been seen, and nothing has come of
 * it yet; it yields its place when the bucket is full. Hash 0 is not used (callers replace it by 1).
 */
const BUCKET_WORDS = 32;
const BUCKET_SHIFT = 5;
const SLOTS = 8;
const LOCK = 0;
const FIRST_SLOT = 8;
const SLOT_WORDS = 3;
const HASH = 0;
const OWNER = 1;
const USES = 2;

/** Tries before the holder of a lock is given the processor. */
const SPINS = 200;

export class FlowDirectory {
  readonly #words: Int32Array;
  readonly #mask: number;

  /** Bytes of shared memory that hold `flows` flows with room to spare (at most 8 share a bucket). */
  static bytes(flows: number): number {
    let buckets = 2;
    while (buckets * (SLOTS / 2) < flows) buckets <<= 1;
    return buckets * BUCKET_WORDS * 4;
  }

  /** @param sab zeroed memory of `bytes(flows)` bytes */
  constructor(sab: SharedArrayBuffer) {
    this.#words = new Int32Array(sab);
    const buckets = this.#words.length >> BUCKET_SHIFT;
    if (buckets < 2 || (buckets & (buckets - 1)) !== 0) throw new RangeError(`a flow directory of ${buckets} buckets`);
    this.#mask = buckets - 1;
  }

  /** The owner of `hash`, or -1. */
  lookup(hash: number): number {
    const w = this.#words;
    let at = this.#bucket(hash) + FIRST_SLOT;
    for (let i = 0; i < SLOTS; i++, at += SLOT_WORDS) {
      if (Atomics.load(w, at + HASH) !== hash) continue;
      const owner = Atomics.load(w, at + OWNER);
      // The slot may have changed hands between the two words.
      if (owner !== 0 && Atomics.load(w, at + HASH) === hash) return owner - 1;
    }
    return -1;
  }

  /**
   * Claims `hash` for `shard` and counts one use. To be undone by one `remove`, whoever the owner is.
   *
   * @returns the owner: another shard when that was first; -1, and nothing counted, when the bucket is full
   */
  insert(hash: number, shard: number): number {
    return this.#enter(hash, shard, 1);
  }

  /** As `insert`, but tentative: counts no use. */
  claim(hash: number, shard: number): number {
    return this.#enter(hash, shard, 0);
  }

  /** Ends one use of `hash`; with the last one the entry goes. Nothing happens when there is none. */
  remove(hash: number): void {
    const w = this.#words;
    const bucket = this.#bucket(hash);
    this.#lock(bucket);
    const at = this.#find(bucket, hash);
    if (at >= 0) {
      const uses = w[at + USES]! - 1;
      if (uses <= 0) {
        Atomics.store(w, at + OWNER, 0);
        Atomics.store(w, at + HASH, 0);
        w[at + USES] = 0;
      } else {
        w[at + USES] = uses;
      }
    }
    this.#unlock(bucket);
  }

  /** Entries, tentative ones included. Walks the whole directory: for tests and views. */
  count(): number {
    let n = 0;
    for (let b = 0; b < this.#words.length; b += BUCKET_WORDS) {
      for (let i = 0; i < SLOTS; i++) {
        if (Atomics.load(this.#words, b + FIRST_SLOT + i * SLOT_WORDS + OWNER) !== 0) n++;
      }
    }
    return n;
  }

  #enter(hash: number, shard: number, uses: number): number {
    const w = this.#words;
    const bucket = this.#bucket(hash);
    this.#lock(bucket);
    let at = this.#find(bucket, hash);
    let owner = -1;
    if (at >= 0) {
      owner = w[at + OWNER]! - 1;
      w[at + USES] = w[at + USES]! + uses;
    } else {
      at = this.#room(bucket);
      if (at >= 0) {
        Atomics.store(w, at + OWNER, 0);
        Atomics.store(w, at + HASH, hash);
        w[at + USES] = uses;
        Atomics.store(w, at + OWNER, shard + 1);
        owner = shard;
      }
    }
    this.#unlock(bucket);
    return owner;
  }

  #find(bucket: number, hash: number): number {
    const w = this.#words;
    let at = bucket + FIRST_SLOT;
    for (let i = 0; i < SLOTS; i++, at += SLOT_WORDS) {
      if (w[at + HASH] === hash && w[at + OWNER] !== 0) return at;
    }
    return -1;
  }

  /** An empty slot, else a tentative one, else -1. */
  #room(bucket: number): number {
    const w = this.#words;
    let tentative = -1;
    let at = bucket + FIRST_SLOT;
    for (let i = 0; i < SLOTS; i++, at += SLOT_WORDS) {
      if (w[at + OWNER] === 0) return at;
      if (w[at + USES] === 0) tentative = at;
    }
    return tentative;
  }

  #bucket(hash: number): number {
    return ((Math.imul(hash ^ (hash >>> 16), 0x9e3779b1) >>> 8) & this.#mask) << BUCKET_SHIFT;
  }

  /** Held for a few dozen instructions; a holder that lost its processor is waited for, not spun upon. */
  #lock(bucket: number): void {
    const w = this.#words;
    let spins = 0;
    while (Atomics.compareExchange(w, bucket + LOCK, 0, 1) !== 0) {
      if (++spins >= SPINS) Atomics.wait(w, bucket + LOCK, 1, 1);
    }
  }

  #unlock(bucket: number): void {
    Atomics.store(this.#words, bucket + LOCK, 0);
  }
}
