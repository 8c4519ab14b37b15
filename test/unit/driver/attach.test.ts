import { describe, expect, it } from 'vitest';
import { attachLine, busText } from '../../../src/driver/attach.ts';

describe('the attach line (spec/counters.md 9)', () => {
  const veth = { name: 'ix1', driver: 'veth', busInfo: '', mac: '02:00:00:00:00:01' };

  it('names interface, bus, driver, mode, queues, memory and address of a veth, as the manual page of the command does', () => {
    expect(attachLine({ dev: veth, xdp: 'native', zeroCopy: false, queues: 4, umemBytes: 64 << 20 })).toBe(
      'ix1 at veth dev 0 "veth", native xdp, copy, 4 queues, UMEM 64 MiB, address 02:00:00:00:00:01',
    );
  });

  it('says queue for one queue, what was narrowed, and the address that the stack uses', () => {
    expect(
      attachLine({
        dev: veth,
        xdp: 'generic',
        zeroCopy: false,
        queues: 1,
        narrowed: 'of 4 (channels narrowed)',
        umemBytes: 1.5 * 2 ** 20,
        mac: '02:00:00:00:00:99',
      }),
    ).toBe(
      'ix1 at veth dev 0 "veth", generic xdp, copy, 1 queue of 4 (channels narrowed), UMEM 1.5 MiB, address 02:00:00:00:00:99',
    );
  });

  it('gives a PCI device bus, device and function as autoconf does', () => {
    const dev = { name: 'ix1', driver: 'ixgbe', busInfo: '0000:03:00.1', mac: 'a0:36:9f:e0:52:55' };
    expect(attachLine({ dev, xdp: 'native', zeroCopy: true, queues: 4, umemBytes: 64 << 20 })).toBe(
      'ix1 at pci0000:03 dev 0 function 1 "ixgbe", native xdp, zero-copy, 4 queues, UMEM 64 MiB, address a0:36:9f:e0:52:55',
    );
  });

  it.each([
    ['ixgbe', '0000:af:1f.7', 'pci0000:af dev 31 function 7'],
    ['nvme', '10000:e1:00.0', 'pci10000:e1 dev 0 function 0'],
    ['virtio_net', 'virtio2', 'virtio dev 2'],
    ['r8152', 'usb-0000:00:14.0-1.4', 'usb dev 1.4'],
    ['tun', '', 'tun dev 0'],
  ])('places %s on %j at %s', (driver, busInfo, text) => {
    expect(busText(driver, busInfo)).toBe(text);
  });
});
