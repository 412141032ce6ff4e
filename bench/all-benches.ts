/** Every bench, in the order in which `all` and the page have them. */
import { baselinesBench } from "./baselines.ts";
import type { Bench } from "./bench.ts";
import { consumeBench } from "./consume.ts";
import { cpuHandlerBench } from "./cpu-handler.ts";
import { crashesBench } from "./crashes.ts";
import { latencyBench } from "./latency.ts";
import { memoryBench } from "./memory.ts";
import { partitionsBench } from "./partitions.ts";
import { pipelineBench } from "./pipeline.ts";
import { poisonBench } from "./poison.ts";
import { replayBench } from "./replay.ts";
import { rollingBench } from "./rolling.ts";
import { scrapeBench } from "./scrape.ts";
import { threadBench } from "./thread.ts";
import { workersBench } from "./workers.ts";
import { writerBench } from "./writer.ts";

export const allBenches: readonly Bench[] = [
	...[consumeBench, workersBench, threadBench, writerBench, pipelineBench, baselinesBench, latencyBench, cpuHandlerBench],
	...[replayBench, poisonBench, crashesBench, rollingBench, partitionsBench, scrapeBench, memoryBench],
];

/** Names for several. */
export const benchGroups: Readonly<Record<string, readonly Bench[]>> = {
	recovery: [poisonBench, crashesBench, replayBench],
	all: allBenches,
};
