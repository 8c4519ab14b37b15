/** Diagnostics on standard error: pino's JSON lines, or plain ones where a person reads along. */

export type Level = 'debug' | 'info' | 'warn' | 'error';

export interface Logger {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent'];

/**
 * The logger of a process.
 * @param level    least level shown; `silent` shows nothing
 * @param terminal standard error is a terminal: plain lines
 */
export async function createLogger(level: Level | 'silent', terminal: boolean): Promise<Logger> {
  if (terminal || level === 'silent') {
    const least = LEVELS.indexOf(level);
    const line = (at: Level) => (text: string) => {
      if (LEVELS.indexOf(at) >= least)
        process.stderr.write(`\r\x1b[Kxsiftr: ${at === 'info' ? '' : `${at}: `}${text}\n`);
    };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }
  const { pino } = await import('pino');
  const log = pino({ name: 'xsiftr', level, base: { pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
  return {
    debug: (text) => log.debug(text),
    info: (text) => log.info(text),
    warn: (text) => log.warn(text),
    error: (text) => log.error(text),
  };
}
