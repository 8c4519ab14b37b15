/** Handshakes: SYN cookies (RFC 4987), TIME-WAIT (RFC 6191): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const handshakeMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/syncache.ts',
    find: '!reuse && (this.#cookiesOnly || ',
    replace: '!reuse && (',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › leaves nothing behind until its ACK comes: no entry, no block, no timer (net.inet.tcp.syncookies_only)',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: '(st.tune.tcp_syncookies !== 0 && this.#full(k))',
    replace: 'false',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › keeps the handshakes that it has and answers the next with a cookie when a bucket is full',
      'unit/stack/tcp/syncookies.test.ts › does so when the cache is full (net.inet.tcp.syncache.cachelimit)',
      'unit/stack/tcp/syncookies.test.ts › does not keep real ones from opening: all are served while it lasts, and the cache stays in its bounds',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: '(st.tune.tcp_syncookies !== 0 && this.#full(k))',
    replace: 'this.#full(k)',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › uses none with net.inet.tcp.syncookies 0, whatever net.inet.tcp.syncookies_only says: the oldest goes',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'return this.#st.tune.tcp_syncookies !== 0 && this',
    replace: 'return this',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › uses none with net.inet.tcp.syncookies 0, whatever net.inet.tcp.syncookies_only says: the oldest goes',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'return b.overflowed && ((st.clock.ms - b.overflowMs) | 0) <= SYNCOOKIE_VALID_MS;',
    replace: 'return true;',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › is not looked at where none was given lately: it cannot be guessed',
      'unit/stack/tcp/syncookies.test.ts › uses none while there is room, and takes none: initial numbers stay those of RFC 6528',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'this.#fill(e, l, m, seq, 0, win);',
    replace: 'this.#fill(e, l, m, seq, 0xc2, win);',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › agrees to no ECN, which it could not remember: the SYN,ACK is without ECE, and the connection without marks',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: ': now - 1;',
    replace: ': now;',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › is good for the rest of its 15 s and for the next 15 s, and not after',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: 'const gen = (now & 1) === (low & COOKIE_ODD) ? now : now - 1;',
    replace: 'const gen = low & COOKIE_ODD;',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › is good for the rest of its 15 s and for the next 15 s, and not after',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: 'if (((this.#mac(k, irs, low, gen) ^ iss) & ~0xff) !== 0) return false;',
    replace: '',
    kills: ['unit/stack/tcp/syncookies.test.ts › is refused, with a RST, for %s'],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: 'if (this.#used[(iss >>> 8) & (USED - 1)] === iss) return false;',
    replace: '',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › opens one connection: a copy of the ACK is refused when that has ended',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: '(w << COOKIE_WSCALE_SHIFT) | (m <<',
    replace: '(m <<',
    kills: ['unit/stack/tcp/syncookies.test.ts › of a peer that shifts its window by %i remembers %i'],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: '(m << COOKIE_MSS_SHIFT)',
    replace: '(7 << COOKIE_MSS_SHIFT)',
    kills: ['unit/stack/tcp/syncookies.test.ts › of a peer whose MSS is %s remembers %i'],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: '(sack ? COOKIE_SACK : 0)',
    replace: 'COOKIE_SACK',
    kills: [
      'unit/stack/tcp/syncookies.test.ts › remembers that the peer did not offer window scaling nor SACK, and that it did',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syncookies.ts',
    find: 'sipDerive(this.#st.tcp.secret,',
    replace: 'sipDerive(new SipKey(this.#st.random),',
    kills: ['unit/stack/tcp/syncookies.test.ts › of one shard is good at another, which has the same secret'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'if (taker.full && tcp.syncache.awaits(k, seq, ack)) {',
    replace: 'if (l.full && tcp.syncache.has(k)) {',
    kills: ['unit/stack/tcp/syncookies.test.ts › waits for room in the accept queue, as a handshake of the cache does'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'if (to.tsval === tp.ts_recent) return beyond;',
    replace: 'if (to.tsval === tp.ts_recent) return false;',
    kills: ['unit/stack/tcp/time-wait.test.ts › %s'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'if (to.tsval === tp.ts_recent) return beyond;',
    replace: 'if (to.tsval === tp.ts_recent) return true;',
    kills: ['unit/stack/tcp/time-wait.test.ts › %s'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'return tstmpLt(tp.ts_recent, to.tsval);',
    replace: 'return beyond;',
    kills: ['unit/stack/tcp/time-wait.test.ts › %s'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'if ((tp.t_flags & TSTMP) !== TSTMP) return true;',
    replace: 'if ((tp.t_flags & TSTMP) !== TSTMP) return beyond;',
    kills: ['unit/stack/tcp/time-wait.test.ts › %s'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: 'const beyond = seqGeq(seq, tp.rcv_nxt);',
    replace: 'const beyond = true;',
    kills: ['unit/stack/tcp/time-wait.test.ts › %s'],
  },
  {
    file: 'src/stack/tcp/tcp-input.ts',
    find: '(to.flags & TOF_TS) === 0 || st.tune.tcp_rfc1323 === 0',
    replace: '(to.flags & TOF_TS) === 0',
    kills: [
      'unit/stack/tcp/time-wait.test.ts › has no timestamps where we do not use them (net.inet.tcp.rfc1323 0): its number decides',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'if (reuse && seqLeq(e.iss, last)) e.iss',
    replace: 'if (false) e.iss',
    kills: [
      'unit/stack/tcp/time-wait.test.ts › is answered with an initial number beyond all that the old connection used, %s (RFC 1122 section 4.2.2.13 (1))',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'if (reuse && seqLeq(e.iss, last)) e.iss',
    replace: 'if (reuse) e.iss',
    kills: ['unit/stack/tcp/time-wait.test.ts › is answered with the number of the clock where that is beyond'],
  },
];
