import { declareGroup } from '../declare.ts';

/** Upper bounds of the release error, µs. */
export const RELEASE_ERROR_US = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000] as const;

/**
 * The pipes of dummynet, all of a shard together. Every packet is accounted for:
 * `io_in + io_out + duplicated` = `passed_in + passed_out` + all that is dropped + `held`.
 */
export const dummynetGroup = declareGroup({ name: 'dummynet', prefix: 'dn_', extSection: 'dummynet' }, [
  {
    name: 'dn_io_in',
    unit: 'packets',
    ext: true,
    label: '\tN received packet{s} given to pipes',
    help: 'Received packets that a rule sent to a pipe',
  },
  {
    name: 'dn_io_out',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} of ours given to pipes',
    help: 'Packets of ours that a rule sent to a pipe',
  },
  {
    name: 'dn_passed_in',
    unit: 'packets',
    ext: true,
    label: '\tN received packet{s} that came out',
    help: 'Received packets that went on to the stack from a pipe',
  },
  {
    name: 'dn_passed_out',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} of ours that came out',
    help: 'Packets of ours that went on to the interface from a pipe',
  },
  {
    name: 'dn_drop_loss',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} lost on purpose',
    help: 'Dropped: chosen by plr, gemodel or drop',
  },
  {
    name: 'dn_drop_overflow',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because the queue of a pipe was full',
    help: 'Dropped: the queue of the pipe was full',
  },
  {
    name: 'dn_drop_aqm',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped by red or codel',
    help: 'Dropped: chosen by the active queue management of the pipe',
  },
  {
    name: 'dn_drop_purge',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped with their pipe',
    help: 'Dropped: still in a pipe when it was deleted or flushed, or at the end',
  },
  {
    name: 'dn_drop_nobufs',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because pipes held as many as they may',
    help: 'Dropped: the pipes of the shard held half of its frames',
  },
  {
    name: 'dn_marked',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} marked with CE',
    help: 'ECN-capable packets that a pipe marked Congestion Experienced',
  },
  {
    name: 'dn_duplicated',
    unit: 'packets',
    ext: true,
    label: '\tN cop{y/ies} made',
    help: 'Copies of packets that a pipe made',
  },
  {
    name: 'dn_dup_nobufs',
    unit: 'packets',
    ext: true,
    label: '\tN cop{y/ies} not made for want of a frame',
    help: 'Copies that were not made: no frame, or the pipes hold as many as they may',
  },
  {
    name: 'dn_corrupted',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} with a flipped bit',
    help: 'Packets of which a pipe flipped one bit',
  },
  {
    name: 'dn_reordered',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} that came out behind a later one',
    help: 'Packets that left their pipe after one that had entered it behind them',
  },
  {
    name: 'dn_held',
    unit: 'packets',
    gauge: true,
    ext: true,
    label: '\tN packet{s} held now',
    help: 'Packets in pipes, waiting or delayed',
  },
  {
    name: 'dn_release_error',
    unit: 'microseconds',
    bounds: RELEASE_ERROR_US,
    kstat: 'dn-release',
    ext: true,
    label: '\tN packet{s} released by the clock, late by',
    help: 'How long after its time a packet left its pipe',
  },
]);
