/**
 * Words that the main thread, the shards and the writer thread share: settings that change "at the next packet" (spec/siftr.md
 * section 10) and the writer's wake-up. One Int32Array over a SharedArrayBuffer for the whole process.
 */
import { FLOW_PATTERN_WORDS } from '../stack/flow-pattern.ts';

/** `net.inet.siftr.ppl`; uint32 in an int32 word. Read by the writer for every record. */
export const CFG_PPL = 0;
/** `net.inet.siftr.port_filter`, 0..65535; 0 = off. Read by the hooks for every packet. */
export const CFG_PORT_FILTER = 1;
/** `net.inet.siftr.strict`, 0 or 1. Changes between cycles only. */
export const CFG_STRICT = 2;
/** `net.inet.siftr.logfile_markers`, 0 or 1. Read by the control. */
export const CFG_LOGFILE_MARKERS = 3;
/** `net.inet.siftr.flow_max`, 1..16777216. Read by the writer before each pass. */
export const CFG_FLOW_MAX = 4;
/** `net.inet.siftr.flow_list_max_bytes`; 0 is no limit. Read by the control. */
export const CFG_FLOW_LIST_MAX = 5;
// Words 3 to 7 are the control's and the writer's, 8 to 15 the hook's.
/** `net.inet.siftr.hook`: 0 ip, 1 tcp. Changes between cycles only. */
export const CFG_HOOK = 8;
/** `net.inet.siftr.inflight`: 0 flightsize, 1 pipe. Changes between cycles only. */
export const CFG_INFLIGHT = 9;
/** `net.inet.siftr.ppl_first` and `ppl_dir`, 0 or 1. */
export const CFG_PPL_FIRST = 10;
export const CFG_PPL_DIR = 11;
/** `net.inet.siftr.cwnd_filter`, 0 or 1. */
export const CFG_CWND_FILTER = 12;
/** `net.inet.siftr.ipmode`: 0 is 4, 1 is 6. Changes between cycles only. */
export const CFG_IPMODE = 13;
/** Version of the flow filter, which begins at CFG_FLOWS; odd while it is being changed (flow-filter.ts). */
export const CFG_FLOWS_VERSION = 14;
/** Futex word of the writer: a shard adds 1 and notifies when its ring fills up while the writer sleeps. */
export const CFG_WAKE = 16;
/** 1 while the writer sleeps. */
export const CFG_SLEEPING = 17;
/** Number of the last command that the main thread has sent to the writer. */
export const CFG_COMMAND = 18;

/** How many flows the filter names, and then FLOW_PATTERN_WORDS words for each (flow-filter.ts). */
export const CFG_FLOWS = 32;
/** Most flows that a filter may name (spec/siftr.md section 14 item 2). */
export const CFG_FLOWS_MAX = 64;

const CFG_WORDS = CFG_FLOWS + 1 + CFG_FLOWS_MAX * FLOW_PATTERN_WORDS;

/** Fresh shared settings with the defaults of src/stack/sysctl-siftr.ts. */
export function createSiftrShared(): Int32Array<SharedArrayBuffer> {
  const cfg = new Int32Array(new SharedArrayBuffer(CFG_WORDS * 4));
  cfg[CFG_PPL] = 1;
  cfg[CFG_LOGFILE_MARKERS] = 1;
  cfg[CFG_FLOW_MAX] = 1048576;
  return cfg;
}

/** Ends the writer's sleep, if it sleeps: once a sleep, so a burst costs one wake-up. */
export function wakeWriter(cfg: Int32Array): void {
  if (Atomics.compareExchange(cfg, CFG_SLEEPING, 1, 0) === 0) return;
  Atomics.add(cfg, CFG_WAKE, 1);
  Atomics.notify(cfg, CFG_WAKE);
}
