/** What the modules that control by a window share: RFC 5681's measures of the flight, and pacing of a window. */
import type { CcVar } from './cc.ts';

/** Pacing of a window against its round-trip time: twice as fast while it doubles, a fifth faster while it grows slowly. */
const PACE_SLOW_START = 2;
const PACE_AVOIDANCE = 1.2;

/**
 * FlightSize, bytes: sent and not acknowledged cumulatively (RFC 5681 section 2). What limited transmit sent beyond the window is
 * left out (section 3.2 step 2).
 */
export function flightSize(c: CcVar): number {
  const flight = (c.snd_max - c.snd_una) | 0;
  return flight < c.snd_cwnd ? flight : c.snd_cwnd;
}

/** `share` of FlightSize, at least two segments (RFC 5681 equation 4): a slow start threshold, bytes. */
export function shareOfFlight(c: CcVar, share: number): number {
  const part = Math.floor(flightSize(c) * share);
  const least = 2 * c.maxseg;
  return part > least ? part : least;
}

/**
 * Bytes a second that send the window in a round trip with some to spare, so that pacing spreads bursts and never is what limits; 0
 * before the first round-trip sample.
 */
export function windowPacingRate(c: CcVar): number {
  if (c.srtt <= 0) return 0;
  const gain = c.snd_cwnd < c.snd_ssthresh ? PACE_SLOW_START : PACE_AVOIDANCE;
  return (gain * c.snd_cwnd * 1e6) / c.srtt;
}
