/** What the modules that control by a window share: RFC 5681's measures of the flight. */
import type { CcVar } from './cc.ts';

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
