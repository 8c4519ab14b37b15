import type { CongestionControl } from './cc.ts';

/** Keeps every window as it is: before a connection is established, and after its module has failed. */
export const noCc: CongestionControl = {
  init() {},
  ackReceived() {},
  congestionSignal() {},
};
