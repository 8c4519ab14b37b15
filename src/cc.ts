/**
 * For authors of congestion-control modules: what `import … from 'xsiftr/cc'` gives. The manual is
 * docs/write-a-congestion-control.md.
 */

export {
  CC_ECN,
  CC_NDUPACK,
  CC_RTO,
  CC_RTO_ERR,
  CcAck,
  type CcField,
  CcLost,
  type CcModule,
  type CcSignal,
  type CcVar,
  type CongestionControl,
  TCP_MAXWINDOW,
} from './stack/tcp/cc/cc.ts';
export { HYSTART_CSS, HYSTART_OFF, HYSTART_SLOW_START, HyStart } from './stack/tcp/cc/hystart.ts';
export { type CheckOptions, type CheckReport, checkModule, type Finding } from './stack/tcp/cc/kit.ts';
export { WindowedMax } from './stack/tcp/cc/minmax.ts';
export { NewReno, type NewRenoOptions, newRenoModule } from './stack/tcp/cc/newreno.ts';
export { flightSize, shareOfFlight } from './stack/tcp/cc/window.ts';
