import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

/**
 * The page of `xsiftr log plot`, as a browser shows it from a disk without a network. What was seen is left in test-results/browser.
 */
const CHROMIUM = '/usr/bin/chromium';
const there = existsSync(CHROMIUM);
const SHOTS = join(ROOT, 'test-results/browser');
const dir = mkdtempSync(join(tmpdir(), 'xsiftr-plot-'));

/** Lines of a flow, one every 0.1 s for 10 s: a window that grows, a loss after 5 s. */
function lines(fport: number, base: number): string[] {
  return Array.from({ length: 101 }, (_, i) => {
    const cwnd = base + 1448 * (i < 50 ? i : i - 40);
    const ssthresh = i < 50 ? 1073725440 : base;
    const flags = i >= 50 && i < 53 ? 0x1003e0 : 0x3e0;
    const time = `${1700000000 + Math.floor(i / 10)}.${i % 10}00000`;
    return [
      i % 2 === 0 ? 'o' : 'i',
      time,
      ...['192.0.2.1', 5001, '192.0.2.2', fport, ssthresh, cwnd, 2, 65536, 65700, 7, 7, 4, 1460, 40_000 + 10 * i],
      ...[1, flags, 240_000, 33_580, 0, 65_700, 0, cwnd - 1448, 0, fport, 130],
    ].join(',');
  });
}

const ENABLE =
  'enable_time_secs=1700000000\tenable_time_usecs=000000\tsiftrver=1.3.0\tsysname=xsiftr\tsysver=1000100\tipmode=4';

const colours = { blue: [0x00, 0x72, 0xb2], vermillion: [0xd5, 0x5e, 0x00] } as const;

