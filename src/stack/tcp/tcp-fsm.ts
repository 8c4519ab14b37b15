/** States (tcp_fsm.h; spec/siftr.md 3.1) and what each lets tcpOutput put into a segment. */
import { TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../wire/tcp.ts';

export const TCPS_CLOSED = 0;
export const TCPS_LISTEN = 1;
export const TCPS_SYN_SENT = 2;
export const TCPS_SYN_RECEIVED = 3;
export const TCPS_ESTABLISHED = 4;
export const TCPS_CLOSE_WAIT = 5;
export const TCPS_FIN_WAIT_1 = 6;
export const TCPS_CLOSING = 7;
export const TCPS_LAST_ACK = 8;
export const TCPS_FIN_WAIT_2 = 9;
export const TCPS_TIME_WAIT = 10;

/** Names as `netstat -an` prints them (spec/counters.md 7.1), by state number. */
export const TCP_STATE_NAMES = [
  'CLOSED',
  'LISTEN',
  'SYN_SENT',
  'SYN_RCVD',
  'ESTABLISHED',
  'CLOSE_WAIT',
  'FIN_WAIT_1',
  'CLOSING',
  'LAST_ACK',
  'FIN_WAIT_2',
  'TIME_WAIT',
] as const;

export const haveRcvdSyn = (s: number): boolean => s >= TCPS_SYN_RECEIVED;
export const haveEstablished = (s: number): boolean => s >= TCPS_ESTABLISHED;
/** A FIN of the peer has been processed: CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT. */
export const haveRcvdFin = (s: number): boolean =>
  s === TCPS_CLOSE_WAIT || s === TCPS_CLOSING || s === TCPS_LAST_ACK || s === TCPS_TIME_WAIT;

/** Our FIN, and all data before it, is acknowledged. */
export const finIsAcked = (s: number): boolean => s === TCPS_FIN_WAIT_2 || s === TCPS_TIME_WAIT;

/** Flags of the segment that tcpOutput sends in each state, before data and windows have their say. */
export const tcpOutflags: readonly number[] = [
  TH_RST | TH_ACK,
  0,
  TH_SYN,
  TH_SYN | TH_ACK,
  TH_ACK,
  TH_ACK,
  TH_FIN | TH_ACK,
  TH_FIN | TH_ACK,
  TH_FIN | TH_ACK,
  TH_ACK,
  TH_ACK,
];
