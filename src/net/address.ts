import { isIPv4 } from 'node:net';

/** The int32 (host order) of a dotted quad; undefined for anything else. */
export function parseIPv4(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  let addr = 0;
  for (const part of text.split('.')) addr = (addr << 8) | Number(part);
  return addr;
}

/** A port from what a caller gave (a number or a decimal string); throws Node's ERR_SOCKET_BAD_PORT when it is none. */
export function checkPort(port: unknown): number {
  const n = typeof port === 'string' && port.trim() !== '' ? Number(port) : port;
  if (typeof n !== 'number' || !Number.isInteger(n) || n < 0 || n > 65535) {
    const err = new RangeError(`Port should be >= 0 and < 65536. Received ${String(port)}.`);
    throw Object.assign(err, { code: 'ERR_SOCKET_BAD_PORT' });
  }
  return n;
}
