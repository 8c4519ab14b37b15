import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { disableLine, enableLine } from '../../../src/siftr/format.ts';
import { FixedReader, havePandas, type Read, readTable } from '../../lab/siftr-readers.ts';
import { MAN_DATA_LINE } from './records.ts';

const ENABLE = enableLine(1685191807160752, { sysname: 'FreeBSD', sysver: '1400089', ipmode: 4 });
const COUNTS = {
  numIn: 10,
  numOut: 10,
  skippedMallocIn: 0,
  skippedMallocOut: 0,
  skippedTcpcbIn: 2,
  skippedTcpcbOut: 2,
  skippedInpcbIn: 0,
  skippedInpcbOut: 0,
};
const ONE = '10.1.1.2;32291-10.1.1.3;5001,';
const disable = (flows: string): string => disableLine(1685191816029397, COUNTS, flows);
const IN = MAN_DATA_LINE.replace(/^o/, 'i');
/** A data line of another flow. */
const other = (id: number): string => MAN_DATA_LINE.replace(',32291,', ',58544,').replace(',86707916,', `,${id},`);

const noPrograms = !havePandas() || spawnSync('cc', ['--version']).status !== 0;

/** What the readers of spec/siftr.md section 12 were seen to do with logs; ours stand for them, and have to do the same. */
describe.skipIf(noPrograms)('the readers that logs of ours are tried on (needs pandas and cc)', () => {
  let dir: string;
  let fixed: FixedReader;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'xsiftr-readers-'));
    fixed = new FixedReader();
  });
  afterAll(() => {
    fixed?.remove();
    rmSync(dir, { recursive: true });
  });

  function file(text: string): string {
    const path = join(dir, 'siftr.log');
    writeFileSync(path, text);
    return path;
  }
  const c = (text: string): Read<unknown> => fixed.read(file(text));
  const table = (text: string): Read<unknown> => readTable(file(text));

  test("take siftr(4)'s example lines with two flows: records a flow, times, counts", () => {
    const text = ENABLE + MAN_DATA_LINE + IN + other(7) + disable(`${ONE}10.1.1.2;58544-10.1.1.3;5001,`);
    expect(c(text)).toMatchObject({
      status: 0,
      err: '',
      out: {
        siftrver: '1.3.0',
        // A leading zero of the fraction is no octal number.
        us: 1685191816029397 - 1685191807160752,
        total_tcp_pkts: 20,
        num_inbound_skipped_pkts_tcpcb: 2,
        flows: [
          { flowid: 86707916, flow: '10.1.1.2,32291,10.1.1.3,5001', records: 2 },
          { flowid: 7, flow: '10.1.1.2,58544,10.1.1.3,5001', records: 1 },
        ],
      },
    });
    expect(table(text)).toMatchObject({
      status: 0,
      err: '',
      out: { rows: 3, out: 2, flows: { '10.1.1.2,32291,10.1.1.3,5001': { rows: 1, cwnd: 14480, srtt_ms: 1 } } },
    });
  });

  test('take ipmode 6 with compressed addresses, and one key more at the end of the enable line', () => {
    const six = MAN_DATA_LINE.replace('10.1.1.2', '2001:db8::2').replace('10.1.1.3', '2001:db8::3');
    const head = ENABLE.replace('ipmode=4\n', 'ipmode=6\txsiftr=hook:tcp,inflight:pipe\n');
    const text = head + six + disable('2001:db8::2;32291-2001:db8::3;5001,');
    expect(c(text)).toMatchObject({ status: 0, out: { flows: [{ flow: '2001:db8::2,32291,2001:db8::3,5001' }] } });
    expect(table(text).status).toBe(0);
  });

  const cases: [what: string, who: 'fixed' | 'table' | 'both', text: string][] = [
    ['a 28th data field', 'both', ENABLE + MAN_DATA_LINE.replace('\n', ',1\n') + disable(ONE)],
    ['a 14th key in the disable line', 'fixed', ENABLE + MAN_DATA_LINE + disable(ONE).replace('\n', '\tmore=1\n')],
    ['two more keys in the enable line', 'fixed', ENABLE.replace('\n', '\ta=1\tb=2\n') + MAN_DATA_LINE + disable(ONE)],
    ['a sysname of 8 characters', 'fixed', ENABLE.replace('FreeBSD', 'xsiftr-1') + MAN_DATA_LINE + disable(ONE)],
    ['an empty flow list', 'fixed', ENABLE + MAN_DATA_LINE + disable('')],
    ['no disable line', 'fixed', ENABLE + MAN_DATA_LINE + IN],
    ['two cycles in a file', 'fixed', (ENABLE + MAN_DATA_LINE + disable(ONE)).repeat(2)],
    ['more flows than flow_list has', 'fixed', ENABLE + MAN_DATA_LINE + other(7) + disable(ONE)],
    ['a disable line of more than 998 characters', 'fixed', ENABLE + MAN_DATA_LINE + disable(ONE.repeat(30))],
    ['an empty data field', 'fixed', ENABLE + MAN_DATA_LINE.replace(',2,', ',,') + disable(ONE)],
    ['a window beyond 31 bits', 'table', ENABLE + MAN_DATA_LINE.replace(',14480,', ',2147483648,') + disable(ONE)],
    ['no outbound line', 'table', ENABLE + IN + disable(ONE)],
  ];
  test.each(cases)(
    'refuse %s (%s) where theirs break, so that their acceptance means something',
    (_what, who, text) => {
      if (who !== 'table') expect(c(text).status).toBe(1);
      if (who !== 'fixed') expect(table(text).status).toBe(1);
    },
  );
});
