/** Delivery-rate sampling (draft-ietf-ccwg-bbr section 4.1.1, after draft-cheng-iccrg-delivery-rate-estimation-02). */
import type { CcAck } from './cc/cc.ts';
import { SEG_APPLIMITED } from './tcp-rtxq.ts';
import type { Tcpcb } from './tcpcb.ts';

/** The latest sent of the segments that one ACK delivered, as it was when sent. One object, reused. */
export class RateSample {
  valid = false;
  /** Something that was sent only once is among what was delivered, up to this number. */
  original = false;
  origEnd = 0;
  xmit = 0;
  end = 0;
  delivered = 0;
  deliveredUs = 0;
  firstSentUs = 0;
  txInFlight = 0;
  lostBefore = 0;
  appLimited = false;
  /** Highest number that was delivered before the ACK. */
  priorFack = 0;

  /** An ACK begins. */
  reset(fack: number): void {
    this.valid = false;
    this.original = false;
    this.priorFack = fack;
  }
}

/** Completes `ack` with the rate at which the sampled segment's flight was delivered. */
export function rateSampled(tp: Tcpcb, ack: CcAck): void {
  const rs = tp.st.tcp.rate;
  ack.deliveryRate = 0;
  ack.rateBytes = 0;
  ack.rateInterval = 0;
  // The mark passes once what was in flight when the application ran dry is delivered.
  if (tp.t_app_limited !== 0 && tp.t_delivered > tp.t_app_limited) tp.t_app_limited = 0;
  if (!rs.valid) {
    ack.priorDelivered = 0;
    ack.isAppLimited = false;
    ack.txInFlight = 0;
    ack.rateLost = 0;
    return;
  }
  const send = (rs.xmit - rs.firstSentUs) | 0;
  const acked = (tp.t_delivered_us - rs.deliveredUs) | 0;
  tp.t_first_sent_us = rs.xmit;
  ack.priorDelivered = rs.delivered;
  ack.isAppLimited = rs.appLimited;
  ack.txInFlight = rs.txInFlight;
  ack.rateLost = tp.t_lost - rs.lostBefore;
  ack.rateBytes = tp.t_delivered - rs.delivered;
  const interval = send > acked ? send : acked;
  ack.rateInterval = interval;
  // An interval under the least round trip comes of ACKs that were bunched, or of a spurious retransmission.
  if (interval <= 0 || interval < tp.t_rttmin) return;
  ack.deliveryRate = (ack.rateBytes * 1e6) / interval;
  if (!rs.appLimited || ack.deliveryRate >= tp.t_rate) {
    tp.t_rate = ack.deliveryRate;
    tp.t_rate_applim = rs.appLimited;
  }
}

/** Nothing more to send although the window has room: samples of what is in flight now understate the path (section 4.1.2.4). */
export function rateAppLimited(tp: Tcpcb): void {
  const mark = tp.t_delivered + tp.pipe;
  tp.t_app_limited = mark === 0 ? 1 : mark;
  const tail = tp.rtx_tail;
  if (tail !== null && tail.xmit === tp.st.clock.us) tail.flags |= SEG_APPLIMITED;
}
