/**
 * The form of the event table: what RFC 9293 section 3.10 says of every event in every state, as data. Expected values come from the text of the
 * RFC that the row cites and from nothing else; where the RFC leaves a choice, or FreeBSD goes another way, `choice` names the line of
 * docs/wire-behaviour.md. The runner is test/lab/events.ts.
 *
 * Segments are written as the RFC writes them: `<SEQ=RCV.NXT><ACK=SND.NXT><CTL=FIN,ACK><LEN=5>`. The variables ISS, SND.UNA, SND.NXT, RCV.NXT,
 * RCV.WND and MAX.SND.WND have the values from before the event, in expectations too; SEG.SEQ, SEG.ACK and SEG.LEN are those of the last segment
 * that arrived. LEN is the payload and 0 where it is not given, WND the window and UP the urgent pointer. PSH is not looked at.
 */
import type { Tunables } from '../../src/stack/sysctl.ts';

export type State =
  | 'CLOSED'
  | 'LISTEN'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'TIME-WAIT';

/** How the connection was opened, where it matters. */
export type Opened = 'active' | 'passive';

/**
 * What has happened before, besides reaching the state: ten bytes of the user's are in flight; the receive buffer is full and the window shut; five
 * bytes that were received wait to be read; the peer's window is shut and ten bytes wait; the user has closed for reading too.
 */
export type Given = 'in flight' | 'RCV.WND=0' | 'unread' | 'SND.WND=0' | 'gone';

export interface Expect {
  /** The state afterwards; the same where it is absent. */
  state?: State;
  /** Segments that go out, in order; none where it is absent. */
  sends?: readonly string[];
  /** Bytes that the user is given. */
  delivers?: number;
  /** What the user is told, faults that the connection survives first: `connected`, `end`, `closed`, `reset`, `refused`, `timeout`, `R1` (three retransmissions without an answer), `urgent N` with the bytes up to its end. */
  signals?: readonly string[];
  /** What the last call returned: bytes, or the name of an errno. */
  returns?: number | string;
  /** Bytes that the send buffer holds afterwards. */
  queued?: number;
}

export interface EventRow {
  /** The clause that the expectation is taken from: a section of RFC 9293, or another RFC's with its number. */
  clause: string;
  states: readonly State[];
  /** Both ways where it is absent. */
  opened?: Opened;
  given?: Given;
  knobs?: Partial<Tunables>;
  /** In order: a segment `<…>`, `wait N` seconds, or a call: `open`, `listen`, `send N`, `urgent N`, `receive`, `shutdown`, `close`, `abort`. */
  event: string | readonly string[];
  expect: Expect;
  /** Expectations of single states that differ in something from `expect`. */
  but?: Partial<Record<State, Expect>>;
  /** Heading of docs/wire-behaviour.md under which the choice is explained. */
  choice?: string;
}

export const SYNCHRONISED: readonly State[] = [
  'ESTABLISHED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'CLOSE-WAIT',
  'CLOSING',
  'LAST-ACK',
  'TIME-WAIT',
];

/** The states in which the peer may still send data. */
export const RECEIVING: readonly State[] = ['ESTABLISHED', 'FIN-WAIT-1', 'FIN-WAIT-2'];

/** Where we are: the answer to what is not acceptable, and the challenge ACK of RFC 5961. */
export const WHERE_WE_ARE = '<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>';
