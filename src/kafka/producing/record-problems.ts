/** What holds records up, as problems of `/readyz`. Pure. */
import type { Clock } from "../../core/clock.ts";
import type { Problem } from "../../core/problem.ts";
import type { CurrentClient } from "./current-client.ts";
import type { TopicLane, TopicLanes } from "./topic-lanes.ts";

type Blocked = Problem<"produce_blocked">;

/**
 * The topics that are blocked. If there is no client: only these, or the client's trouble if there are none. Else also the topics that
 * nobody acknowledges.
 */
export function recordProblems(lanes: TopicLanes, trouble: CurrentClient["trouble"], clock: Pick<Clock, "now">): readonly Blocked[] {
	const blocked = [...lanes].flatMap(({ topic, trouble, records }) => (trouble && !records.isEmpty ? [problem(topic, trouble)] : []));
	if (trouble) return blocked.length > 0 ? blocked : [problem(null, trouble)];
	const silent = [...lanes].flatMap((lane) => {
		const ms = lane.trouble ? null : lanes.silentMs(lane);
		return ms === null ? [] : [problem(lane.topic, { message: silentWords(lane, ms), sinceMs: clock.now() - ms })];
	});
	return [...blocked, ...silent];
}

/** What it means that these partitions have no leader; null if the list is empty. */
export function leaderlessWords(partitions: readonly number[]): string | null {
	if (partitions.length === 0) return null;
	const those = partitions.length === 1 ? `partition ${partitions[0]} has` : `partitions ${partitions.join(", ")} have`;
	return `${those} no leader: the broker is down, or can't write to its disk (its log says which)`;
}

function silentWords({ topic, records, silence }: TopicLane, ms: number): string {
	const what = `Kafka has acknowledged none of the oldest records for topic ${topic} for ${Math.round(ms / 1000)} s, and ${records.bytes} bytes wait`;
	return silence ? `${what}: ${silence}` : what;
}

function problem(topic: string | null, { message, sinceMs }: { message: string; sinceMs: number }): Blocked {
	return { code: "produce_blocked", where: topic === null ? null : { topic, partition: null }, message, sinceMs };
}
