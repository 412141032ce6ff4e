/**
 * Stores where partitions begin before their first message, so that a crash can't choose again. A start is noted before it is stored, with
 * two exceptions:
 *
 * A log that replaces another: its note would say that Kafka's offset belongs to this log. But until ours is stored, a late commit of the
 * old log may be there.
 *
 * An offset that a person sets back: a note behind the stored offset would look like a restored database.
 */
import { partitionName, type TopicPartitionOffset } from "../../core/messages/message.ts";
import type { ReachedPosition } from "../../core/offsets/position-note.ts";
import type { OffsetStore } from "../offsets/offset-store.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import type { StartPosition } from "./start-position.ts";

/** Where starts are kept. */
export interface StartStores {
	readonly offsets: Pick<OffsetStore, "begin" | "goOn">;
	readonly notes: Pick<PositionNotes, "begin">;
}

/** Notes and stores the starts; returns them as they are stored. Rejects if one was taken over by another member meanwhile. */
export async function storeStarts(starts: readonly StartPosition[], { offsets, notes }: StartStores): Promise<StartPosition[]> {
	const noteThose = (after: boolean) => notes.begin(starts.filter((start) => isNotedAfter(start) === after).map(({ note }) => note));
	await noteThose(false);
	const begun = new Map((await begin(starts, offsets)).map((each) => [partitionName(each), each.offset]));
	const lost = starts.find((start) => !begun.has(partitionName(start)));
	if (lost) throw new Error(`the offset of ${partitionName(lost)} was taken over by another member meanwhile`);
	await noteThose(true);
	const stored = starts.map((start) => {
		const offset = begun.get(partitionName(start)) as number;
		return { ...start, offset, committed: offset };
	});
	await offsets.goOn(stored.map(reached));
	return stored;
}

/** Where the partitions begin: already stored, or stored now. */
async function begin(starts: readonly StartPosition[], offsets: StartStores["offsets"]): Promise<readonly TopicPartitionOffset[]> {
	const fresh = starts.filter(({ committed }) => committed === null);
	const kept = starts.filter(({ committed }) => committed !== null);
	return fresh.length > 0 ? [...kept, ...(await offsets.begin(fresh.map(reached)))] : kept;
}

function isNotedAfter({ from, kept, offset }: StartPosition): boolean {
	return from === "new_log" || (from === "set" && kept !== null && offset < kept);
}

/** The position that is stored for a start. */
function reached({ topic, partition, offset, logId, note }: StartPosition): ReachedPosition {
	return { topic, partition, offset, logId, witness: note.note.log.witness };
}
