import { csvValue } from '../../csv.ts';
import type { AtomicFile } from '../atomic-file.ts';
import type { Sample } from '../model.ts';
import { COLUMNS } from './columns.ts';

export const EXPORT_FORMATS = ['csv', 'ndjson', 'parquet'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Writes samples in one format. A value that a log does not tell is empty in CSV, null in the others. */
export interface Exporter {
  /** @param log name of the log that the samples are of */
  write(samples: readonly Sample[], log: string): Promise<void>;
  /** Writes what is still to be written. */
  end(): Promise<void>;
}

/** @param out what is written to; closing it is left to the caller */
export async function createExporter(format: ExportFormat, out: AtomicFile): Promise<Exporter> {
  if (format === 'csv') return new CsvExporter(out);
  if (format === 'ndjson') return new NdjsonExporter(out);
  const { ParquetExporter } = await import('./parquet.ts');
  return new ParquetExporter(out);
}

/** RFC 4180, with a header line, and with LF at the end of lines as tools of this kind of system expect it. */
class CsvExporter implements Exporter {
  readonly #out: AtomicFile;
  #head: string;

  constructor(out: AtomicFile) {
    this.#out = out;
    this.#head = `log,${COLUMNS.map((c) => c.name).join(',')}\n`;
  }

  async write(samples: readonly Sample[], log: string): Promise<void> {
    const name = csvValue(log);
    let text = this.#head;
    this.#head = '';
    for (const s of samples) {
      text += name;
      for (const c of COLUMNS) {
        const value = String(c.of(s) ?? '');
        // The addresses of a damaged log can be anything.
        text += c.type === 'text' ? `,${csvValue(value)}` : `,${value}`;
      }
      text += '\n';
    }
    await this.#out.write(text);
  }

  async end(): Promise<void> {
    await this.#out.write(this.#head);
  }
}

/** One object a line, with every column. */
class NdjsonExporter implements Exporter {
  readonly #out: AtomicFile;
  readonly #keys: readonly string[];

  constructor(out: AtomicFile) {
    this.#out = out;
    this.#keys = COLUMNS.map((c) => `,${JSON.stringify(c.name)}:`);
  }

  async write(samples: readonly Sample[], log: string): Promise<void> {
    const head = `{"log":${JSON.stringify(log)}`;
    let text = '';
    for (const s of samples) {
      text += head;
      for (let i = 0; i < COLUMNS.length; i++) text += this.#keys[i]! + JSON.stringify(COLUMNS[i]!.of(s));
      text += '}\n';
    }
    await this.#out.write(text);
  }

  async end(): Promise<void> {}
}
