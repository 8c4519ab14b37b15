import type { StreamHandler, StreamListener, StreamSocket } from '../../net/transport.ts';
import { Connections } from './connections.ts';
import type { RunningService, Service, ServiceHost } from './host.ts';
import { DataStream } from './iperf3-stream.ts';
import { Iperf3Test, type Message, streamName, type TestHome } from './iperf3-test.ts';
import { COOKIE_SIZE } from './iperf3-wire.ts';

const TOPIC = 'iperf3';
/** Milliseconds that a connection has for its cookie. */
const COOKIE_MS = 10_000;

/** A fresh connection: reads its cookie, which says what the connection is. */
class Opening implements StreamHandler {
  readonly #cookie = new Uint8Array(COOKIE_SIZE);
  readonly #known: (so: StreamSocket, cookie: string) => StreamHandler;
  readonly #gone: (so: StreamSocket) => void;
  readonly #timer: NodeJS.Timeout;
  #have = 0;

  constructor(
    so: StreamSocket,
    enter: () => void,
    known: (so: StreamSocket, cookie: string) => StreamHandler,
    gone: (so: StreamSocket) => void,
  ) {
    this.#known = known;
    this.#gone = gone;
    this.#timer = setTimeout(() => {
      enter();
      so.abort();
    }, COOKIE_MS);
  }

  connected(): void {}

  data(so: StreamSocket, u8: Uint8Array, off: number, len: number): number {
    const take = Math.min(len, COOKIE_SIZE - this.#have);
    for (let i = 0; i < take; i++) this.#cookie[this.#have + i] = u8[off + i]!;
    this.#have += take;
    if (this.#have < COOKIE_SIZE) return take;
    clearTimeout(this.#timer);
    const next = this.#known(so, Buffer.from(this.#cookie).toString('latin1'));
    return take === len ? len : take + next.data(so, u8, off + take, len - take);
  }

  writable(): void {}

  end(so: StreamSocket): void {
    so.close();
  }

  closed(so: StreamSocket): void {
    clearTimeout(this.#timer);
    this.#gone(so);
  }
}

/** The iperf3 server's part on one shard: its connections, and a word in who may test. */
class Iperf3Shard implements TestHome, RunningService {
  readonly shard: number;
  readonly nshards: number;
  readonly #host: ServiceHost;
  readonly #listener: StreamListener;
  readonly #unsubscribe: () => void;
  readonly #open = new Connections();
  /** Cookies of the tests that run or want to, and the shard of each one's control connection. */
  readonly #tests = new Map<string, number>();
  /** Data streams here, by cookie. */
  readonly #streams = new Map<string, DataStream[]>();
  /** The test whose control connection is here. */
  #test: Iperf3Test | null = null;
  #nextStream = 0;

  constructor(host: ServiceHost) {
    this.#host = host;
    this.shard = host.shard;
    this.nshards = host.nshards;
    this.#listener = host.transport.listen({ addr: 0, port: iperf3.port, fastOpen: true }, (so) => this.#accept(so));
    this.#unsubscribe = host.bus.subscribe(TOPIC, (msg) => {
      host.transport.enter();
      this.#receive(msg as Message);
    });
  }

  #accept(so: StreamSocket): StreamHandler {
    this.#open.add(so);
    return new Opening(
      so,
      () => this.enter(),
      (s, cookie) => this.#route(s, cookie),
      (s) => this.#open.delete(s),
    );
  }

  /** Gives a connection whose cookie is known to its test, or makes it the control connection of a new one. */
  #route(so: StreamSocket, cookie: string): StreamHandler {
    const owner = this.#tests.get(cookie);
    if (owner !== undefined) {
      const stream = new DataStream(so, this.#nextStream++, this.#host.transport, () => this.#open.delete(so));
      const list = this.#streams.get(cookie);
      if (list === undefined) this.#streams.set(cookie, [stream]);
      else list.push(stream);
      so.handler = stream;
      // the moment of the SYN, not of the cookie: cookies that come to two shards at nearly the same time overtake each other
      const at = so.startUs ?? Number(process.hrtime.bigint() / 1000n) | 0;
      this.send({ t: 'stream', cookie, to: owner, from: this.shard, n: stream.n, at });
      return stream;
    }
    const test = new Iperf3Test(this, so, cookie);
    so.handler = this.#watched(test, so);
    if (this.#test !== null) {
      test.deny();
      return so.handler;
    }
    this.#test = test;
    this.#tests.set(cookie, this.shard);
    test.begin();
    return so.handler;
  }

  /** The handler of a control connection: the test's, which also leaves the list of open connections at its end. */
  #watched(test: Iperf3Test, so: StreamSocket): StreamHandler {
    return {
      connected() {},
      data: (s, u8, off, len) => test.data(s, u8, off, len),
      writable() {},
      end: (s) => test.end(s),
      closed: () => {
        this.#open.delete(so);
        test.closed();
      },
    };
  }

  send(msg: Message): void {
    if ('to' in msg && msg.to === this.shard) {
      this.#receive(msg);
      return;
    }
    this.#host.bus.publish(TOPIC, msg);
    if (!('to' in msg) && msg.t !== 'claim') this.#receive(msg);
  }

  #receive(msg: Message): void {
    if ('to' in msg && msg.to !== this.shard) return;
    const test = this.#test?.cookie === msg.cookie ? this.#test : null;
    switch (msg.t) {
      case 'claim':
        this.#claimed(msg.cookie, msg.from);
        break;
      case 'answer':
        test?.answer(msg.ok);
        break;
      case 'stream':
        test?.stream(msg.from, msg.n, msg.at);
        break;
      case 'counts':
        test?.counts(msg.from, msg.streams);
        break;
      case 'release':
        this.#release(msg.cookie, msg.abort);
        break;
      default:
        this.#order(msg, this.#streams.get(msg.cookie) ?? []);
    }
  }

  /** What the coordinator wants of the streams here. */
  #order(msg: Message, streams: readonly DataStream[]): void {
    const now = performance.now();
    if (msg.t === 'start') {
      const { senders } = msg;
      for (const s of streams) s.start(senders.includes(streamName(this.shard, s.n)), msg, now);
    } else if (msg.t === 'omit') {
      for (const s of streams) s.resetCounts(now);
    } else if (msg.t === 'stop') {
      for (const s of streams) s.stop(now);
    } else if (msg.t === 'count' && streams.length > 0) {
      const counts = streams.map((s) => ({
        n: s.n,
        bytes: s.bytes,
        retransmits: s.retransmits(),
        seconds: s.seconds,
      }));
      this.send({ t: 'counts', cookie: msg.cookie, to: msg.from, from: this.shard, streams: counts });
    }
  }

  /**
   * Another shard has a new control connection. Only a shard that has one itself may object: of two that ask at the same time the
   * lower shard's test goes ahead, a test that has been let in stays.
   */
  #claimed(cookie: string, from: number): void {
    this.#tests.set(cookie, from);
    const mine = this.#test;
    let ok = mine === null;
    if (mine !== null && mine.phase === 'claim' && from < this.shard) {
      mine.deny();
      ok = true;
    }
    this.send({ t: 'answer', cookie, to: from, from: this.shard, ok });
  }

  #release(cookie: string, abort: boolean): void {
    this.#tests.delete(cookie);
    for (const s of this.#streams.get(cookie) ?? []) {
      if (abort) s.abort();
      else s.close();
    }
    this.#streams.delete(cookie);
  }

  enter(): void {
    this.#host.transport.enter();
  }

  log(text: string): void {
    this.#host.log(text);
  }

  free(test: Iperf3Test): void {
    if (this.#test === test) this.#test = null;
  }

  stop(): void {
    this.enter();
    this.#listener.close();
    const test = this.#test;
    if (test !== null) {
      // a reset would overtake what the client is told
      this.#open.delete(test.control);
      test.terminate();
    }
    this.#unsubscribe();
    this.#open.abortAll();
  }
}

/**
 * An iperf3 server for TCP (facts from esnet/iperf 3.12): -t, -n, -k, -P, -R, --bidir, -O, -b, -N, -J. One test at a time in the
 * process; a second client hears that the server is busy. The control connection and the streams of a test may each come to
 * another shard.
 */
export const iperf3: Service = {
  name: 'iperf3',
  port: 5201,
  start: (host) => new Iperf3Shard(host),
};
