import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRunOptions, readConfig } from '../../../src/daemon/options.ts';
import { userRunDir } from '../../../src/daemon/paths.ts';
import { makePlan, planLines } from '../../../src/daemon/plan.ts';

/** `--iface unix:PATH…` (docs/unix-link.md). */

const run = (iface: string | string[], more: Record<string, unknown> = {}) => parseRunOptions({ iface, ...more });

/** The one-line refusal of these options. */
function refusal(iface: string | string[], more: Record<string, unknown> = {}): string {
  try {
    run(iface, more);
  } catch (err) {
    expect((err as { exitCode?: number }).exitCode).toBe(2);
    expect((err as Error).message).not.toContain('\n');
    return (err as Error).message;
  }
  throw new Error('was accepted');
}

describe('links of a run', () => {
  it('have the defaults of docs/unix-link.md', () => {
    expect(run('unix:/tmp/l,addr=192.0.2.1/24')).toMatchObject({
      iface: 'unix0',
      siftr: false,
      links: [
        {
          name: 'unix0',
          path: '/tmp/l',
          mode: 'ether',
          role: 'server',
          addrs: [{ addr: 0xc0000201 | 0, prefixLen: 24 }],
          gateway: 0,
          mac: '02:00:c0:00:02:01',
          mtu: 1500,
        },
      ],
    });
  });

  it('take every setting, in any order, and several addresses', () => {
    const text =
      'unix:/tmp/l,mtu=576,gw=198.51.100.9,addr=192.0.2.1/24,addr=198.51.100.1/24,mac=AE:00:00:00:00:09,role=client,name=guest.1';
    expect(run(text).links).toEqual([
      {
        name: 'guest.1',
        path: '/tmp/l',
        mode: 'ether',
        role: 'client',
        addrs: [
          { addr: 0xc0000201 | 0, prefixLen: 24 },
          { addr: 0xc6336401 | 0, prefixLen: 24 },
        ],
        gateway: 0xc6336409 | 0,
        mac: 'ae:00:00:00:00:09',
        mtu: 576,
      },
    ]);
  });

  it('are as many as wanted, named in order; SIFTR is on once it is asked for', () => {
    const both = ['unix:/tmp/a,addr=192.0.2.1/24', 'unix:/tmp/b,addr=198.51.100.1/24,mode=ip'];
    expect(run(both, { siftrLog: '/tmp/log' })).toMatchObject({
      siftr: true,
      links: [{ name: 'unix0' }, { name: 'unix1' }],
    });
    expect(run(both, { siftrLog: '/tmp/log', siftr: false }).siftr).toBe(false);
  });

  it.each([
    ['unix:', /allowed is unix:PATH, as unix:\/tmp\/link\.sock/],
    ['unix:,addr=192.0.2.1/24', /PATH is missing/],
    [`unix:/${'x'.repeat(97)},addr=192.0.2.1/24`, /the path of a Unix link has at most 97 bytes/],
    ['unix:/l', /^--iface unix:\/l: it has no address; give it one, as unix:\/l,addr=192\.0\.2\.1\/24$/],
    [
      'unix:/l,adr=1',
      /adr=1 is no setting of a Unix link \(addr=\?\); allowed are mode=, role=, addr=, mac=, mtu=, gw=, name=$/,
    ],
    ['unix:/l,ip', /ip is no setting of a Unix link/],
    ['unix:/l,role=server,role=client', /role= stands there twice; allowed is once/],
    ['unix:/l,addr=192.0.2.1', /the prefix length is missing/],
    ['unix:/l,addr=192.0.2.1/24,mode=tap', /mode=tap: allowed is mode=ether/],
    [
      'unix:/l,addr=192.0.2.1/24,role=peer',
      /role=peer: allowed is role=server \(we listen\) or role=client \(we connect\)$/,
    ],
    ['unix:/l,addr=192.0.2.1/24,mtu=575', /mtu=575: allowed is mtu=N with a whole number from 576 to 3822$/],
    ['unix:/l,addr=192.0.2.1/24,mtu=3823', /mtu=3823/],
    ['unix:/l,addr=192.0.2.1/24,mac=01:00:00:00:00:01', /allowed is mac=XX:XX:XX:XX:XX:XX, an address of one station/],
    ['unix:/l,addr=192.0.2.1/24,mac=2:0:0:0:0:1', /allowed is mac=/],
    ['unix:/l,addr=192.0.2.1/24,mode=ip,mac=02:00:00:00:00:01', /mac= has no meaning with mode=ip/],
    [
      'unix:/l,addr=192.0.2.1/24,gw=198.51.100.1',
      /gw=198\.51\.100\.1: allowed is gw=A\.B\.C\.D, an address on a network of addr=$/,
    ],
    ['unix:/l,addr=192.0.2.1/24,gw=here', /gw=here: allowed is gw=/],
    ['unix:/l,addr=192.0.2.1/24,name=a:b', /name=a:b: allowed is name=NAME with 1 to 15 letters/],
  ])('%s is refused', (text, message) => {
    expect(refusal(text)).toMatch(message);
  });

  it('do not mix with a network interface, nor with another name or place of their own', () => {
    const link = 'unix:/l,addr=192.0.2.1/24';
    expect(refusal(['ix1', link])).toMatch(
      /a network interface and Unix links do not mix in one process; start one for each$/,
    );
    expect(refusal(['ix1', 'ix2'])).toMatch(
      /allowed is one network interface, or any number of Unix links \(unix:PATH\)$/,
    );
    expect(refusal([link, `${link},role=client,name=unix0`])).toMatch(/two links are called unix0/);
    expect(refusal([link, link])).toMatch(/two links listen at \/l; give each a path of its own/);
    expect(run([link, `${link},role=client`]).links).toHaveLength(2);
  });

  it.each([
    ['queues', 1],
    ['netns', 'lab'],
    ['xdp', 'native'],
    ['mtu', 1500],
    ['addr', ['192.0.2.1/24']],
    ['gateway', '192.0.2.254'],
    ['force', true],
  ])('refuse --%s, which is for a network interface', (key, value) => {
    expect(refusal('unix:/l,addr=192.0.2.1/24', { [key]: value })).toMatch(
      new RegExp(`^--${key}: is for a network interface; what a Unix link has stands behind its path`),
    );
  });

  it('are planned without looking at the machine', () => {
    const options = run(
      ['unix:/tmp/a,addr=192.0.2.1/24,gw=192.0.2.9', 'unix:/tmp/b,role=client,addr=198.51.100.1/24,mode=ip'],
      {
        control: '/tmp/c',
      },
    );
    const plan = makePlan(options, { urls: [], first: null });
    expect(plan).toMatchObject({
      kind: 'unix',
      name: 'unix0',
      queues: 1,
      routes: [{ ifIndex: 0, dst: 0, prefixLen: 0, gateway: 0xc0000209 | 0, src: 0 }],
    });
    expect(planLines(plan, '').slice(0, 4)).toEqual([
      'unix0: would listen at /tmp/a, with station address 02:00:c0:00:02:01, MTU 1500, addresses 192.0.2.1/24',
      'unix1: would connect to /tmp/b, for bare IP packets, MTU 1500, addresses 198.51.100.1/24',
      'would route default by 192.0.2.9 (inside our stack only)',
      'would listen on /tmp/c',
    ]);
  });
});

it('the control socket of an ordinary user lies where that user may write', () => {
  expect(userRunDir(1000, { XDG_RUNTIME_DIR: '/run/user/1000' })).toBe('/run/user/1000/xsiftr');
  expect(userRunDir(1000, {})).toBe('/tmp/xsiftr-1000');
  expect(userRunDir(0, { XDG_RUNTIME_DIR: '/run/user/0' })).toBe('/run/xsiftr');
});

it('a file of options has a list of links as --iface', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-conf-'));
  const file = `${dir}/links.yaml`;
  writeFileSync(file, 'iface:\n  - unix:/tmp/a,addr=192.0.2.1/24\n  - unix:/tmp/b,addr=198.51.100.1/24\n');
  const values = await readConfig(file);
  rmSync(dir, { recursive: true });
  expect(parseRunOptions({}, { name: file, values }).links.map((l) => l.path)).toEqual(['/tmp/a', '/tmp/b']);
});
