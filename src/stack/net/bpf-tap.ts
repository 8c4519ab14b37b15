import type { Tap } from '../../rings/ifiqueue.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Ifnet } from '../ifnet.ts';

export { BPF_DIR_IN, BPF_DIR_OUT, type Tap } from '../../rings/ifiqueue.ts';

/** The readers of an interface (`struct bpf_if`). Input: before the input queue refuses anything (R3); output: after dequeue (T11). */
class BpfIf implements Tap {
  readonly readers: readonly Tap[];

  constructor(readers: readonly Tap[]) {
    this.readers = readers;
  }

  /** Every reader sees the packet, also when an earlier one takes it away. */
  tap(m: Mbuf, direction: number): boolean {
    let taken = false;
    for (let i = 0; i < this.readers.length; i++) {
      if (this.readers[i]!.tap(m, direction)) taken = true;
    }
    return taken;
  }
}

/** Adds a reader (`bpfattach`). */
export function bpfAttach(ifp: Ifnet, reader: Tap): void {
  const readers = ifp.bpf instanceof BpfIf ? ifp.bpf.readers : [];
  ifp.bpf = new BpfIf([...readers, reader]);
}

/** Removes a reader; with none left the interface pays nothing for taps. */
export function bpfDetach(ifp: Ifnet, reader: Tap): void {
  if (!(ifp.bpf instanceof BpfIf)) return;
  const readers = ifp.bpf.readers.filter((r) => r !== reader);
  ifp.bpf = readers.length === 0 ? null : new BpfIf(readers);
}
