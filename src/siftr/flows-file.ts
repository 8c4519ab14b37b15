import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import type { LogFile } from './logfile.ts';

/** Where the entries of `flow_list` go that a disable line has no room for. */
export function flowsPath(log: string): string {
  return `${log}.flows`;
}

/** Splits a flow list at a whole entry. @param max bytes that the first part may have; 0 is no limit */
export function splitFlowList(list: string, max: number): { head: string; rest: string } {
  if (max === 0 || list.length <= max) return { head: list, rest: '' };
  const at = list.lastIndexOf(',', max - 1) + 1;
  return { head: list.slice(0, at), rest: list.slice(at) };
}

/**
 * Writes entries of a flow list beside their log, one a line: into a new file when the log was empty when it was opened, else behind what is there, as
 * the log's own cycles. A symbolic link is refused.
 * @throws what the file system refuses with
 */
export function writeFlows(log: LogFile, list: string): void {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_APPEND, O_TRUNC } = constants;
  const fd = openSync(
    flowsPath(log.path),
    O_WRONLY | O_CREAT | O_NOFOLLOW | (log.size === 0 ? O_TRUNC : O_APPEND),
    0o644,
  );
  try {
    writeFileSync(fd, list.replaceAll(',', '\n'));
  } finally {
    closeSync(fd);
  }
}
