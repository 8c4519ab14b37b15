import { declareGroup } from '../declare.ts';

/** Verdicts of the hooks on the packet filter heads. */
export const pfilGroup = declareGroup({ name: 'pfil', prefix: 'pfils_', extSection: 'pfil' }, [
  {
    name: 'pfils_ether_in_drop',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped by ethernet hooks on input',
    help: 'Dropped by a hook of head ethernet on input',
  },
  {
    name: 'pfils_ether_out_drop',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped by ethernet hooks on output',
    help: 'Dropped by a hook of head ethernet on output',
  },
  {
    name: 'pfils_inet_in_drop',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped by inet hooks on input',
    help: 'Dropped by a hook of head inet on input',
  },
  {
    name: 'pfils_inet_out_drop',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped by inet hooks on output',
    help: 'Dropped by a hook of head inet on output',
  },
  {
    name: 'pfils_ether_in_consumed',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} taken by ethernet hooks on input',
    help: 'Taken over by a hook of head ethernet on input',
  },
  {
    name: 'pfils_ether_out_consumed',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} taken by ethernet hooks on output',
    help: 'Taken over by a hook of head ethernet on output',
  },
  {
    name: 'pfils_inet_in_consumed',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} taken by inet hooks on input',
    help: 'Taken over by a hook of head inet on input',
  },
  {
    name: 'pfils_inet_out_consumed',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} taken by inet hooks on output',
    help: 'Taken over by a hook of head inet on output',
  },
  {
    name: 'pfils_hook_errors',
    unit: 'packets',
    ext: true,
    label: '\tN packet{s} dropped because a hook failed',
    help: 'Dropped: a hook threw an error',
  },
]);
