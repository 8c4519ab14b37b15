/** A process of run.ts: does the tasks that it is sent, one after the other. */
import { type Outcome, SWEEPS, type Task } from './sweeps.ts';

process.on('message', (task: Task) => {
  let outcome: Outcome;
  try {
    outcome = { task, value: SWEEPS[task.sweep]!.run(task.seed, task.part) ?? null, fault: null };
  } catch (err) {
    outcome = { task, value: null, fault: err instanceof Error ? err.message : String(err) };
  }
  process.send!(outcome);
});
