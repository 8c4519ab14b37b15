import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SYSCTLS } from '../../../src/stack/sysctl.ts';
import { namesTest } from '../../../tools/compliance.ts';
import { calls, timeouts } from '../../events/calls.ts';
import { closed, listening, synReceived, synSent } from '../../events/opening.ts';
import { rst, sequence, syn } from '../../events/synchronised.ts';
import { ack, fin, text, urgent } from '../../events/text.ts';

const root = join(import.meta.dirname, '../../..');
const rows = readFileSync(join(root, 'docs/wire-behaviour.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| Choice |') && !line.startsWith('| --- |'))
  .map((line) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim()),
  );

describe('docs/wire-behaviour.md', () => {
  test('each line has a choice, what is allowed, what is done, and a test that is there', () => {
    expect(rows.length).toBeGreaterThan(30);
    const wrong = rows.flatMap((cells) => {
      const [choice = '', allowed = '', done = '', , tests = ''] = cells;
      if (cells.length !== 5 || choice === '' || allowed === '' || done === '' || tests === '') return [choice];
      return tests.split('<br>').filter((t) => {
        const [file = '', name = ''] = t.split(' › ');
        const path = join(root, 'test', file);
        return !existsSync(path) || !namesTest(readFileSync(path, 'utf8'), name);
      });
    });
    expect(wrong).toEqual([]);
  });

  test('each knob that it names is a sysctl', () => {
    const known = new Set<string>(SYSCTLS.map((s) => s.name));
    const wrong = rows.flatMap((cells) =>
      [...cells[3]!.matchAll(/`([^`]+)`/g)]
        .map((m) => m[1]!)
        .filter((name) => !known.has(name) && !known.has(`net.inet.tcp.${name}`)),
    );
    expect(wrong).toEqual([]);
  });

  test('each choice that the event table names is explained', () => {
    const explained = new Set(rows.map((cells) => cells[0]));
    const table = [
      calls,
      timeouts,
      closed,
      listening,
      synReceived,
      synSent,
      rst,
      sequence,
      syn,
      ack,
      fin,
      text,
      urgent,
    ].flat();
    const named = table.flatMap((row) => (row.choice === undefined ? [] : [row.choice]));
    expect(named.filter((choice) => !explained.has(choice))).toEqual([]);
  });
});
