import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, startXsiftr, type Xsiftr } from '../lab/netns.ts';

const missing = labMissing('curl', 'bash');

/** SHA-256 of a body of /bytes/N: byte p is p modulo 251. */
function sha(n: number): string {
  return createHash('sha256')
    .update(Buffer.from({ length: n }).map((_, i) => i % 251))
    .digest('hex');
}

describe.skipIf(missing).each([1, 2])('the built-in services on %i queues', (queues) => {
  let lab: Lab;
  let xsiftr: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('vserv', { queues });
    xsiftr = await startXsiftr(lab, ['--serve', 'http,echo,discard,chargen,daytime']);
  });

  afterAll(async () => {
    await xsiftr?.stop();
    await lab?.remove();
  });

  async function far(script: string): Promise<string> {
    return (await lab.far(['bash', '-c', script])).stdout;
  }

  describe('http with curl', () => {
    test('GET / is a page about this interface', async () => {
      const out = await far("curl -sS -m 10 -w '%{http_code} %{content_type}' http://192.0.2.1/");
      expect(out).toContain('<title>xsiftr on ix1</title>');
      expect(out).toMatch(/200 text\/html; charset=utf-8$/);
    });

    test.each([0, 1, 1460, 65_536, 5_000_000])('GET /bytes/%i has exactly these bytes', async (n) => {
      const out = await far(
        `set -o pipefail; curl -sS -m 20 -o ${lab.dir}/body -w '%{http_code} %{size_download}' http://192.0.2.1/bytes/${n}; echo; sha256sum < ${lab.dir}/body`,
      );
      expect(out).toBe(`200 ${n}\n${sha(n)}  -`);
    });

    test('HEAD /bytes/2^40 tells the length', async () => {
      const out = await far('curl -sS -m 10 -I http://192.0.2.1/bytes/1099511627776');
      expect(out).toMatch(/^HTTP\/1\.1 200 OK/);
      expect(out).toMatch(/Content-Length: 1099511627776/);
    });

    test('a bad N is 400 in one line, an unknown path 404', async () => {
      expect(await far("curl -sS -m 10 -w '%{http_code}' http://192.0.2.1/bytes/12x")).toBe(
        '400 /bytes/12x: N must be a decimal number of bytes, 0 to 1099511627776\n400',
      );
      expect(await far("curl -sS -m 10 -o /dev/null -w '%{http_code}' http://192.0.2.1/bytes")).toBe('404');
    });

    test('several requests use one connection', async () => {
      const out = await far("curl -sS -m 10 -w '%{num_connects} ' -o /dev/null 'http://192.0.2.1/bytes/[1-5]'");
      expect(out.match(/\d/g)).toEqual(['1', '0', '0', '0', '0']);
    });

    test('twenty downloads at once all arrive whole', async () => {
      const out = await far(
        "seq 20 | xargs -P 20 -I{} curl -sS -m 30 -o /dev/null -w '%{size_download}\\n' http://192.0.2.1/bytes/1000000",
      );
      expect(out.trim().split('\n')).toEqual(Array.from({ length: 20 }, () => '1000000'));
    });

    test('a reader slower than the sender gets it all', async () => {
      const out = await far('curl -sS -m 30 --limit-rate 2M http://192.0.2.1/bytes/3000000 | sha256sum');
      expect(out).toBe(`${sha(3_000_000)}  -`);
    });
  });

  test('echo sends back 2 MB and its end (RFC 862)', async () => {
    const out = await far(`
      head -c 2000000 /dev/urandom > ${lab.dir}/sent
      exec 3<>/dev/tcp/192.0.2.1/7
      head -c 2000000 <&3 > ${lab.dir}/back &
      cat ${lab.dir}/sent >&3
      wait
      cmp ${lab.dir}/sent ${lab.dir}/back && echo same`);
    expect(out).toBe('same');
  });

  test('chargen sends its pattern (RFC 864)', async () => {
    const out = await far('exec 3</dev/tcp/192.0.2.1/19; head -n 2 <&3');
    expect(out.replaceAll('\r', '').split('\n')).toEqual([
      ' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg',
      '!"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh',
    ]);
  });

  test('daytime sends one line and closes (RFC 867)', async () => {
    const out = await far('timeout 5 cat </dev/tcp/192.0.2.1/13');
    expect(out).toMatch(/^[A-Z][a-z]+day, [A-Z][a-z]+ \d{1,2}, \d{4} \d\d:\d\d:\d\d-UTC$/);
  });

  test('discard takes 20 MB and closes after the user (RFC 863)', async () => {
    const out = await far('exec 3<>/dev/tcp/192.0.2.1/9; head -c 20000000 /dev/zero >&3 && echo taken');
    expect(out).toBe('taken');
  });
});
