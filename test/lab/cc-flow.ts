import { Dumbbell } from '../../src/driver/sim/dumbbell.ts';
import { IDEAL_PIPE, type PipeConfig } from '../../src/impair/config.ts';
import { listen } from '../../src/stack/socket/listener.ts';
import { connect, type Socket, type SocketHandler } from '../../src/stack/socket/socket.ts';
import type { CongestionControl } from '../../src/stack/tcp/cc/cc.ts';
import type { Tcpcb } from '../../src/stack/tcp/tcpcb.ts';

export interface FlowOptions {
  /** Names of the flows' congestion control. */
  readonly cc: readonly string[];
  /** Bottleneck, bit/s. */
  readonly bw: number;
  /** Propagation there and back, µs. */
  readonly rtt: number;
  readonly data?: Partial<PipeConfig>;
  readonly seed?: number;
  readonly tune?: Readonly<Record<string, number>>;
  /** µs between the starts of the flows. */
  readonly stagger?: number;
}

const CHUNK = new Uint8Array(65536);

/** Bulk transfers of the real stack over an emulated bottleneck, in virtual time. */
export class Flows {
  readonly d: Dumbbell;
  readonly delivered: number[] = [];
  readonly tp: (Tcpcb | null)[] = [];

  constructor(o: FlowOptions) {
    this.d = new Dumbbell({
      seed: o.seed ?? 1,
      mtu: 1500,
      data: { ...IDEAL_PIPE, rate: o.bw, delayUs: o.rtt / 2, ...o.data } as PipeConfig,
      ack: { ...IDEAL_PIPE, delayUs: o.rtt / 2 },
      accessUs: o.cc.map(() => 0),
      separateReceivers: true,
      receiverFrames: 16384,
      tune: { tcp_sendbuf_max: 16 << 20, tcp_recvbuf_max: 16 << 20, ipc_maxsockbuf: 32 << 20, ...o.tune },
    });
    o.cc.forEach((cc, i) => {
      this.delivered.push(0);
      this.tp.push(null);
      const sink: SocketHandler = {
        connected: () => {},
        data: (_so, _u8, _off, len) => {
          this.delivered[i]! += len;
          return len;
        },
        writable: () => {},
        end: (so) => so.close(),
        closed: () => {},
      };
      listen(this.d.receivers[i]!.st, { port: 5001 }, () => sink);
      const fill = (so: Socket) => {
        this.tp[i] = so.tp;
        while (so.send(CHUNK, 0, CHUNK.length) > 0);
      };
      this.d.net.at((o.stagger ?? 0) * i, () => {
        const handler: SocketHandler = { ...sink, connected: fill, writable: fill };
        connect(this.d.senders[i]!.st, { faddr: this.d.receivers[i]!.addr, fport: 5001, cc }, handler);
        this.d.senders[i]!.wake();
      });
    });
  }

  run(until: number): void {
    this.d.net.run(until);
  }

  cc(i = 0): CongestionControl {
    return this.tp[i]!.t_cc;
  }
}
