/** What html.ts hands to the page's script, as JSON. */
export interface PageData {
  readonly timeLabel: string;
  /** Ends of the time axis, µs. */
  readonly from: number;
  readonly to: number;
  /** Flows that are seen at first. */
  readonly shown: number;
  readonly fields: readonly string[];
  readonly logs: readonly { readonly label: string; readonly about: string }[];
  readonly flows: readonly PageFlow[];
  readonly panels: readonly PagePanel[];
  readonly colours: readonly string[];
  readonly darkColours: readonly string[];
  readonly dashes: readonly (readonly number[])[];
  readonly widths: readonly number[];
  /** SVG paths. */
  readonly markers: readonly string[];
  /** Colour behind times of fast recovery. */
  readonly recovery: string;
}

export interface PageFlow {
  readonly log: number;
  readonly name: string;
  readonly samples: number;
  /** By field, packed as html.ts says; null where the log says nothing. */
  readonly series: readonly ({ readonly t: string; readonly v: string } | null)[];
  /** Times of fast recovery, µs. */
  readonly recovery: readonly (readonly [from: number, to: number])[];
}

export interface PagePanel {
  readonly title: string;
  /** Name of the axis of values. */
  readonly axis: string;
  readonly unit: string;
  /** Values are shown divided by this. */
  readonly div: number;
  /** Indexes into `fields`. */
  readonly fields: readonly number[];
}
