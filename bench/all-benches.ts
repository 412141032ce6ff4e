/** Every bench, in the order in which `all` and the page have them. */

import { baselinesBench } from "./baselines.ts";
import type { Bench } from "./bench.ts";
import { consumeBench } from "./consume.ts";
import { latencyBench } from "./latency.ts";
import { pipelineBench } from "./pipeline.ts";
import { workersBench } from "./workers.ts";
import { writerBench } from "./writer.ts";

export const allBenches: readonly Bench[] = [consumeBench, workersBench, writerBench, pipelineBench, baselinesBench, latencyBench];
