import { chargen } from './chargen.ts';
import { daytime } from './daytime.ts';
import { discard } from './discard.ts';
import { echo } from './echo.ts';
import type { Service } from './host.ts';
import { http } from './http.ts';
import { iperf3 } from './iperf3.ts';

/** Every built-in service, in the order in which help texts list them. */
export const services: readonly Service[] = [http, iperf3, discard, echo, chargen, daytime];

/** The services that run when `--serve` is not given. */
export const defaultServices: readonly string[] = ['http', 'iperf3', 'discard'];

/** The service called `name`, or undefined. */
export function findService(name: string): Service | undefined {
  return services.find((s) => s.name === name);
}
