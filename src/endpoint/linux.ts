/**
 * Numbers of Linux on x86-64 that the socket endpoint speaks in, from the kernel's user headers: asm-generic/{errno-base,errno,socket,fcntl,
 * poll,sockios}.h, linux/{socket,net,in,tcp,sockios}.h.
 */

export const EINTR = 4;
export const EBADF = 9;
export const EMFILE = 24;
export const ENOTTY = 25;
export const EDOM = 33;
export const EPROTO = 71;
export const EDESTADDRREQ = 89;
export const ENOPROTOOPT = 92;
export const EPROTONOSUPPORT = 93;
export const ESOCKTNOSUPPORT = 94;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EALREADY = 114;
export const EINPROGRESS = 115;
export const ECANCELED = 125;
export const ENOENT = 2;
export const ENODEV = 19;
export const ETIME = 62;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
/** Families that the kernel knows have a number below this one. */
export const NPROTO = 46;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_TYPE_MASK = 0xf;
export const SOCK_MAX = 11;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_MAX = 263;

export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_WAITALL = 0x100;
export const MSG_CONFIRM = 0x800;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;
export const MSG_FASTOPEN = 0x20000000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const FD_CLOEXEC = 1;
export const O_RDWR = 0o2;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_ASYNC = 0o20000;
export const O_DIRECT = 0o40000;

export const FIONREAD = 0x541b;
export const SIOCOUTQ = 0x5411;
export const SIOCOUTQNSD = 0x894b;
export const SIOCATMARK = 0x8905;

export const SHUT_RD = 0;
export const SHUT_RDWR = 2;

export const POLLIN = 0x1;
export const POLLPRI = 0x2;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const POLLRDNORM = 0x40;
export const POLLWRNORM = 0x100;
export const POLLRDHUP = 0x2000;

/** Most connections that may wait on a listening socket (net.core.somaxconn). */
export const SOMAXCONN = 4096;
/** Longest socket address that a call takes (struct sockaddr_storage). */
export const SOCKADDR_MAX = 128;

export const SOL_SOCKET = 1;
export const SO_DEBUG = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_DONTROUTE = 5;
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_OOBINLINE = 10;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_RCVLOWAT = 18;
export const SO_SNDLOWAT = 19;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;

export const SOL_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_CORK = 3;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_INFO = 11;
export const TCP_QUICKACK = 12;
export const TCP_CONGESTION = 13;
export const TCP_USER_TIMEOUT = 18;
export const TCP_FASTOPEN = 23;
export const TCP_NOTSENT_LOWAT = 25;
export const TCP_FASTOPEN_CONNECT = 30;

export const SOL_IP = 0;
export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVERR = 11;
export const IP_MTU = 14;
/** Levels of other protocols, which an IPv4 TCP socket does not have. */
export const SOL_IPV6 = 41;

/** States of a TCP socket (enum in net/tcp_states.h), as TCP_INFO shows them. */
export const LX_ESTABLISHED = 1;
export const LX_SYN_SENT = 2;
export const LX_SYN_RECV = 3;
export const LX_FIN_WAIT1 = 4;
export const LX_FIN_WAIT2 = 5;
export const LX_TIME_WAIT = 6;
export const LX_CLOSE = 7;
export const LX_CLOSE_WAIT = 8;
export const LX_LAST_ACK = 9;
export const LX_LISTEN = 10;
export const LX_CLOSING = 11;

const ENETUNREACH = 101;
const ECONNREFUSED = 111;
const EHOSTDOWN = 112;
const EHOSTUNREACH = 113;
const ENONET = 64;
/** What "destination unreachable" means, by its code (icmp_err_convert of net/ipv4/icmp.c); 4, fragmentation needed, is no error of a socket. */
const UNREACH_ERRNO = [
  ENETUNREACH,
  EHOSTUNREACH,
  ENOPROTOOPT,
  ECONNREFUSED,
  0,
  EOPNOTSUPP,
  ENETUNREACH,
  EHOSTDOWN,
  ENONET,
  ENETUNREACH,
  EHOSTUNREACH,
  ENETUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
];

/** The errno that an ICMP error is for a TCP socket (tcp_v4_err). */
export function icmpErrno(type: number, code: number): number {
  if (type === 3) return UNREACH_ERRNO[code] ?? EHOSTUNREACH;
  return type === 12 ? EPROTO : EHOSTUNREACH;
}
