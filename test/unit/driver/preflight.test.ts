import { describe, expect, it } from 'vitest';
import { type Finding, parseSs, refused } from '../../../src/driver/preflight.ts';

describe('the socket list of ss', () => {
  // Lines as ss of iproute2 6.1 prints them with -H -t -u -a -n -p.
  const text = [
    'udp   UNCONN 0      0      127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=501,fd=13))',
    'tcp   LISTEN 0      128          0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=712,fd=3))',
    'tcp   LISTEN 0      511                *:2024             *:*    users:(("node",pid=99,fd=18),("node",pid=100,fd=18))',
    'tcp   LISTEN 0      128             [::]:25            [::]:*',
    'tcp   ESTAB  0      0          192.0.2.1:22     192.0.2.77:50122 users:(("sshd",pid=900,fd=4))',
    'tcp   ESTAB  0      0      [::ffff:192.0.2.1]:80 [::ffff:192.0.2.9]:4001',
    'tcp   ESTAB  0      0      [fe80::1%ix1]:22 [fe80::2]:4001',
    'nonsense',
    '',
  ].join('\n');

  it('gives state, both ends and the process, sorted by port, with wildcards, zones and mapped addresses in one form', () => {
    expect(parseSs(text).map((s) => [s.proto, s.state, s.local, s.port, s.peer, s.peerPort, s.process])).toEqual([
      ['tcp', 'LISTEN', '*', 22, '*', 0, 'sshd (pid 712)'],
      ['tcp', 'ESTAB', 'fe80::1', 22, 'fe80::2', 4001, ''],
      ['tcp', 'ESTAB', '192.0.2.1', 22, '192.0.2.77', 50122, 'sshd (pid 900)'],
      ['tcp', 'LISTEN', '::', 25, '::', 0, ''],
      ['udp', 'UNCONN', '127.0.0.53', 53, '*', 0, 'systemd-resolve (pid 501)'],
      ['tcp', 'ESTAB', '192.0.2.1', 80, '192.0.2.9', 4001, ''],
      ['tcp', 'LISTEN', '*', 2024, '*', 0, 'node (pid 99)'],
    ]);
  });
});

describe('--force', () => {
  const findings: Finding[] = [
    { reason: 'default-route', text: 'a' },
    { reason: 'listeners', text: 'b' },
    { reason: 'ssh', text: 'c' },
  ];
  const left = (force: string[], duration: number | null): string[] =>
    refused(findings, new Set(force), duration).map((f) => f.reason);

  it('overrides the reasons that it names and no other', () => {
    expect(left([], null)).toEqual(['default-route', 'listeners', 'ssh']);
    expect(left(['listeners'], null)).toEqual(['default-route', 'ssh']);
    expect(left(['default-route', 'listeners', 'connections'], 60_000)).toEqual(['ssh']);
  });

  it('overrides ssh only together with a duration, after which the address comes back', () => {
    expect(left(['default-route', 'listeners', 'ssh'], null)).toEqual(['ssh']);
    expect(left(['default-route', 'listeners', 'ssh'], 60_000)).toEqual([]);
  });
});
