import { Command, Option } from 'commander';
import { UserError } from '../daemon/errors.ts';
import type { ExportFormat } from '../log/export/export.ts';
import { type LogFlags, logChoice, logOptions, ReadingBar, removeOnSignal, warnBroken } from './log-common.ts';

interface ExportFlags extends LogFlags {
  readonly format?: ExportFormat;
  readonly output: string;
  readonly strict?: boolean;
}

const NOTES = `
A line, object or row is a sample; the lines that begin and end a SIFTR log are left out. Columns and units: docs/log.md. FILE appears when it is whole.
  xsiftr log export -o trace.parquet trace.log && duckdb -c "SELECT max(cwnd_bytes) FROM 'trace.parquet'"`;

/** `xsiftr log export`: samples with named columns, for other programs. */
export function logExportCommand(): Command {
  return logOptions(new Command('export'))
    .description('write samples as CSV, NDJSON or Parquet')
    .argument('<log...>', 'logs, plain or compressed; - is standard input')
    .requiredOption('-o, --output <FILE>', 'file to write; - is standard output')
    .addOption(
      new Option('--format <NAME>', 'of FILE; by default the end of its name').choices(['csv', 'ndjson', 'parquet']),
    )
    .option('--strict', 'exit status 1 where a line is broken')
    .addHelpText('after', NOTES)
    .action(async (logs: string[], flags: ExportFlags) => {
      const format = flags.format ?? formatOf(flags.output);
      const { open, filter } = await logChoice(flags);
      const [{ openLog }, { createExporter }, { AtomicFile }, { BrokenLines }] = await Promise.all([
        import('../log/open.ts'),
        import('../log/export/export.ts'),
        import('../log/atomic-file.ts'),
        import('../log/broken.ts'),
      ]);
      const file = await AtomicFile.create(flags.output, logs);
      const stop = removeOnSignal(() => file.abort());
      const bar = new ReadingBar();
      try {
        const exporter = await createExporter(format, file);
        for (const path of logs) {
          const broken = new BrokenLines();
          const reader = await openLog(path, open);
          for await (const batch of reader.batches()) {
            const samples = [];
            for (const item of batch) {
              if (item.type === 'sample' && filter(item)) samples.push(item);
              else if (item.type === 'broken') broken.add(item);
            }
            await exporter.write(samples, path);
            bar.draw(reader);
          }
          bar.clear();
          warnBroken(path, broken.count, broken.first);
          if (flags.strict === true && broken.count > 0) process.exitCode = 1;
        }
        await exporter.end();
        await file.commit();
      } catch (err) {
        file.abort();
        if (!file.gone) throw err;
      } finally {
        bar.clear();
        stop();
      }
    });
}

function formatOf(path: string): ExportFormat {
  const end = /\.(csv|ndjson|parquet)$/i.exec(path)?.[1]?.toLowerCase();
  if (end === undefined) {
    throw new UserError(`log export: -o ${path}: its end tells no format; give --format csv, ndjson or parquet`);
  }
  return end as ExportFormat;
}
