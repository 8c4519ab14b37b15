/** The event table of RFC 9293 section 3.10 with RFC 5961's checks (test/events), a test an event and a state, over each address family. */
import { describe, expect, it } from 'vitest';
import { calls, timeouts } from '../../../events/calls.ts';
import { closed, listening, synReceived, synSent } from '../../../events/opening.ts';
import { rst, sequence, syn } from '../../../events/synchronised.ts';
import { ack, fin, text, urgent } from '../../../events/text.ts';
import { type EventCase, eventCases, FAMILIES, type Family } from '../../../lab/events.ts';

const check = (run: EventCase['run'], family: Family): void => {
  const { got, want } = run(family);
  expect(got).toEqual(want);
};

describe.each(FAMILIES)('over IPv%i', (family) => {
  for (const { name, run } of eventCases(calls)) it(`user calls (3.10.1 to 3.10.6): ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(closed)) it(`segment in CLOSED: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(listening)) it(`segment in LISTEN: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(synSent)) it(`segment in SYN-SENT: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(synReceived)) it(`segment in SYN-RECEIVED: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(sequence)) it(`sequence number: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(rst)) it(`RST: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(syn)) it(`SYN: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(ack)) it(`ACK: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(urgent)) it(`urgent data: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(text)) it(`text: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(fin)) it(`FIN: ${name}`, () => check(run, family));
  for (const { name, run } of eventCases(timeouts)) it(`timeouts (3.10.8): ${name}`, () => check(run, family));
});
