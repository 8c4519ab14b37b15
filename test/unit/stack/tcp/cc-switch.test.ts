import { expect, it } from 'vitest';
import { Sender } from '../../../lab/sender.ts';

it('a connection changes over to another module with the window that it has', () => {
  const s = new Sender({ tune: { tcp_tlp: 0 } });
  s.write(60);
  s.wait(50).ack(4).wait(50).ack(10);
  const { snd_cwnd } = s.tp;
  expect(s.so.congestion).toBe('newreno');
  expect(s.so.setCongestion('cubic')).toBe(true);
  expect(s.so.congestion).toBe('cubic');
  expect(s.tp.snd_cwnd).toBe(snd_cwnd);
});

it('a name that is not loaded changes nothing', () => {
  const s = new Sender();
  expect(s.so.setCongestion('vegas')).toBe(false);
  expect(s.so.congestion).toBe('newreno');
});
