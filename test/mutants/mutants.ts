/**
 * Clauses of the code that are switched off, one at a time, and the tests that must fail then (run.ts). The lines of docs/COMPLIANCE.md
 * name the tests of those that RFCs ask for.
 */
import { cwvMutants } from './cwv.ts';
import { ecnMutants } from './ecn.ts';
import { eventMutants } from './events.ts';
import { fastopenMutants } from './fastopen.ts';
import { handshakeMutants } from './handshake.ts';
import { hostcacheMutants } from './hostcache.ts';
import { knobMutants } from './knobs.ts';
import { logMutants } from './log.ts';
import { memoryMutants } from './memory.ts';
import { pacingMutants } from './pacing.ts';
import { plpmtudMutants } from './plpmtud.ts';
import { pmtuMutants } from './pmtu.ts';
import { rackMutants } from './rack.ts';
import { recoveryMutants } from './recovery.ts';
import { rfc9293Mutants } from './rfc9293.ts';
import { sackMutants } from './sack.ts';
import { sockoptMutants } from './sockopt.ts';
import { timerMutants } from './timer.ts';
import { windowMutants } from './window.ts';

export interface Mutant {
  /** Source file from the root. */
  readonly file: string;
  /** A snippet that occurs once in it, and what takes its place. */
  readonly find: string;
  readonly replace: string;
  /** Tests, `file › name` with files below test/: each must fail. */
  readonly kills: readonly string[];
}

/** What RFCs ask for. */
export const mutants: readonly Mutant[] = [
  ...sackMutants,
  ...rackMutants,
  ...recoveryMutants,
  ...timerMutants,
  ...windowMutants,
  ...cwvMutants,
  ...ecnMutants,
  ...pacingMutants,
  ...pmtuMutants,
  ...hostcacheMutants,
  ...plpmtudMutants,
  ...rfc9293Mutants,
  ...eventMutants,
  ...handshakeMutants,
  ...sockoptMutants,
  ...memoryMutants,
  ...knobMutants,
  ...fastopenMutants,
];

/** What no RFC asks for. */
export const otherMutants: readonly Mutant[] = [...logMutants];
