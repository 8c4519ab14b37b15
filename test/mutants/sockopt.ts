/** Options of sockets (src/stack/socket/sockopt.ts): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const sockoptMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/tcp-user-timeout.ts',
    find: '  tp.st.cnt[tcps.tcps_progdrops]!++;\n  tcpDrop(tp, ETIMEDOUT);',
    replace: '',
    kills: [
      'unit/stack/tcp/user-timeout.test.ts › ends a connection whose data has found no answer for so long, with ETIMEDOUT and a RST',
      'unit/stack/tcp/user-timeout.test.ts › ends an attempt to connect (the SYN is what waits)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '!haveEstablished(tp.t_state) || userTimeout(tp) === 0;',
    replace: 'true;',
    kills: [
      'unit/stack/tcp/user-timeout.test.ts › lets a connection outlast the limit of twelve retransmissions when it is longer (RFC 9293 section 3.8.3, R2)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '  tp.t_progtime = st.clock.ms;\n',
    replace: '',
    kills: ['unit/stack/tcp/user-timeout.test.ts › counts again from each acknowledgment of something new'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '  if (tp.snd_max === tp.snd_una) userTimeoutStart(tp);',
    replace: '',
    kills: ['unit/stack/tcp/user-timeout.test.ts › ends one whose window never opened'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: 'if (fresh || tp.t_persist.armed) userTimeoutStart(tp);',
    replace: 'if (fresh) userTimeoutStart(tp);',
    kills: ['unit/stack/tcp/user-timeout.test.ts › counts anew when the window opens'],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '  if (user !== 0) return user > idleMs + intvl ? user : idleMs + intvl;\n',
    replace: '',
    kills: ['unit/stack/tcp/user-timeout.test.ts › takes the place of keepcnt: shorter, and longer (tcp(7) of Linux)'],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '(tp.t_flags & (TF_MORETOCOME | TF_NOPUSH)) === 0',
    replace: '(tp.t_flags & TF_MORETOCOME) === 0',
    kills: [
      'unit/stack/tcp/nopush.test.ts › holds back what is no full segment, also with nothing in flight, and sends full ones',
      'unit/stack/tcp/nopush.test.ts › holds back with TCP_NODELAY too',
    ],
  },
  {
    file: 'src/stack/socket/sockopt.ts',
    find: '  if (was.noPush && !now.noPush) tcpUncork(tp);\n  else if',
    replace: '  if',
    kills: ['unit/stack/tcp/nopush.test.ts › set off, it lets go what waits'],
  },
  {
    file: 'src/stack/tcp/tcp-nopush.ts',
    find: '  if (!tp.t_nopush.armed) tp.st.wheel.arm(tp.t_nopush, CEILING_US);\n',
    replace: '',
    kills: ['unit/stack/tcp/nopush.test.ts › holds nothing back for more than 200 ms'],
  },
  {
    file: 'src/stack/socket/sockopt.ts',
    find: 'haveEstablished(tp.t_state)) tcpPush(tp);',
    replace: 'haveEstablished(tp.t_state)) tcpUncork(tp);',
    kills: [
      'unit/stack/tcp/nopush.test.ts › lets go what waits when TCP_NODELAY is set, and holds back what follows (tcp(7) of Linux)',
    ],
  },
  {
    file: 'src/stack/socket/socket.ts',
    find: 'if (this.opt.linger === 0) tcpUsrAbort(this.tp);\n      else ',
    replace: '',
    kills: [
      'unit/stack/tcp/sockopt.test.ts › of 0 resets on close and throws away what is queued (RFC 9293 section 3.6.1 aborts so)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: '      so.allAcked();\n',
    replace: '',
    kills: ['unit/stack/tcp/sockopt.test.ts › of some time tells when data and FIN are acknowledged'],
  },
  {
    file: 'src/stack/socket/linger.ts',
    find: '    st.wheel.arm(this.#timer, ms * 1000);\n',
    replace: '',
    kills: [
      'unit/stack/tcp/sockopt.test.ts › of some time tells with EWOULDBLOCK that it is over, and the connection goes on',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '  const set = tp.t_socket!.opt.keepIntvl;\n  return set !== 0 ? set : tp.st.tune.tcp_keepintvl;',
    replace: '  return tp.st.tune.tcp_keepintvl;',
    kills: ['unit/stack/tcp/sockopt.test.ts › has times and a count of its own'],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '  const set = tp.t_socket!.opt.keepInit;\n  return (set !== 0 ? set : tp.st.tune.tcp_keepinit) * 1000;',
    replace: '  return tp.st.tune.tcp_keepinit * 1000;',
    kills: ['unit/stack/tcp/sockopt.test.ts › has a limit on the handshake of its own (TCP_KEEPINIT)'],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: 'tune.tcp_always_keepalive !== 0 || tp.t_socket!.opt.keepAlive;',
    replace: 'true;',
    kills: [
      'unit/stack/tcp/sockopt.test.ts › is off unless it is asked for, with net.inet.tcp.always_keepalive 0 (MUST-25)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-outopt.ts',
    find: 'return most !== 0 && most < mss ? most : mss;',
    replace: 'return mss;',
    kills: [
      'unit/stack/tcp/sockopt.test.ts › can be given with an active open',
      'unit/stack/tcp/sockopt.test.ts › set on a listener, is what SYN,ACK announces and the most that is sent',
    ],
  },
  {
    file: 'src/stack/socket/listener.ts',
    find: '    so.opt = this.opt;\n',
    replace: '',
    kills: [
      'unit/stack/tcp/sockopt.test.ts › are those of the listener for the connections that it accepts, as they are then',
    ],
  },
  {
    file: 'src/stack/socket/sockopt.ts',
    find: 'Math.max(MIN_BUF, Math.min(bytes, tune.ipc_maxsockbuf))',
    replace: 'Math.max(MIN_BUF, bytes)',
    kills: ['unit/stack/tcp/sockopt.test.ts › bound what is taken and offered, within kern.ipc.maxsockbuf'],
  },
  {
    file: 'src/stack/socket/socket.ts',
    find: '    return left < space ? (left < 0 ? 0 : left) : space;',
    replace: '    return space;',
    kills: ['unit/stack/tcp/sockopt.test.ts › bounds what waits unsent, and tells of room when half of it is gone'],
  },
  {
    file: 'src/stack/socket/socket.ts',
    find: '    return low <= 1 || bytes >= low',
    replace: '    return bytes > 0 || bytes >= low',
    kills: ['unit/stack/tcp/sockopt.test.ts › holds back what is too little until there is enough'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '    st.tune.tcp_delayed_ack !== 0 &&\n    !tp.t_socket!.opt.quickAck\n',
    replace: '    st.tune.tcp_delayed_ack !== 0\n',
    kills: ['unit/stack/tcp/sockopt.test.ts › acknowledges every segment at once'],
  },
  {
    file: 'src/stack/socket/listener.ts',
    find: '    if (ms === 0) this.#ready(so);\n    else this.#deferred.add(so, ms, this.backlog);',
    replace: '    if (ms >= 0) this.#ready(so);',
    kills: ['unit/stack/tcp/sockopt.test.ts › offers a connection when its first data has come, with that data'],
  },
];
