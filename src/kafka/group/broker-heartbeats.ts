/**
 * KIP-848: the broker says how often the members of a group send heartbeats, and a member learns by their answers of the partitions that it
 * gets. Where they are rare, a partition that changes hands waits for one.
 */
import type { GroupClient } from "../client/group-client.ts";

const SETTING = "group.consumer.heartbeat.interval.ms";
/** Kafka's default is 5 s, and a restart takes no longer in a classic group than with this. */
const OFTEN_MS = 1_000;

/** The broker's interval, ms, if that is long; null if it is not, or nobody can tell. Never rejects. */
export async function longHeartbeats(client: Pick<GroupClient, "brokerSetting">): Promise<number | null> {
	const setting = await client.brokerSetting(SETTING).catch(() => null);
	const intervalMs = Number(setting ?? Number.NaN);
	return intervalMs > OFTEN_MS ? intervalMs : null;
}
