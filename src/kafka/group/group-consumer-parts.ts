/** What the group consumer needs, and the events it emits. */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { OffsetSet } from "../../core/offsets/set-offset.ts";
import type { GroupClient } from "../client/group-client.ts";
import type { OffsetStore } from "../offsets/offset-store.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import type { StartPosition } from "../starts/start-position.ts";
import type { StartFailedFact } from "./assignment.ts";
import type { GroupMember } from "./group-member.ts";
import type { OutdatedAssignment } from "./static-return.ts";

/** Events of the consumer: past facts. */
export interface GroupConsumerEvents {
	"connect:failed": (fact: { message: string; failures: number; retryInMs: number }) => void;
	/** The existing topics, the stored offsets or the notes could not be read yet; `isOfDatabase`: the database did not give them. */
	"look:failed": (fact: { message: string; failures: number; retryInMs: number; isOfDatabase: boolean }) => void;
	/** This member leaves the group and joins it again by itself. */
	rejoining: () => void;
	/** All that has to be known was read: the member asks to be let in. */
	"group:joining": () => void;
	/** Configured topics that don't exist yet. The member joins without them, and gets them once they exist. */
	"topics:missing": (fact: { topics: readonly string[] }) => void;
	/** A configured topic that this user may not see. The member gets it once the right is granted. */
	"topic:refused": (fact: { topic: string; message: string }) => void;
	/** A KIP-848 group whose broker has its members send heartbeats so rarely that restarts take long. */
	"heartbeats:rare": (fact: { intervalMs: number }) => void;
	"group:joined": (fact: { partitions: number }) => void;
	/** The topics changed since the group made the assignment that this static member came back to: it joins again. */
	"assignment:outdated": (fact: OutdatedAssignment) => void;
	rebalanced: (fact: { kind: "assign" | "revoke" | "lost"; partitions: readonly TopicPartition[] }) => void;
	"start:resolved": (fact: StartPosition) => void;
	/** A partition's start can't be resolved or stored yet. It is retried, and the other partitions don't wait. */
	"start:failed": (fact: StartFailedFact) => void;
	/** An offset that a person set is stored. */
	"offset:set": (fact: OffsetSet) => void;
	/** A revocation was answered. */
	unassigned: (fact: { partitions: readonly TopicPartition[] }) => void;
	"broker:error": (fact: { message: string; code: number }) => void;
	"consume:failed": (fact: { message: string; code: number }) => void;
	/** The client met a topic or partition that the broker does not know. */
	"topic:unknown": () => void;
	/** Some partition's position is outside its log; the client doesn't say which. */
	"position:out_of_range": () => void;
	/** The member can't go on, and nothing outside can correct that: it was fenced, or the client gave up for a reason of its own. */
	fatal: (fact: { message: string; code: number }) => void;
	stats: (fact: { json: string }) => void;
	/** Whether the client is in touch with the group's coordinator, by its own statistics. */
	membership: (fact: { member: boolean; message: string }) => void;
	polled: (fact: { messages: number; busyMs: number }) => void;
}

/** What the consumer needs. `incremental`: assignments come as differences (cooperative, KIP-848). */
export interface GroupConsumerParts {
	readonly createClient: () => GroupClient;
	readonly member: GroupMember;
	readonly clock: Clock;
	readonly kafka: Config["kafka"];
	readonly incremental: boolean;
	/** Where the group's offsets are kept. */
	readonly offsets: OffsetStore;
	/** The notes about its positions. */
	readonly notes: Pick<PositionNotes, "read" | "begin" | "owner">;
}
