import { describe, expect, test } from 'vitest';
import type { CcModule, CongestionControl } from '../../../../src/stack/tcp/cc/cc.ts';
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR } from '../../../../src/stack/tcp/cc/cc.ts';
import { checkModule } from '../../../../src/stack/tcp/cc/kit.ts';
import { NewReno, newRenoModule } from '../../../../src/stack/tcp/cc/newreno.ts';
import { ccFind, ccNames } from '../../../../src/stack/tcp/cc/registry.ts';

describe('the modules that xsiftr ships', () => {
  test.each(ccNames().filter((n) => n !== 'bbr1'))('%s conforms, with nothing to be warned of', (name) => {
    expect(checkModule(ccFind(name))).toEqual({ module: name, ok: true, findings: [] });
  });

  test('bbr1 conforms, with a warning that it knows no marks', () => {
    const { ok, findings } = checkModule(ccFind('bbr1'));
    expect(ok).toBe(true);
    expect(new Set(findings.map((f) => f.check))).toEqual(new Set(['no-ecn-reaction']));
  });

  test('newreno with HyStart++ and ABE conforms', () => {
    expect(checkModule(newRenoModule('mine', { hystart: true, abe: true })).findings).toEqual([]);
  });
});

/** NewReno with some of its parts replaced. */
function broken(parts: (cc: CongestionControl) => Partial<CongestionControl>, more: Partial<CcModule> = {}): CcModule {
  return {
    name: 'broken',
    create: () => {
      const cc = new NewReno();
      const base: CongestionControl = {
        init: (c) => cc.init(c),
        ackReceived: (c, a) => cc.ackReceived(c, a),
        congestionSignal: (c, t) => cc.congestionSignal(c, t),
        postRecovery: (c) => cc.postRecovery(c),
        afterIdle: (c, us) => cc.afterIdle(c, us),
      };
      return { ...base, ...parts(cc) };
    },
    ...more,
  };
}

/** Errors and warnings that the kit finds, by check. */
const checks = (m: CcModule) => [...new Set(checkModule(m).findings.map((f) => `${f.level} ${f.check}`))];

describe('a broken module is caught', () => {
  test('the base of these is sound', () => {
    expect(checks(broken(() => ({})))).toEqual([]);
  });

  test('one that is no module', () => {
    expect(checks({ name: 'X' } as unknown as CcModule)).toEqual(['error shape']);
  });

  test('one that throws', () => {
    const m = broken((cc) => ({
      ackReceived: (c, a) => {
        if (a.rtt < 0) throw new Error('no sample');
        cc.ackReceived(c, a);
      },
    }));
    const { findings, ok } = checkModule(m);
    expect(ok).toBe(false);
    expect(findings[0]).toMatchObject({ check: 'throws', level: 'error' });
    expect(findings[0]!.text).toMatch(
      /^ackReceived\(\) throws: no sample \(seed \d+: checkModule\(module, \{ seeds: \[\d+\] \}\)\)$/,
    );
  });

  test('one that computes a window of NaN', () => {
    expect(
      checks(broken(() => ({ ackReceived: (c, a) => void (c.snd_cwnd += a.acked / (a.rtt < 0 ? Number.NaN : 1)) }))),
    ).toContain('error nan');
  });

  test('one whose window is negative', () => {
    expect(
      checks(
        broken((cc) => ({ afterIdle: (c) => void (c.snd_cwnd = -1), ackReceived: (c, a) => cc.ackReceived(c, a) })),
      ),
    ).toContain('error absurd');
  });

  test('one whose pacing rate divides by zero', () => {
    expect(checks(broken(() => ({ pacingRate: (c) => c.snd_cwnd / (c.pipe > 0 ? 1 : 0) })))).toContain('error absurd');
  });

  test('one that writes more fields than it declares', () => {
    const m = broken(() => ({ readFields: (out, at) => out.fill(1, at) }), {
      fields: [{ name: 'a', unit: '', help: '' }],
    });
    expect(checks(m)).toContain('error fields');
  });

  test.each([
    ['CC_NDUPACK', CC_NDUPACK],
    ['CC_RTO', CC_RTO],
  ])('one that ignores %s', (_name, ignored) => {
    const m = broken((cc) => ({
      congestionSignal: (c, t) => {
        if (t !== ignored) cc.congestionSignal(c, t);
      },
    }));
    expect(checks(m)).toContain('error no-reduction');
  });

  test('one that ignores marks', () => {
    const m = broken((cc) => ({
      congestionSignal: (c, t) => {
        if (t !== CC_ECN) cc.congestionSignal(c, t);
      },
    }));
    expect(checks(m)).toEqual(['error no-ecn-reaction']);
  });

  test('one that grows a window that is not the limit', () => {
    expect(checks(broken(() => ({ ackReceived: (c, a) => void (c.snd_cwnd += a.acked) })))).toContain(
      'error grows-unlimited',
    );
  });

  test('one that never grows', () => {
    expect(checks(broken(() => ({ ackReceived: () => {} })))).toContain('error no-growth');
  });

  test('one that does not take a reduction back is warned of, and passes', () => {
    const m = broken((cc) => ({
      congestionSignal: (c, t) => {
        cc.congestionSignal(c, t);
        if (t === CC_RTO_ERR) c.snd_cwnd = c.snd_ssthresh = 2 * c.maxseg;
      },
    }));
    expect(checks(m)).toEqual(['warning no-undo']);
    expect(checkModule(m).ok).toBe(true);
  });

  test('one that draws its own randomness', () => {
    const m = broken((cc) => ({
      ackReceived: (c, a) => {
        cc.ackReceived(c, a);
        if (a.cwndLimited) c.snd_cwnd += Math.floor(Math.random() * 100);
      },
    }));
    expect(checks(m)).toContain('error not-deterministic');
  });

  test('one whose connections share a number', () => {
    let shared = 0;
    const m = broken((cc) => ({
      ackReceived: (c, a) => {
        cc.ackReceived(c, a);
        if (a.cwndLimited) c.snd_cwnd += ++shared % 3;
      },
    }));
    expect(checks(m)).toContain('error not-deterministic');
  });
});
