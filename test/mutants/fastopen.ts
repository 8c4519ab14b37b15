/** Fast Open (RFC 7413): clauses to switch off. */
import type { Mutant } from './mutants.ts';

export const fastopenMutants: readonly Mutant[] = [
  {
    file: 'src/stack/tcp/syncache.ts',
    find: 'this.#giveTfo = tfo === TFO_GIVE;',
    replace: 'this.#giveTfo = false;',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › gets one of 8 bytes with the SYN,ACK, the first time only, and opens as any other',
      'unit/stack/tcp/fastopen.test.ts › is answered by an SYN,ACK with a cookie where SYN cookies are used as well',
      'unit/stack/tcp/fastopen.test.ts › %s gets a plain handshake and a new one; its data comes again',
    ],
  },
  {
    file: 'src/stack/tcp/syncache.ts',
    find: '    this.#giveTfo = false;\n    return',
    replace: '    return',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › gets one of 8 bytes with the SYN,ACK, the first time only, and opens as any other',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: '    w[0] = k.f3;',
    replace: '    w[0] = 0;',
    kills: ['unit/stack/tcp/fastopen.test.ts › gets the same one each time, and another address another one'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (tune.tcp_fastopen_server_enable === 0) return TFO_PLAIN;',
    replace: '',
    kills: ['unit/stack/tcp/fastopen-psk.test.ts › count keys that are given before the server may use them'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: '(to.flags & TOF_FASTOPEN) === 0 || !l.fastOpen',
    replace: '(to.flags & TOF_FASTOPEN) === 0',
    kills: ['unit/stack/tcp/fastopen.test.ts › gets none with %s, and its data is not taken'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (len > 0 && tp.t_socket === so) so.deliver(st.pool.u8, m.pos + hlen, len);',
    replace: '',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › delivers its data at once, and the SYN,ACK acknowledges it',
      'unit/stack/tcp/fastopen.test.ts › is taken where SYN cookies alone are used',
      'unit/stack/tcp/fastopen.test.ts › lets data wait where nobody accepts yet',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: '    tp.rcv_nxt = (tp.rcv_nxt + len) | 0;\n',
    replace: '',
    kills: ['unit/stack/tcp/fastopen.test.ts › delivers its data at once, and the SYN,ACK acknowledges it'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'return tfoServed(tp) && tp.t_rxtshift === 0 && tp.snd_nxt !== tp.iss;',
    replace: 'return false;',
    kills: ['unit/stack/tcp/fastopen.test.ts › lets the server answer before the handshake is over'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: '  ccInit(tp);\n  tp.t_rtttiming',
    replace: '  tp.t_rtttiming',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › lets it send no more than the initial window, nor than the window of the SYN',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-ack.ts',
    find: 'if (!served) tp.t_socket!.connected();',
    replace: 'tp.t_socket!.connected();',
    kills: ['unit/stack/tcp/fastopen.test.ts › delivers its data at once, and the SYN,ACK acknowledges it'],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: '        if (tfoServed(tp)) {\n          tfoDupSyn(tp);',
    replace: '        if (tfoServed(tp)) {',
    kills: ['unit/stack/tcp/fastopen.test.ts › is answered again when it comes again, and delivers once'],
  },
  {
    file: 'src/stack/tcp/tcp-timer.ts',
    find: '    if (tfoServed(tp)) {\n      tfoTimeout(tp);\n      return;\n    }\n',
    replace: '',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › has its SYN,ACK sent again until it is answered, and then what was sent behind it',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-do-segment.ts',
    find: 'tcpResetByPeer(tp, tp.t_state === TCPS_SYN_RECEIVED && !served);',
    replace: 'tcpResetByPeer(tp, tp.t_state === TCPS_SYN_RECEIVED);',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › that the client resets tells the user of a reset, as there was a connection',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: 'if (this.#psk === 0) return equals(this.#cookie, u8, at);',
    replace: 'if (this.#psk === 0) return true;',
    kills: ['unit/stack/tcp/fastopen.test.ts › %s gets a plain handshake and a new one; its data comes again'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (to.tfoLen > 0 && tune.tcp_fastopen_acceptany !== 0)',
    replace: 'if (tune.tcp_fastopen_acceptany !== 0)',
    kills: ['unit/stack/tcp/fastopen.test.ts › is good with net.inet.tcp.fastopen.acceptany 1, unless it is empty'],
  },
  {
    file: 'src/stack/wire/tcp.ts',
    find: ' && olen % 2 === 0',
    replace: '',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › or an option whose length says %i is as a SYN without',
      'unit/stack/tcp/fastopen-client.test.ts › because the cookie is one %s',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'return key === 0 ? TFO_ACCEPT : TFO_ACCEPT_RENEW;',
    replace: 'return TFO_ACCEPT;',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › follow each other every net.inet.tcp.fastopen.autokey seconds: the last one is good, and brings a new cookie',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: 'for (let i = 0; i < this.#keys.num; i++) {',
    replace: 'for (let i = 0; i < this.#keys.num && i < 1; i++) {',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › follow each other every net.inet.tcp.fastopen.autokey seconds: the last one is good, and brings a new cookie',
      'unit/stack/tcp/fastopen.test.ts › can be given (net.inet.tcp.fastopen.setkey): the last two are good',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: 'sipDerive(this.#st.tcp.secret,',
    replace: 'sipDerive(new SipKey(this.#st.random),',
    kills: ['unit/stack/tcp/fastopen.test.ts › are the same on all shards, and others elsewhere'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (l.tfoPending(st.clock.ms) > l.backlog >> 1) {',
    replace: 'if (false) {',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › are at most half a backlog and one: the next gets a plain handshake, without a cookie',
    ],
  },
  {
    file: 'src/stack/socket/listener.ts',
    find: '    if (!reset) return;\n    this.#tfoResets++;',
    replace: '    this.#tfoResets++;',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › are at most half a backlog and one: the next gets a plain handshake, without a cookie',
    ],
  },
  {
    file: 'src/stack/socket/listener.ts',
    find: 'return this.#tfoPending + this.#tfoResets;',
    replace: 'return this.#tfoPending;',
    kills: [
      'unit/stack/tcp/fastopen.test.ts › are at most half a backlog and one: the next gets a plain handshake, without a cookie',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'to.tfoLen = path === null ? 0 : path.cookieLen;',
    replace: 'to.tfoLen = 0;',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › sends it, of %i bytes, and its data with the SYN'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (path === null || path.cookieLen === 0) return false;',
    replace: 'tp.t_tfo = TFO_DATA;\n  if (path === null || path.cookieLen === 0) return true;',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › asks for one with its SYN, which takes no data'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'tp.t_state !== TCPS_SYN_SENT || tp.t_rxtshift > 0) return 0;',
    replace: 'tp.t_state !== TCPS_SYN_SENT) return 0;',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › because the SYN is not answered: it goes again without data and without the option, and the path is not used again for a while',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'return tp.t_maxseg - TCP_MAXOLEN;',
    replace: 'return tp.t_maxseg;',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › sends no more than fits the MSS that the server told, %i, and our own, less options (section 4.1.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'tcpMss(tp, path.mss);',
    replace: 'tcpMss(tp, 9000);',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › sends no more than fits the MSS that the server told, %i, and our own, less options (section 4.1.3)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-syn-sent.ts',
    find: '      so.so_snd.drop(data);\n',
    replace: '',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › sends it, of %i bytes, and its data with the SYN'],
  },
  {
    file: 'src/stack/tcp/tcp-syn-sent.ts',
    find: '    tp.snd_nxt = ack;\n',
    replace: '    tp.snd_nxt = tp.snd_max;\n',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › sends the data again at once that the SYN,ACK does not cover',
      'unit/stack/tcp/fastopen-client.test.ts › takes a new cookie where its own was refused, and goes on',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (tp.t_tfo === TFO_DATA) tfoDisablePath(tp);',
    replace: '',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › because the SYN is not answered: it goes again without data and without the option, and the path is not used again for a while',
      'unit/stack/tcp/fastopen-client.test.ts › by an ICMP error about the SYN',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'tp.t_tfo === TFO_ASK || (sent > 0 && acked === 0)',
    replace: 'tp.t_tfo === TFO_ASK',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › because the server takes no data and has no new cookie'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: '(tp.t_tfo === TFO_ASK || (sent',
    replace: '((sent',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › because a server that was asked has no cookie',
      'unit/stack/tcp/fastopen-client.test.ts › because the cookie is one %s',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (!given && (tp',
    replace: 'if ((tp',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › takes a new cookie where its own was refused, and goes on'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'if (((st.clock.ms - path.disabledMs) | 0) < st.tune.tcp_fastopen_path_disable_time * 1000) return false;',
    replace: 'return false;',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › because the SYN is not answered: it goes again without data and without the option, and the path is not used again for a while',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: '  if (st.tune.tcp_fastopen_client_enable === 0) {\n    cache.clear();',
    replace: '  if (st.tune.tcp_fastopen_client_enable === 0) {',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › does not ask where net.inet.tcp.fastopen.client_enable is 0, and forgets what it had',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-usrreq.ts',
    find: 'if (so.fastOpen && tfoConnect(tp))',
    replace: 'if (tfoConnect(tp))',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › is the only one that does: others have no such option'],
  },
  {
    file: 'src/stack/tcp/tcp-usrreq.ts',
    find: '    if (so.synHeld) st.wheel.cancel(tp.t_keep);\n    else tcp',
    replace: '    tcp',
    kills: [
      'unit/endpoint/fastopen.test.ts › with the cookie connect is 0 and sends nothing, however long it takes; the first write goes with the SYN',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-output.ts',
    find: '      if (so.synHeld && tp.t_state === TCPS_SYN_SENT) return 0;\n',
    replace: '',
    kills: ['unit/stack/tcp/fastopen-client.test.ts › keeps a SYN that is held back until it is told to send it'],
  },
  {
    file: 'src/stack/socket/socket.ts',
    find: 'tfoConnect(tp) ? Math.min(tfoSynRoom(tp) - this.so_snd.sb_cc, this.so_snd.space) : 0;',
    replace: 'Math.min(tfoSynRoom(tp) - this.so_snd.sb_cc, this.so_snd.space);',
    kills: [
      'unit/endpoint/fastopen.test.ts › a cookie that is not to be used any more takes no data along (RFC 7413 section 4.1.3.1)',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-usrreq.ts',
    find: '    else tcp.ackLater(tp);\n    return 0;',
    replace: '    else tcpOutput(tp);\n    return 0;',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › sends it, of %i bytes, and its data with the SYN',
      'unit/stack/tcp/fastopen-client.test.ts › saves a round trip: the reply begins one after the call, and not two',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-cache.ts',
    find: '    p.next = this.#heads[at]!;',
    replace: '    p.next = null;',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › keeps no more paths in a bucket than net.inet.tcp.fastopen.ccache_bucket_limit: the oldest goes',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-cache.ts',
    find: 'for (let n = 0; p !== null && n < most; n++) {',
    replace: 'for (let n = 0; p !== null; n++) {',
    kills: [
      'unit/stack/tcp/fastopen-client.test.ts › keeps no more paths in a bucket than net.inet.tcp.fastopen.ccache_bucket_limit: the oldest goes',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: 'for (let i = 0; i < this.#psks.num; i++) {',
    replace: 'for (let i = 0; i < 1; i++) {',
    kills: ['unit/stack/tcp/fastopen-psk.test.ts › tell how many are good: the newest two'],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: ' || (this.#psk !== 0 && psk === 0)) this.#psks.num = 0;',
    replace: ') this.#psks.num = 0;',
    kills: [
      'unit/stack/tcp/fastopen-psk.test.ts › are 0 for pre-shared keys when psk_enable goes off, and for both when server_enable does',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen-keys.ts',
    find: 'if (equals(this.#answer, u8, at)) return true;',
    replace: 'if (equals(this.#answer, u8, at) || equals(this.#cookie, u8, at)) return true;',
    kills: [
      'unit/stack/tcp/fastopen-psk.test.ts › takes data of those who answer their cookie with a key (setpsk), and not of those who send it back',
    ],
  },
  {
    file: 'src/stack/tcp/tcp-fastopen.ts',
    find: 'tfoPskCookie(psk, path.cookie, path.cookieLen, tfo.cookie);',
    replace: 'tfoPskCookie(psk, path.cookie, TFO_COOKIE, tfo.cookie);',
    kills: ['unit/stack/tcp/fastopen-psk.test.ts › answers one of %i bytes with 8 bytes of SipHash, and data'],
  },
];
