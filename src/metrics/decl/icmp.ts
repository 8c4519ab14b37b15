import { declareGroup } from '../declare.ts';

/** Types 0..ICMP_MAXTYPE have a place in the two histograms (spec/counters.md 5.2). */
export const ICMP_MAXTYPE = 40;

/** ICMP. Labels, order and histograms: spec/counters.md 5.2. */
export const icmpGroup = declareGroup({ name: 'icmp', prefix: 'icps_', extSection: 'xsiftr-icmp' }, [
  {
    name: 'icps_error',
    unit: 'calls',
    label: '\tN call{s} to icmp_error',
    help: 'Requests to send an ICMP error, redirects excluded',
  },
  {
    name: 'icps_oldicmp',
    unit: 'messages',
    label: '\tN error{s} not generated because old message was icmp',
    help: 'Errors not sent: the packet was an ICMP error itself',
  },
  {
    name: 'icps_toofreq',
    unit: 'messages',
    label: '\tN error{s} not generated because of rate limitation',
    help: 'Errors not sent: over the rate limit net.inet.icmp.icmplim',
  },
  {
    name: 'icps_outhist',
    unit: 'messages',
    span: ICMP_MAXTYPE + 1,
    prom: 'out_messages',
    help: 'ICMP messages built for sending, by type',
  },
  {
    name: 'icps_badcode',
    unit: 'messages',
    label: '\tN message{s} with bad code fields',
    help: 'Dropped: code outside the known set of its type',
  },
  {
    name: 'icps_tooshort',
    unit: 'messages',
    label: '\tN message{s} < minimum length',
    help: 'Dropped: shorter than 8 bytes',
  },
  {
    name: 'icps_checksum',
    unit: 'messages',
    label: '\tN bad checksum{s}',
    help: 'Dropped: ICMP checksum wrong',
  },
  {
    name: 'icps_badlen',
    unit: 'messages',
    label: '\tN message{s} with bad length',
    help: 'Dropped: shorter than its type demands',
  },
  {
    name: 'icps_bmcastecho',
    unit: 'messages',
    label: '\tN echo request{s} to broadcast/multicast rejected',
    help: 'Echo requests to broadcast or multicast not answered (net.inet.icmp.bmcastecho)',
  },
  {
    name: 'icps_inhist',
    unit: 'messages',
    span: ICMP_MAXTYPE + 1,
    prom: 'in_messages',
    help: 'ICMP messages received with a good checksum, by type',
  },
  {
    name: 'icps_reflect',
    unit: 'messages',
    label: '\tN message response{s} generated',
    help: 'Replies built for echo requests',
  },
  {
    name: 'icps_bmcasterror',
    unit: 'messages',
    ext: true,
    label: '\tN error{s} not generated because the packet was a broadcast or multicast',
    help: 'Errors not sent: the packet was addressed to broadcast or multicast, or came from no single host',
  },
  {
    name: 'icps_fragerror',
    unit: 'messages',
    ext: true,
    label: '\tN error{s} not generated because the packet was not the first fragment',
    help: 'Errors not sent: the packet was a fragment other than the first',
  },
  {
    name: 'icps_echolimited',
    unit: 'messages',
    ext: true,
    label: '\tN echo repl{y/ies} not generated because of rate limitation',
    help: 'Echo replies not sent: over the rate limit net.inet.icmp.icmplim_echo',
  },
  {
    name: 'icps_badsource',
    unit: 'messages',
    ext: true,
    label: '\tN request{s} from an address that cannot be answered',
    help: 'Requests not answered: source is broadcast, multicast or unspecified',
  },
  {
    name: 'icps_echoreply',
    unit: 'messages',
    ext: true,
    label: '\tN echo repl{y/ies} without a request of ours',
    help: 'Echo replies received: this host sends no requests',
  },
  {
    name: 'icps_unhandled',
    unit: 'messages',
    ext: true,
    label: '\tN message{s} of a type that is not handled',
    help: 'Messages of a type that this host takes no notice of',
  },
  {
    name: 'icps_badquote',
    unit: 'messages',
    ext: true,
    label: '\tN error{s} quoting a packet that matches nothing here',
    help: 'Received errors whose quoted packet belongs to no flow of this host',
  },
  {
    name: 'icps_redirect',
    unit: 'messages',
    ext: true,
    label: '\tN redirect{s} ignored',
    help: 'Redirects received, all of which are ignored',
  },
]);
