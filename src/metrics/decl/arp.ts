import { declareGroup } from '../declare.ts';

/**
 * ARP. Labels of the first part, their grammar included: FreeBSD 14 netstat(1) `-s -p arp`; the rest counts what FreeBSD drops
 * without a counter.
 */
export const arpGroup = declareGroup({ name: 'arp', prefix: 'arps_', extSection: 'xsiftr-arp' }, [
  { name: 'arps_txrequests', unit: 'packets', label: '\tN ARP request{s} sent', help: 'ARP requests sent' },
  {
    name: 'arps_txerrors',
    unit: 'packets',
    label: '\tN ARP request{s} failed to sent',
    help: 'ARP requests that could not be sent',
  },
  { name: 'arps_txreplies', unit: 'packets', label: '\tN ARP repl{y/ies} sent', help: 'ARP replies sent' },
  { name: 'arps_rxrequests', unit: 'packets', label: '\tN ARP request{s} received', help: 'ARP requests received' },
  { name: 'arps_rxreplies', unit: 'packets', label: '\tN ARP repl{y/ies} received', help: 'ARP replies received' },
  { name: 'arps_received', unit: 'packets', label: '\tN ARP packet{s} received', help: 'ARP packets received' },
  {
    name: 'arps_dropped',
    unit: 'packets',
    label: '\tN total packet{s} dropped due to no ARP entry',
    help: 'Packets dropped after the address did not resolve',
  },
  { name: 'arps_timeouts', unit: 'entries', label: '\tN ARP entry{s} timed out', help: 'ARP entries that aged out' },
  {
    name: 'arps_dupips',
    unit: 'packets',
    label: '\tN Duplicate IP{s} seen',
    help: 'ARP packets from another station that claims an address of ours',
  },
  {
    name: 'arps_short',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} too short',
    help: 'Dropped: shorter than an ARP packet for IPv4 over Ethernet',
  },
  {
    name: 'arps_badtype',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} of another hardware or protocol type',
    help: 'Dropped: not IPv4 over Ethernet, or wrong address lengths',
  },
  {
    name: 'arps_badop',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} that are neither request nor reply',
    help: 'Dropped: operation is neither request nor reply',
  },
  {
    name: 'arps_badsender',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} with a bad sender address',
    help: 'Dropped: sender address is multicast, broadcast or our own station',
  },
  {
    name: 'arps_notours',
    unit: 'packets',
    ext: true,
    label: '\tN request{s} for addresses of others',
    help: 'Requests that ask for no address of ours',
  },
  {
    name: 'arps_queued',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} queued while resolving',
    help: 'Packets put aside until their next hop answers',
  },
  {
    name: 'arps_queuefull',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because the queue of the entry was full',
    help: 'Dropped: too many packets wait for the same next hop (the oldest goes)',
  },
  {
    name: 'arps_tablefull',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because the table was full',
    help: 'Dropped: no room for another ARP entry',
  },
  {
    name: 'arps_hostdown',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because the host does not answer',
    help: 'Dropped: the next hop left arp.maxtries requests unanswered a short while ago',
  },
  {
    name: 'arps_ratelimited',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} not sent because of rate limitation',
    help: 'ARP packets not sent: over the rate limit',
  },
  {
    name: 'arps_updates',
    unit: 'entries',
    ext: true,
    label: '\tN entr{y/ies} that changed the station address',
    help: 'Entries whose station address another one replaced',
  },
  {
    name: 'arps_announced',
    unit: 'packets',
    ext: true,
    label: '\tN gratuitous announcement{s} sent',
    help: 'Gratuitous announcements of our own addresses sent',
  },
  {
    name: 'arps_resolved',
    unit: 'entries',
    ext: true,
    label: '\tN entr{y/ies} resolved',
    help: 'Entries that got a station address',
  },
]);
