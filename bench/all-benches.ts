/** Every bench, in the order in which `all` and the page have them. */

import type { Bench } from "./bench.ts";
import { baselinesBench } from "./questions/baselines.ts";
import { consumeBench } from "./questions/consume.ts";
import { cpuHandlerBench } from "./questions/cpu-handler.ts";
import { crashesBench } from "./questions/crashes.ts";
import { latencyBench } from "./questions/latency.ts";
import { memoryBench } from "./questions/memory.ts";
import { partitionsBench } from "./questions/partitions.ts";
import { pipelineBench } from "./questions/pipeline.ts";
import { poisonBench } from "./questions/poison.ts";
import { produceBench } from "./questions/produce.ts";
import { replayBench } from "./questions/replay.ts";
import { rollingBench } from "./questions/rolling.ts";
import { scrapeBench } from "./questions/scrape.ts";
import { threadBench } from "./questions/thread.ts";
import { verifyBench } from "./questions/verify.ts";
import { workersBench } from "./questions/workers.ts";
import { writerBench } from "./questions/writer.ts";

export const allBenches: readonly Bench[] = [
	...[consumeBench, workersBench, threadBench, writerBench, pipelineBench, baselinesBench, latencyBench, cpuHandlerBench, produceBench],
	...[replayBench, verifyBench, poisonBench, crashesBench, rollingBench, partitionsBench, scrapeBench, memoryBench],
];

/** Names for several. */
export const benchGroups: Readonly<Record<string, readonly Bench[]>> = {
	recovery: [poisonBench, crashesBench, replayBench],
	all: allBenches,
};
