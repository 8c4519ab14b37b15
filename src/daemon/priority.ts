import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/**
 * Nice value when none is given. A kernel's stack runs in soft interrupts, before every process; ours has to ask for as much. Not
 * for more: the programs that the packets are for must run, too.
 */
export const NICE_DEFAULT = -5;

/**
 * Sets the nice value of the calling thread, which the threads that it starts later inherit. Between sessions only the nice value of a
 * session's autogroup counts (sched(7)); it is set, too, when this process leads its session and so does not speak for others, as
 * a service does. Raising the priority needs CAP_SYS_NICE: do it before rights are dropped.
 *
 * @param nice -20 (first) to 19
 * @returns why it could not be set, or null
 */
export function setNice(nice: number): string | null {
  try {
    setPriority(0, nice);
    if (leadsSession()) writeFileSync('/proc/self/autogroup', String(nice));
    return null;
  } catch (err) {
    // A kernel without autogroups has no such file.
    return (err as NodeJS.ErrnoException).code === 'ENOENT' ? null : (err as Error).message;
  }
}

/** Whether the session has this process's id: field 6 of proc_pid_stat(5), behind a name that may hold anything. */
function leadsSession(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === process.pid;
}
