import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { VERSION } from '../../version.ts';
import type { AtomicFile } from '../atomic-file.ts';
import type { Sample } from '../model.ts';
import { COLUMNS, type Column } from './columns.ts';
import type { Exporter } from './export.ts';

/** Rows that are gathered before they are written: what a reader can skip by their least and greatest values, and what memory is needed for. */
const ROW_GROUP = 50_000;

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];
type Element = Schema[number];

const TYPES: Readonly<Record<Column['type'], Pick<Element, 'type' | 'converted_type'>>> = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  uint: { type: 'INT32', converted_type: 'UINT_32' },
  real: { type: 'DOUBLE' },
  bool: { type: 'BOOLEAN' },
};

const ALL: readonly Pick<Column, 'name' | 'type'>[] = [{ name: 'log', type: 'text' }, ...COLUMNS];

const SCHEMA: Schema = [
  { name: 'samples', num_children: ALL.length },
  ...ALL.map(({ name, type }): Element => ({ name, ...TYPES[type], repetition_type: 'OPTIONAL' })),
];

/** Apache Parquet, a row group at a time. */
export class ParquetExporter implements Exporter {
  readonly #out: AtomicFile;
  readonly #bytes: ByteWriter;
  readonly #writer: ParquetWriter;
  /** Values by column, in the order of the schema. */
  #columns: (string | number | boolean | null)[][];

  constructor(out: AtomicFile) {
    this.#out = out;
    this.#bytes = new ByteWriter();
    this.#writer = new ParquetWriter({ writer: this.#bytes, schema: SCHEMA, createdBy: `xsiftr version ${VERSION}` });
    this.#columns = ALL.map(() => []);
  }

  async write(samples: readonly Sample[], log: string): Promise<void> {
    const [logs, ...columns] = this.#columns;
    for (const s of samples) {
      logs!.push(log);
      for (let i = 0; i < COLUMNS.length; i++) columns[i]!.push(COLUMNS[i]!.of(s));
    }
    if (logs!.length >= ROW_GROUP) await this.#group();
  }

  async end(): Promise<void> {
    await this.#group();
    await this.#writer.finish();
    await this.#flush();
  }

  async #group(): Promise<void> {
    const rows = this.#columns[0]!.length;
    if (rows > 0) {
      const columnData = ALL.map(({ name }, i) => ({ name, data: this.#columns[i]!, offsetIndex: false }));
      await this.#writer.write({ columnData, rowGroupSize: rows });
      this.#columns = ALL.map(() => []);
    }
    await this.#flush();
  }

  /** Hands the bytes on that have come together. Their places in the file are counted apart, in `offset`. */
  async #flush(): Promise<void> {
    await this.#out.write(this.#bytes.getBytes());
    this.#bytes.index = 0;
  }
}
