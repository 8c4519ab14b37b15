import { SimError } from './error.ts';

/** What the stack can run; the list of modules takes its place when connections choose among them. */
const AVAILABLE: readonly string[] = ['newreno'];

/** What a flow has that names no other. */
export const CC_DEFAULT = 'newreno';

/** The name of a congestion-control algorithm, checked. @throws SimError */
export function checkCc(name: string): string {
  if (AVAILABLE.includes(name)) return name;
  throw new SimError(`--cc ${name}: allowed are ${AVAILABLE.join(', ')}`);
}
