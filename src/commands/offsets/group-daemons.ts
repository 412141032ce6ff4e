/** The running daemons of a group that answer: which partitions each has, and setting offsets through them. */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import type { Clock } from "../../core/clock.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { OffsetSet, OffsetsSetOutcome, WantedOffset } from "../../core/offsets/set-offset.ts";
import type { Status } from "../../observe/status.ts";
import type { CommandContext } from "../command-context.ts";
import { type DaemonClient, daemonAt } from "../daemon-client.ts";

/** Time between two checks whether a daemon is done. */
const LOOK_AGAIN_MS = 200;
/** Maximum wait for a daemon. A drain takes `drain.timeoutMs` at most; if the offset can't be stored, the daemon goes on trying. */
const LONGEST_MS = 120_000;

/** The result. */
export interface SetByDaemons {
	readonly set: readonly OffsetSet[];
	/** By daemon that could not: its partitions, and why. */
	readonly failed: readonly { readonly partitions: readonly TopicPartition[]; readonly why: string }[];
}

/** The daemons of a group that answer over HTTP. */
export class GroupDaemons {
	static readonly none = new GroupDaemons(new Map(), null, null);

	readonly #owners: ReadonlyMap<string, DaemonClient>;
	readonly #clock: Clock | null;
	/** Why the configured daemon didn't answer; null if it did, or if nobody asked it. */
	readonly trouble: string | null;

	private constructor(owners: ReadonlyMap<string, DaemonClient>, clock: Clock | null, trouble: string | null) {
		this.#owners = owners;
		this.#clock = clock;
		this.trouble = trouble;
	}

	/** Asks the daemons at `urls`, or else the one that the configuration describes. Throws ExitError if a named one doesn't answer. */
	static async find(group: string, urls: readonly string[], command: Command, context: CommandContext): Promise<GroupDaemons> {
		const owners = new Map<string, DaemonClient>();
		let trouble: string | null = null;
		for (const url of urls.length > 0 ? urls : [undefined]) {
			try {
				const daemon = await daemonAt(url, command, context, group);
				const status = (await daemon.ask("GET", "/status")) as Partial<Status> | null;
				if (status?.group !== group) {
					if (url !== undefined) throw new ExitError(exitCodes.usage, "other_group", `${url} is no daemon of group ${group}`);
					continue;
				}
				for (const each of status.partitions ?? []) owners.set(partitionName(each), daemon);
			} catch (error) {
				if (url !== undefined || (error as { code?: unknown }).code === "several_daemons") throw error;
				trouble = messageOf(error);
			}
		}
		return new GroupDaemons(owners, context.clock, trouble);
	}

	has(partition: TopicPartition): boolean {
		return this.#owners.has(partitionName(partition));
	}

	/**
	 * Sets offsets of partitions that these daemons have; returns those that are set, and why others aren't. Rejects (ExitError) if none
	 * could be set.
	 */
	async set(wanted: readonly WantedOffset[]): Promise<SetByDaemons> {
		const byDaemon = new Map<DaemonClient, WantedOffset[]>();
		for (const each of wanted) {
			const daemon = this.#owners.get(partitionName(each)) as DaemonClient;
			byDaemon.set(daemon, [...(byDaemon.get(daemon) ?? []), each]);
		}
		const asked = [...byDaemon];
		const results = await Promise.allSettled(asked.map(([daemon, theirs]) => this.#setAt(daemon, theirs)));
		const failed = results.flatMap((result, index) => {
			const [, partitions] = asked[index] as (typeof asked)[number];
			return result.status === "rejected" ? [{ partitions, error: result.reason as unknown }] : [];
		});
		if (failed[0] && failed.length === results.length) throw failed[0].error;
		return {
			set: results.flatMap((result) => (result.status === "fulfilled" ? result.value : [])),
			failed: failed.map(({ partitions, error }) => ({ partitions, why: messageOf(error) })),
		};
	}

	async #setAt(daemon: DaemonClient, wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[]> {
		const clock = this.#clock as Clock;
		const offsets = wanted.map(({ topic, partition, to }) => ({ topic, partition, to }));
		const id = randomUUID();
		for (const deadline = clock.monotonic() + LONGEST_MS; clock.monotonic() < deadline; ) {
			const answer = (await daemon.ask("POST", "/offsets", { id, offsets }).catch(unlessLate)) as OffsetsSetOutcome | null;
			if (answer?.outcome === "set") return answer.offsets;
			await clock.sleep(LOOK_AGAIN_MS);
		}
		const words = `the daemon was asked and is not done after ${LONGEST_MS / 1000} s: it goes on trying, pockaffe status shows where it is`;
		throw new ExitError(exitCodes.found, "not_done", words);
	}
}

/** Null if the daemon answered too late: it may do it all the same, and the next request, with the same id, asks for the result. */
function unlessLate(error: unknown): null {
	const { cause } = error as { cause?: { name?: string } };
	if (cause?.name === "TimeoutError") return null;
	throw error;
}
