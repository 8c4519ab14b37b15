import { createRequire } from 'node:module';
import { LogError } from '../error.ts';

/** Pixels of the file for a pixel of the SVG: sharp in print and on dense screens. */
const SCALE = 2;

/**
 * A picture of svg.ts as PNG. Text is set in DejaVu Sans of the npm package dejavu-fonts-ttf and no other font is looked at: resvg leaves out all
 * text where it finds no font, and so a machine without any draws the same picture as all others.
 * @throws LogError where the renderer has no build for the machine
 */
export async function plotPng(svg: string): Promise<Buffer> {
  const { resolve } = createRequire(import.meta.url);
  const { Resvg } = await import('@resvg/resvg-js').catch((err: NodeJS.ErrnoException) => {
    throw new LogError(`PNG: @resvg/resvg-js cannot be loaded (${err.code ?? err.message}); use -o FILE.svg`, 1);
  });
  const fontFiles = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((name) => resolve(`dejavu-fonts-ttf/ttf/${name}`));
  const picture = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: SCALE },
    font: { loadSystemFonts: false, fontFiles, defaultFontFamily: 'DejaVu Sans' },
  });
  return picture.render().asPng();
}
