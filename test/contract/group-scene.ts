/** A topic and a group for one test of the group client's contract, and the way time passes there. */
import type { GroupClient } from "../../src/kafka/client/group-client.ts";

/** See the file's header. Closes its clients when disposed. */
export interface GroupScene extends AsyncDisposable {
	readonly topic: string;
	/** Partitions of the topic. */
	readonly partitions: number;
	/** A new client, connected, in the scene's group. */
	connect(): Promise<GroupClient>;
	/** Appends a record per key, its value `value of <key>`, its timestamp 1.7e12 plus its offset (gaps not counted). */
	produce(partition: number, keys: readonly string[]): Promise<void>;
	/** Appends records with these timestamps. */
	produceAt(partition: number, timestamps: readonly number[]): Promise<void>;
	/** Leaves offsets without a message at the log's end; resolves with the next offset. */
	leaveGap(partition: number): Promise<number>;
	/** Lets time pass until `holds`. */
	until(what: string, holds: () => boolean): Promise<void>;
	/** Lets time pass until the promise is settled. */
	settled<T>(promise: Promise<T>): Promise<T>;
	/** Deletes the topic and makes it again. Its clients have nothing of it assigned. */
	recreate(): Promise<void>;
	/** The client, which nobody polls, goes beyond `max.poll.interval.ms`. */
	exceedMaxPoll(client: GroupClient): Promise<void>;
}
