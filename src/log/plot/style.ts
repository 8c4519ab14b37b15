/**
 * How series are told apart: by colours that colour-blind people see as different (the palette of Okabe and Ito, "Color Universal Design", without its
 * yellow, which is too pale on white), and again by dashes and markers, so that they are told apart in a print without colours, too.
 *
 * One flow: colour and dash are the field's. Several: colour and marker are the flow's, the dash is the field's.
 */

/** On white. Those that stand out most come first. */
export const COLOURS: readonly string[] = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#E69F00', '#56B4E9'];

/** The same on a dark ground: black becomes white. */
export const DARK_COLOURS: readonly string[] = COLOURS.map((c) => (c === '#000000' ? '#FFFFFF' : c));

/** Lengths of line and gap, in pixels; empty is a line without gaps. One for each field of a panel. */
export const DASHES: readonly (readonly number[])[] = [[], [9, 4], [2, 3], [9, 3, 2, 3]];

export const LINE_WIDTHS: readonly number[] = [1.8, 1.8, 1.3, 1.3];

export type Marker = 'circle' | 'square' | 'triangle' | 'diamond' | 'cross' | 'plus';

/** As many as have no divisor in common with the colours: 42 flows have a colour and a marker that no other has. */
export const MARKERS: readonly Marker[] = ['circle', 'square', 'triangle', 'diamond', 'cross', 'plus'];

/** The colour of times of fast recovery, behind the lines. */
export const RECOVERY = '#F0C000';
export const RECOVERY_OPACITY = 0.22;

/**
 * Commands of an SVG path for a marker around the origin.
 * @param r half of its width, pixels
 */
export function markerPath(marker: Marker, r: number): string {
  switch (marker) {
    case 'circle':
      return `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
    case 'square':
      return `M${-r} ${-r}H${r}V${r}H${-r}Z`;
    case 'triangle':
      return `M0 ${-r}L${r} ${r}H${-r}Z`;
    case 'diamond':
      return `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`;
    case 'cross':
      return `M${-r} ${-r}L${r} ${r}M${-r} ${r}L${r} ${-r}`;
    case 'plus':
      return `M${-r} 0H${r}M0 ${-r}V${r}`;
  }
}

/** Number of the colour of a series. @param single the plot has one flow */
export function colourOf(flow: number, fieldInPanel: number, single: boolean): number {
  return (single ? fieldInPanel : flow) % COLOURS.length;
}
