/** The host cache (RFC 9040, net.inet.tcp.hostcache): clauses to switch off. */
import type { Mutant } from './mutants.ts';

const FILE = 'src/stack/tcp/tcp-hostcache.ts';
const TESTS = 'unit/stack/tcp/hostcache.test.ts › ';

export const hostcacheMutants: readonly Mutant[] = [
  {
    file: FILE,
    find: '    tp.t_pmtu = e.mtu;\n',
    replace: '',
    kills: [`${TESTS}keeps the path MTU: the next connection begins with it (RFC 1191 section 6.1)`],
  },
  {
    file: FILE,
    find: 'most === 0 || ((clock.ms - e.mtuMs) | 0) < most * 1000',
    replace: 'true',
    kills: [
      `${TESTS}forgets a path MTU after net.inet.ip.mtudisctimeout, also where the host is in use (RFC 1191 section 6.3)`,
    ],
  },
  {
    file: FILE,
    find: 'if (tp.t_rttsamples < SAMPLES) return;',
    replace: '',
    kills: [
      `${TESTS}takes round trip and variation of a connection that ends with four samples or more, and of no other`,
    ],
  },
  {
    file: FILE,
    find: 'tp.t_srtt = e.srtt;',
    replace: '',
    kills: [`${TESTS}gives them to a connection whose handshake gave none`],
  },
  {
    file: FILE,
    find: 'tp.snd_ssthresh = e.ssthresh > least ? e.ssthresh : least;',
    replace: '',
    kills: [
      `${TESTS}takes ssthresh where a loss has set it, in whole segments of the line, and the next connection begins with it`,
    ],
  },
  {
    file: FILE,
    find: 'ssthresh < tp.t_socket!.so_snd.sb_hiwat / 2',
    replace: 'true',
    kills: [`${TESTS}takes none that is no limit: half of the send buffer or more`],
  },
  {
    file: FILE,
    find: 'return old === 0 ? now : Math.trunc((old + now) / 2);',
    replace: 'return now;',
    kills: [`${TESTS}averages what it had with what comes`],
  },
  {
    file: FILE,
    find: '    if (tune.tcp_hc_enable === 0) return null;\n',
    replace: '',
    kills: [`${TESTS}enable 0 keeps and gives nothing`],
  },
  {
    file: FILE,
    find: 'this.#lengths[b]! >= tune.tcp_hc_bucketlimit || ',
    replace: '',
    kills: [`${TESTS}bucketlimit bounds the entries of a bucket: the one unused longest goes`],
  },
  {
    file: FILE,
    find: ' || this.count >= tune.tcp_hc_cachelimit',
    replace: '',
    kills: [`${TESTS}cachelimit bounds them all, and hashsize is the number of buckets`],
  },
  {
    file: FILE,
    find: 'all || e.expire <= 0',
    replace: 'all',
    kills: [`${TESTS}expire and prune: an entry goes with the first pruning after it has not been used for so long`],
  },
  {
    file: FILE,
    find: 'this.#sweep(tune.tcp_hc_purge !== 0);',
    replace: 'this.#sweep(false);',
    kills: [`${TESTS}purge empties it with the next pruning, purgenow at once`],
  },
];
