/**
 * Dead letters through the handler again, under their original coordinates: by the same partition worker and writer that the daemon
 * has, so that order, isolation and CAS hold here too (a row that is newer by now is not moved back). One attempt per letter.
 */
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetter, StoredLetter } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { HeldOffsets } from "../core/hand-note.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import { Turn } from "../core/turn.ts";
import { buildWriter, threadOptions, workerSettings } from "../daemon-parts.ts";
import type { BatchWriter } from "../sink/batch-writer.ts";
import type { Database } from "../sink/database.ts";
import { RestartIntensity } from "../supervisor/restart-intensity.ts";
import type { HandNotes } from "../worker/careful-hand.ts";
import { PartitionWorker } from "../worker/partition-worker.ts";
import { packMessages } from "../worker/thread-codec.ts";
import { createHandlerThreads } from "../worker/worker-thread.ts";

/** What a replay is given. */
export interface ReplayParts {
	readonly config: Config;
	readonly database: Database;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends the replay; what was not told yet stays as it is. */
	readonly signal: AbortSignal;
	/** Told each letter that is handed over, and when it no longer is (null): whoever hears it may outlive the process. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
}

/** What became of one letter: `error` is null where it went through. */
export interface ReplayedLetter {
	readonly letter: StoredLetter;
	readonly error: string | null;
}

/** A worker that kills its thread with every letter must not be given up: each letter has its one attempt. */
const MAX_RESTARTS = 1_000_000;

/**
 * Replays letters (by topic, partition and offset, as the store gives them); calls back for each as its fate is known. Throws where the
 * handler can't be loaded, and what a call back throws.
 */
export async function replayLetters(
	parts: ReplayParts,
	letters: readonly StoredLetter[],
	told: (letter: ReplayedLetter) => Promise<void>,
): Promise<void> {
	const writer = buildWriter(parts, tableLayouts(parts.config));
	try {
		for (const ofLog of byLog(letters)) await replayLog(parts, writer, ofLog, told);
	} finally {
		await writer.dispose();
	}
}

async function replayLog(
	{ config, clock, random, signal, inHand }: ReplayParts,
	writer: BatchWriter,
	letters: readonly StoredLetter[],
	told: (letter: ReplayedLetter) => Promise<void>,
): Promise<void> {
	const [{ topic, partition, topicId }] = letters as [StoredLetter];
	const layouts = tableLayouts(config);
	const byOffset = new Map(letters.map((letter) => [letter.offset, letter]));
	const errors = new Map<number, string>();
	const fates: Promise<void>[] = [];
	let failure: unknown = null;
	let finish: (error: unknown) => void = () => {};
	const ended = new Promise<unknown>((resolve) => (finish = resolve));
	const noticed = () => {};
	const worker = new PartitionWorker({
		partition: { topic, partition },
		logId: topicId,
		settings: {
			// A timestamp from the future stays one, and is refused again.
			...workerSettings(config, layouts),
			maxAttempts: 1,
			retryBackoffMs: 0,
			minBackoffMs: 0,
			onPoison: "dead-letter",
			// Every letter is one already.
			breaker: { share: 1, minMessages: 1, withinMs: 1, consecutive: 0 },
		},
		threads: createHandlerThreads(threadOptions(config, layouts)).lease({ topic, partition }),
		rows: writer,
		deadLetters: { store: async ({ offset, error }: DeadLetter) => void errors.set(offset, error) },
		intensity: new RestartIntensity({ maxRestarts: MAX_RESTARTS, withinMs: 1 }),
		hand: inHand ? oneByOne(letters, (held) => inHand({ topic, partition }, held)) : null,
		turn: new Turn(),
		clock,
		random,
		finished: (offset) => {
			const letter = byOffset.get(offset) as StoredLetter;
			// What can't be told ends the replay: letters are not handled for nothing.
			const failed = (why: unknown) => {
				failure ??= why;
				finish(failure);
			};
			fates.push(told({ letter, error: errors.get(offset) ?? null }).catch(failed));
			if (fates.length === letters.length) finish(null);
		},
		// No letter comes behind those there are.
		isFull: () => {
			const why = "the handler left letters unfinished by finishedTo, and there are no more to finish them with";
			finish(new ExitError(exitCodes.found, "handler", why));
			return false;
		},
		listener: {
			started: noticed,
			handled: noticed,
			restarted: noticed,
			terminateFailed: noticed,
			heldTooMuch: noticed,
			carefulBegan: noticed,
			carefulEnded: noticed,
			parked: noticed,
			resumed: noticed,
			deadLettered: noticed,
			skipped: noticed,
			stopRequested: noticed,
			crashed: ({ kind, error }) => {
				if (kind === "load" || kind === "init") finish(new ExitError(exitCodes.found, "handler", `nothing was replayed: ${error.message}`));
			},
		},
	});
	signal.addEventListener("abort", () => finish(new ExitError(exitCodes.found, "interrupted", "the replay was interrupted")), {
		once: true,
	});
	// Nobody waits at a command until it is mended.
	const blocked = ({ message, hint }: { message: string; hint: string | null }) =>
		finish(
			new ExitError(exitCodes.found, "database", `the replay ended, the database refuses its rows: ${message}${hint ? `; ${hint}` : ""}`),
		);
	writer.on("table:blocked", blocked);
	worker.deliver(packMessages(letters));
	const error = await ended;
	writer.off("table:blocked", blocked);
	await (error ? worker.kill() : worker.stop("shutdown"));
	await Promise.all(fates);
	if (error ?? failure) throw error ?? failure;
}

/** All are suspects: each may end the process, and then it has to be known which. */
function oneByOne(letters: readonly StoredLetter[], inHand: (held: HeldOffsets | null) => void): HandNotes {
	const [first, last] = [letters[0] as StoredLetter, letters.at(-1) as StoredLetter];
	return {
		suspicion: { held: { from: first.offset, to: last.offset + 1 }, deaths: [], until: last.offset + 1 },
		committed: () => first.offset,
		// Who is in hand is noted as if it had died of it, and who is only suspected is not.
		note: async ({ held, deaths }) => inHand(deaths.length > 0 ? held : null),
	};
}

/**
 * A worker handles one log's messages, in offset order. Where no topic id tells two logs apart, offsets come twice: one after the other.
 */
function byLog(letters: readonly StoredLetter[]): StoredLetter[][] {
	const groups = new Map<string, StoredLetter[]>();
	for (const letter of letters) {
		let name = `${partitionName(letter)} ${letter.topicId ?? ""}`;
		while ((groups.get(name)?.at(-1)?.offset ?? -1) >= letter.offset) name += "+";
		const group = groups.get(name);
		if (group) group.push(letter);
		else groups.set(name, [letter]);
	}
	return [...groups.values()];
}
