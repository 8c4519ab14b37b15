/** An address and a port as ss(8) and the kernel's `%pISpc` write them. */
export interface Endpoint {
  readonly addr: string;
  readonly port: number;
}

const FORM = /^(?:\[([^\]]+)\]|([^:[\]%]+))(?:%[^:]+)?:(\d{1,5})$/;

/**
 * `192.0.2.1:80`, `[2001:db8::1]:80`, `192.0.2.1%eth0:80`. The address is given as SIFTR writes it: without brackets, without a zone, and one of IPv4 on a socket of
 * IPv6 (`::ffff:192.0.2.1`) as one of IPv4.
 * @returns null for anything else, also for `*`
 */
export function parseEndpoint(text: string): Endpoint | null {
  const m = FORM.exec(text);
  if (m === null) return null;
  const addr = (m[1] ?? m[2]!).replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  const port = Number(m[3]);
  return addr === '*' || port > 0xffff ? null : { addr, port };
}
