import { join } from 'node:path';
import type { Lab } from './netns.ts';

const here = (file: string): string => join(import.meta.dirname, file);

/** Runs a command of peer.py in the peer's namespace and gives the JSON object that it prints. */
export async function peer<T = Record<string, unknown>>(lab: Lab, ...words: (string | number)[]): Promise<T> {
  const r = await lab.far(['python3', here('peer.py'), ...words.map(String)]);
  return JSON.parse(r.stdout.split('\n').at(-1)!) as T;
}

/** Runs a command of raw.py in the peer's namespace; xsiftr's address must have been resolved there (ping it first). */
export async function raw<T = Record<string, number>>(lab: Lab, ...words: (string | number)[]): Promise<T> {
  const r = await lab.far(['python3', here('raw.py'), ...words.map(String)]);
  return JSON.parse(r.stdout.split('\n').at(-1)!) as T;
}

/** Words that start a command of peer.py, for `lab.spawnFar`. */
export function peerWords(...words: (string | number)[]): string[] {
  return ['python3', here('peer.py'), ...words.map(String)];
}
