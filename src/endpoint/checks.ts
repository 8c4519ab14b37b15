/** What socket(2) and sendmsg(2) are given, checked as Linux checks it before anything is done. */
import { EINVAL } from '../stack/errno.ts';
import * as L from './linux.ts';

/** Why there is no socket of that kind, 0 when there is (socket(2), inet_create). */
export function socketRefused(domain: number, typeAndFlags: number, proto: number): number {
  const type = typeAndFlags & L.SOCK_TYPE_MASK;
  if ((typeAndFlags & ~(L.SOCK_TYPE_MASK | L.SOCK_NONBLOCK | L.SOCK_CLOEXEC)) !== 0) return EINVAL;
  if (domain < 0 || domain >= L.NPROTO) return L.EAFNOSUPPORT;
  if (type >= L.SOCK_MAX) return EINVAL;
  if (domain !== L.AF_INET) return L.EAFNOSUPPORT;
  if (proto < 0 || proto >= L.IPPROTO_MAX) return EINVAL;
  if (type === L.SOCK_STREAM) return proto === 0 || proto === L.IPPROTO_TCP ? 0 : L.EPROTONOSUPPORT;
  if (type === L.SOCK_DGRAM || type === L.SOCK_RAW) return L.EPROTONOSUPPORT;
  return L.ESOCKTNOSUPPORT;
}

/** Control messages are read and none is of use: whole headers of other levels than the socket's (sock_cmsg_send). */
export function controlOk(control: Uint8Array): boolean {
  const v = new DataView(control.buffer, control.byteOffset, control.length);
  for (let at = 0; at + 16 <= control.length; ) {
    const len = v.getUint32(at, true);
    if (v.getUint32(at + 4, true) !== 0 || len < 16 || at + len > control.length) return false;
    if (v.getInt32(at + 8, true) === L.SOL_SOCKET) return false;
    at += (len + 7) & ~7;
  }
  return true;
}
