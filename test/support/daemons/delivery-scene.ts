/**
 * A topic, a group, a database and daemons on it, and the oracle of delivery on them: the table equals the fold of the log, and whatever
 * is committed is settled. The handler refuses a message that comes out of order, so that one would become a dead letter.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { LogReader } from "../../../src/kafka/log-reader.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import type { ReadinessReason } from "../../../src/observe/readiness.ts";
import { groupOffsets } from "../kafka/group-offsets.ts";
import { kafkaAt } from "../kafka/load-topic.ts";
import { uniqueName } from "../kafka/real-kafka.ts";
import { SteadyLoad } from "../kafka/steady-load.ts";
import { createTestDatabase, type TestDatabase } from "../postgres/test-database.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { waitFor } from "../wait-for.ts";
import { type DaemonProcess, runDaemon } from "./daemon-process.ts";
import { behind, differences, eventLog, eventsBelow, eventTable, foldEvents, type LogEvent, readTable } from "./event-log.ts";

/** What a scene is made of. `brokers`: the tests' own way to Kafka. */
export interface SceneOptions {
	readonly brokers: string;
	readonly partitions: number;
	readonly replication: number;
	readonly name: string;
}

/** Kafka's shortest by default. */
export const SESSION_TIMEOUT_MS = 6_000;
const shortSession = { "session.timeout.ms": SESSION_TIMEOUT_MS };
/** How soon readiness knows; the daemon's own five seconds are longer than some faults. */
const statistics = { "statistics.interval.ms": 500 };
const MOST_EVENTS = 1_000_000;

const handler = `
	export const init = () => ({ last: -1 });
	export function handleMessage({ key, value, offset }, state) {
		if (offset <= state.last) return { reject: "offset " + offset + " came behind " + state.last };
		state.last = offset;
		const id = key.toString();
		if (value === null) return { id, delete: true };
		const { name, amount, note } = JSON.parse(value.toString());
		return { id, fields: { name, amount, note } };
	}`;

/** See the file's header; `await using` ends its daemons. */
export class DeliveryScene implements AsyncDisposable {
	readonly topic: string;
	readonly group: string;
	readonly db: TestDatabase;
	readonly #brokers: string;
	readonly #partitions: number;
	readonly #parts: AsyncDisposable[] = [];

	private constructor({ name, brokers, partitions }: SceneOptions, db: TestDatabase) {
		this.topic = uniqueName(name);
		this.group = uniqueName("g");
		this.db = db;
		this.#brokers = brokers;
		this.#partitions = partitions;
		this.#own(db);
	}

	static async start(options: SceneOptions): Promise<DeliveryScene> {
		const { brokers, partitions, replication } = options;
		const scene = new DeliveryScene(options, await createTestDatabase());
		await createTopic(kafkaAt(brokers), { name: scene.topic, partitions, replication });
		await awaitTopic(kafkaAt(brokers), systemClock, scene.topic, partitions);
		return scene;
	}

	/** A daemon of the group that finds Kafka at `brokers`; `properties` are librdkafka's. */
	async daemon(
		brokers: string,
		properties: Record<string, unknown> = shortSession,
		sections: Record<string, unknown> = {},
	): Promise<DaemonProcess> {
		const folder = this.#own(await temporaryFolder());
		await writeFile(join(folder.path, "handler.mjs"), handler);
		const { topic, group, db } = this;
		const config = {
			kafka: { brokers: brokers.split(","), topics: [topic], group, properties: { ...properties, ...statistics } },
			handler: { module: "./handler.mjs" },
			database: { url: db.url },
			tables: { events: eventTable },
			offsets: { commitIntervalMs: 100 },
			...sections,
		};
		return this.#own(await runDaemon(folder.path, config));
	}

