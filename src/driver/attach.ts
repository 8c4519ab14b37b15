import type { Netdev } from './netdev.ts';

/** What the attach line tells. */
export interface AttachFacts {
  dev: Pick<Netdev, 'name' | 'driver' | 'busInfo' | 'mac'>;
  /** Where the XDP program runs. */
  xdp: 'native' | 'generic';
  /** Whether frames are copied between kernel and UMEM. */
  zeroCopy: boolean;
  queues: number;
  /** {@link NarrowPlan.shown}; empty when all queues of the interface are served. */
  narrowed?: string;
  umemBytes: number;
  /** MAC that the stack uses, when it is not the interface's. */
  mac?: string;
}

/**
 * The line that a BSD kernel prints when a driver attaches (spec/counters.md 9), with what AF_XDP gives in the place of the interrupt:
 * `ix1 at veth dev 0 "veth", native xdp, copy, 4 queues, UMEM 64 MiB, address 02:00:00:00:00:01`.
 */
export function attachLine(facts: AttachFacts): string {
  const { dev } = facts;
  const queues = `${facts.queues} queue${facts.queues === 1 ? '' : 's'}${facts.narrowed ? ` ${facts.narrowed}` : ''}`;
  return [
    `${dev.name} at ${busText(dev.driver, dev.busInfo)} "${dev.driver}"`,
    `${facts.xdp} xdp`,
    facts.zeroCopy ? 'zero-copy' : 'copy',
    queues,
    `UMEM ${mebibytes(facts.umemBytes)} MiB`,
    `address ${facts.mac ?? dev.mac}`,
  ].join(', ');
}

/**
 * Bus and place on it: `pci0000:03 dev 0 function 1` for the PCI address 0000:03:00.1, `virtio dev 2` for virtio2, `usb1 dev 1.4` for
 * usb-…-1.4, and for what is on no bus its driver as a bus of one device, `veth dev 0`.
 */
export function busText(driver: string, busInfo: string): string {
  const pci = /^([0-9a-f]{4,}:[0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(busInfo);
  if (pci !== null) return `pci${pci[1]} dev ${Number.parseInt(pci[2]!, 16)} function ${pci[3]}`;
  const usb = /^usb-.+-([\d.]+)$/.exec(busInfo);
  if (usb !== null) return `usb dev ${usb[1]}`;
  const numbered = /^([a-z]+)(\d+)$/.exec(busInfo);
  if (numbered !== null) return `${numbered[1]} dev ${numbered[2]}`;
  return `${driver} dev 0`;
}

function mebibytes(bytes: number): string {
  const n = bytes / 2 ** 20;
  return Number.isInteger(n) ? String(n) : n.toFixed(1);
}