describe.skipIf(!there)(`the page of log plot${there ? '' : ` (skipped: ${CHROMIUM} is not installed)`}`, () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const complaints: string[] = [];
  const requests: string[] = [];
  const file = join(dir, 'two flows.html');

  beforeAll(async () => {
    mkdirSync(SHOTS, { recursive: true });
    writeFileSync(join(dir, 'ours.log'), `${[ENABLE, ...lines(40000, 14_480), ...lines(40001, 100_000)].join('\n')}\n`);
    await run([join(ROOT, 'bin/xsiftr'), 'log', 'plot', join(dir, 'ours.log'), '-o', file]);
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      // Its sandbox refuses to be root.
      args: process.getuid!() === 0 ? ['--no-sandbox'] : [],
    });
    context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
    await context.setOffline(true);
    page = await context.newPage();
    page.on('request', (r) => requests.push(r.url()));
    page.on('console', (m) => complaints.push(m.text()));
    page.on('pageerror', (e) => complaints.push(e.message));
    await page.goto(pathToFileURL(file).href);
  });

  afterEach(() => {
    expect(complaints).toEqual([]);
    expect(requests).toEqual([pathToFileURL(file).href]);
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Pixels of a colour in a chart. */
  const pixels = (chart: number, [r, g, b]: readonly [number, number, number]): Promise<number> =>
    page.evaluate(`(() => {
      const canvas = document.querySelectorAll('canvas')[${chart}];
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i] === ${r} && data[i + 1] === ${g} && data[i + 2] === ${b}) n++;
      return n;
    })()`);
  const range = async () =>
    /^([\d.]+) s to ([\d.]+) s$/
      .exec((await page.locator('#range').textContent())!)!
      .slice(1)
      .map(Number);
  const flow = (port: number) => page.getByRole('checkbox', { name: `192.0.2.1;5001-192.0.2.2;${port}` });
  const shot = (name: string) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });

  test('opens from a disk without a network, with a chart for each kind of values', async () => {
    expect(await page.title()).toBe('ours.log');
    expect(await page.locator('h2').allTextContents()).toEqual(['Congestion control', 'Windows', 'Times']);
    expect(await page.locator('canvas').count()).toBe(3);
    expect(await range()).toEqual([0, 10]);
    for (const chart of [0, 1, 2]) expect(await pixels(chart, colours.blue)).toBeGreaterThan(50);
    await shot('light');
  });

  test('hides a flow that is clicked, and shows it again', async () => {
    expect(await pixels(0, colours.vermillion)).toBeGreaterThan(50);
    await flow(40001).click();
    // Of a flow that is alone, colours tell the fields apart: the dashed ssthresh has the second one.
    await flow(40000).click();
    await expect.poll(() => pixels(0, colours.vermillion)).toBe(0);
    expect(await pixels(0, colours.blue)).toBe(0);
    await flow(40001).click();
    await flow(40000).click();
    await expect.poll(() => pixels(0, colours.vermillion)).toBeGreaterThan(50);
  });

  test('hides a field that is clicked in its chart alone', async () => {
    const cwnd = page.getByRole('checkbox', { name: 'cwnd' });
    const all = await pixels(0, colours.blue);
    const windows = await pixels(1, colours.blue);
    await cwnd.click();
    await expect.poll(() => pixels(0, colours.blue)).toBeLessThan(all);
    expect(await pixels(1, colours.blue)).toBe(windows);
    await cwnd.click();
    await expect.poll(() => pixels(0, colours.blue)).toBe(all);
  });

  // The chart's time axis goes from 0 to 10 s; from a quarter to a half of its width are 2.5 and 5 s, a pixel is some 0.01 s.
  test('zooms to what is dragged over, in all charts, and back on a double click', async () => {
    const over = page.locator('.u-over');
    const box = (await over.nth(0).boundingBox())!;
    const y = box.y + box.height / 2;
    const [times, before] = [2, await pixels(2, colours.blue)];
    await page.mouse.move(box.x + box.width / 4, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, y, { steps: 5 });
    await page.mouse.up();
    const [min, max] = await range();
    expect(min).toBeCloseTo(2.5, 1);
    expect(max).toBeCloseTo(5, 1);
    await shot('zoomed');
    await expect.poll(() => pixels(times, colours.blue)).not.toBe(before);
    await over.nth(1).dblclick();
    await expect.poll(range).toEqual([0, 10]);
    await page.mouse.move(0, 0);
    await expect.poll(() => pixels(times, colours.blue)).toBe(before);
  });

  test('is moved and zoomed by keys and by buttons with names', async () => {
    await page.getByRole('group', { name: /^Windows in/ }).focus();
    await page.keyboard.press('+');
    expect(await range()).toEqual([2.5, 7.5]);
    await page.keyboard.press('ArrowLeft');
    expect(await range()).toEqual([1.25, 6.25]);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    expect(await range()).toEqual([0, 5]);
    await page.getByRole('button', { name: 'later' }).click();
    expect(await range()).toEqual([1.25, 6.25]);
    await page.getByRole('button', { name: 'zoom out' }).click();
    expect(await range()).toEqual([0, 10]);
    await page.getByRole('button', { name: 'zoom in' }).click();
    await page.getByRole('button', { name: 'show the whole time axis' }).click();
    expect(await range()).toEqual([0, 10]);
  });

  test('reaches every flow with the keyboard', async () => {
    await page.getByRole('button', { name: 'show the whole time axis' }).focus();
    await page.keyboard.press('Tab');
    expect(await flow(40000).evaluate('document.activeElement.closest("label").textContent')).toContain(';40000');
    await page.keyboard.press('Space');
    expect(await flow(40000).isChecked()).toBe(false);
    await page.getByRole('button', { name: 'show every flow of ours.log' }).click();
    expect(await flow(40000).isChecked()).toBe(true);
  });

  // At 7.55 s the sample of 7.5 s holds, the 76th: 14480 + 1448 * 35 bytes.
  test('tells the values under the cursor', async () => {
    const box = (await page.locator('.u-over').nth(0).boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.755, box.y + 100);
    const readout = page.locator('.readout').nth(0);
    await expect.poll(() => readout.locator('tr').nth(1).locator('td').nth(1).textContent()).toBe('65.16');
    expect(await page.locator('.readout').nth(2).isVisible()).toBe(true);
    await page.mouse.move(0, 0);
    await expect.poll(() => readout.isVisible()).toBe(false);
  });

  test('has the lines in numbers', async () => {
    await page.getByText('The lines in numbers').click();
    const cells = await page.locator('#numbers tbody tr').nth(0).locator('th, td').allTextContents();
    // 14480 + 1448 * 49 bytes at most, 14480 + 1448 * 60 at last would be more: the loss takes 40 segments off.
    expect(cells).toEqual(['192.0.2.1;5001-192.0.2.2;40000', 'cwnd, kB', '14.48', '101.36', '101.36']);
    await page.getByText('The lines in numbers').click();
  });

  test('is printed dark on white, also by those who look at it white on dark', async () => {
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(22, 22, 22)');
    await shot('dark');
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
    expect(await page.getByRole('button').count()).toBe(0);
    await expect.poll(() => pixels(0, [0xe8, 0xe8, 0xe8])).toBe(0);
    await shot('print');
    await page.emulateMedia({ colorScheme: 'light', media: 'screen' });
  });
});