	/** Messages from here on. */
	async load(perSecond: number): Promise<SteadyLoad> {
		const log = { topic: this.topic, count: MOST_EVENTS, ids: 2_000, partitions: this.#partitions, seed: 47, wander: true, deletes: 0.02 };
		return this.#own(await SteadyLoad.start(this.#brokers, eventLog(log), perSecond));
	}

	/** The committed offset of each partition. */
	async committed(): Promise<number[]> {
		const offsets = await waitFor("an answer about offsets", () => groupOffsets(this.#brokers, this.group, this.topic));
		return offsets.map(({ committed }) => committed ?? 0);
	}

	/** Resolves when this many messages are committed. */
	async committedPast(count: number, timeoutMs?: number): Promise<void> {
		const sum = async () => (await this.committed()).reduce((total, offset) => total + offset, 0);
		await waitFor(`${count} committed messages`, async () => (await sum()) >= count, timeoutMs);
	}

	/** Every message below the committed offsets has its row, or a newer one of its id. */
	async nothingCommittedUnsettled(): Promise<void> {
		const committed = await this.committed();
		expect(behind(await this.#table(), foldEvents(eventsBelow(await this.#log(), committed)))).toEqual([]);
	}

	/**
	 * All of the log is committed, and the table is its fold. The log is what the brokers have: a producer whose brokers die can't always
	 * know what they had stored, and that is between those two.
	 */
	async converged(): Promise<void> {
		const isDone = async () => {
			const offsets = await groupOffsets(this.#brokers, this.group, this.topic);
			return offsets.every(({ committed, latest }) => committed === latest);
		};
		await waitFor("every offset to be committed", isDone);
		expect(differences(await this.#table(), foldEvents(await this.#log()))).toEqual([]);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const part of this.#parts.reverse()) await part[Symbol.asyncDispose]();
	}

	#own<Part extends AsyncDisposable>(part: Part): Part {
		this.#parts.push(part);
		return part;
	}

	/** The log as it is, each partition's part in its order. */
	async #log(): Promise<LogEvent[]> {
		await using reader = await LogReader.connect(kafkaAt(this.#brokers), systemClock, uniqueName("reader"), new AbortController().signal);
		const partitions = Array.from({ length: this.#partitions }, (_, partition) => ({ topic: this.topic, partition }));
		const ranges = await Promise.all(partitions.map(async (each) => ({ ...each, from: 0, to: (await reader.watermarks(each)).high })));
		const log: LogEvent[] = [];
		const counts = ranges.map(() => 0);
		for await (const [, messages] of reader.read(ranges)) {
			for (const { topic, partition, offset, key, value, timestamp } of messages) {
				// Its place in the partition is its offset, or the fold would be of another log.
				expect(offset).toBe(counts[partition]);
				counts[partition] = offset + 1;
				log.push({ topic, partition, key: String(key), value: value?.toString() ?? null, timestamp });
			}
		}
		expect(counts).toEqual(ranges.map(({ to }) => to));
		return log;
	}

	#table() {
		return readTable(this.db.database, "events");
	}
}

/** The reason of this code that `/readyz` gives, waiting for one whose message fits; rejects with all that it gave meanwhile. */
export async function notReadyFor(daemon: DaemonProcess, code: string, message: RegExp, timeoutMs?: number): Promise<ReadinessReason> {
	// The last of each: seconds and bytes in a message change with every look.
	const given = new Map<string, string>();
	const look = async () => {
		const reasons = await daemon.notReady();
		for (const reason of reasons) given.set(reason.message.replace(/\d+/g, "0"), `${reason.code}: ${reason.message}`);
		return reasons.find((reason) => reason.code === code && message.test(reason.message));
	};
	return waitFor(`not ready for ${code}: ${message}`, look, timeoutMs).catch((cause) => {
		throw new Error(`/readyz gave ${given.size === 0 ? "no reason" : [...given.values()].join(" | ")}`, { cause });
	});
}

/** No message came out of order, for that would have been a letter; and the stop drains. */
export async function endsWell(daemon: DaemonProcess): Promise<void> {
	expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
	expect(await daemon.stop()).toBe(0);
}
