/**
 * A state machine of letters: messages that fail as the day's mood is, members that take partitions from each other, die and are late,
 * and a person who replays, discards and purges, whose commands die, too. One seed is one run; everything of ours but the threads,
 * Kafka and the server is the real thing.
 */
import { replayLetters } from "../../../src/audit/dead-letters/dead-letter-replay.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import type { DeadLetterTarget, LetterFilter, LetterStore } from "../../../src/core/dead-letters/dead-letter.ts";
import { type LetterState, letterVerbs } from "../../../src/core/dead-letters/letter-state.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { buildWriter, workerSettings } from "../../../src/daemon/daemon-parts.ts";
import { readLetterRecord } from "../../../src/kafka/dead-letters/dead-letter-record.ts";
import { DeadLetterTopic } from "../../../src/kafka/dead-letters/dead-letter-topic.ts";
import { DeadLetterTopicStore } from "../../../src/kafka/dead-letters/dead-letter-topic-store.ts";
import { LetterFold } from "../../../src/kafka/dead-letters/letter-fold.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { RestartIntensity } from "../../../src/supervisor/restart-intensity.ts";
import { PartitionWorker } from "../../../src/worker/partition-worker.ts";
import { noRecords } from "../../../src/worker/ports.ts";
import { BAD, SimServer } from "../database.ts";
import type { Row } from "../sql/tables.ts";
import { SimProcess, WALL_START, World } from "../world.ts";
import { LetterInvariants, name, type Place, type Target, type Version } from "./invariants.ts";
import { moodyThreads } from "./thread.ts";
import { LETTERS, SimLetterTopic } from "./topic.ts";

const TOPIC = "orders";
const GROUP = "g";
const PARTITIONS = 2;
const MESSAGES = 12;
const STEPS = 30;
/** Longer than any wait of ours between two tries. */
const PATIENCE_MS = 300_000;

type Fails = "no" | "throws" | "rejects" | "refused";

/** A member, as far as one partition sees it. */
interface Member {
	readonly process: SimProcess;
	readonly worker: PartitionWorker;
	/** Number of the assignment that it has: a later one fences its commits. */
	readonly assignment: number;
	/** What is told from here on counts no more. */
	isReleased: boolean;
}

/** See the file's header. */
export class LetterMachine {
	readonly world: World;
	readonly invariants: LetterInvariants;
	readonly #target: Target;
	readonly #config = loadConfig({
		file: undefined,
		cwd: "/",
		environment: {
			POCKAFFE_KAFKA_BROKERS: "none:1",
			POCKAFFE_KAFKA_GROUP: GROUP,
			POCKAFFE_KAFKA_TOPICS: TOPIC,
			POCKAFFE_HANDLER_MODULE: "none",
			POCKAFFE_DATABASE_URL: "postgres://none",
			POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"},"create":true}}',
		},
	}).config;
	readonly #layouts = tableLayouts(this.#config);
	readonly #server: SimServer;
	readonly #faults = { latencyMs: 20, stalls: 0, fails: 0, answerLost: 0, codes: ["57014", "40001", "08006"], denied: [] };
	readonly #topic: SimLetterTopic;
	/** Of the topic's records so far, as they come. */
	readonly #fold = new LetterFold(() => null);
	readonly #log: readonly (readonly ReceivedMessage[])[];
	readonly #moods = new Map<string, Fails>();
	readonly #onPoison: "dead-letter" | "skip";
	readonly #committed = Array.from({ length: PARTITIONS }, () => 0);
	readonly #assignments = Array.from({ length: PARTITIONS }, () => 0);
	readonly #members: (Member | null)[] = Array.from({ length: PARTITIONS }, () => null);
	readonly #late: Member[] = [];
	#commands = 0;
	#processes = 0;

	constructor(seed: number, target: Target) {
		this.world = new World(seed);
		this.#target = target;
		this.#onPoison = this.world.chance(0.5) ? "skip" : "dead-letter";
		this.#log = Array.from({ length: PARTITIONS }, (_, partition) =>
			Array.from({ length: MESSAGES }, (_, offset) => ({
				topic: TOPIC,
				partition,
				offset,
				// Ties, and steps back.
				timestamp: WALL_START + offset * 10 + this.world.between(-15, 15),
				key: Buffer.from(`id-${this.world.between(0, 8)}`),
				value: Buffer.from(name({ partition, offset })),
				headers: [],
			})),
		);
		this.invariants = new LetterInvariants(
			this.world,
			target,
			(place) => String(this.#message(place).key),
			(place) => this.#message(place),
		);
		this.#server = new SimServer(this.world, this.#layouts, this.#faults, {
			changed: ({ table, before, after }) => this.#changed(table, before, after),
			restored: () => {},
			answered: () => {},
		});
		this.#topic = new SimLetterTopic(this.world, PARTITIONS, (record) => this.#appended(record));
		for (const place of this.#places()) this.#moods.set(name(place), this.world.chance(0.5) ? this.#badMood() : "no");
	}

	/** Plays it; rejects with what does not hold. */
	async run(): Promise<void> {
		for (let partition = 0; partition < PARTITIONS; partition++) this.#assign(partition);
		for (let step = 0; step < STEPS; step++) {
			this.#act();
			await this.world.until(() => false, this.world.random() * 2_000);
		}
		await this.#end();
	}

	#act(): void {
		const { world } = this;
		const partition = world.between(0, PARTITIONS);
		const actions: readonly (readonly [weight: number, act: () => void])[] = [
			[4, () => this.#changeMoods()],
			[2, () => this.#members[partition]?.process.kill()],
			[4, () => this.#assign(partition)],
			[1, () => this.#release(partition)],
			[3, () => this.#freeze(partition)],
			[2, () => this.#readAgain(partition)],
			[1, () => this.#faultsChange()],
			[7, () => this.#command("replay")],
			[3, () => this.#command("discard")],
			[2, () => this.#command("purge")],
		];
		let left = world.random() * actions.reduce((sum, [weight]) => sum + weight, 0);
		for (const [weight, act] of actions) {
			left -= weight;
			if (left >= 0) continue;
			act();
			return;
		}
	}

	/** Another member takes the partition; the one that had it may not know yet. */
	#assign(partition: number): void {
		const before = this.#members[partition];
		if (before) this.#late.push(before);
		const assignment = (this.#assignments[partition] as number) + 1;
		this.#assignments[partition] = assignment;
		const process = this.#process("member");
		const from = this.#committed[partition] as number;
		const messages = (this.#log[partition] as readonly ReceivedMessage[]).slice(from);
		const told = (offset: number) => {
			if (!member.isReleased) finished(offset);
		};
		const finished = this.#tracker(partition, assignment, from);
		const member: Member = { process, assignment, isReleased: false, worker: this.#worker(process, partition, told) };
		this.#members[partition] = member;
		if (before && this.world.chance(0.5)) stop(before);
		if (messages.length === 0) return;
		for (const { offset } of messages) this.invariants.deliveredAt.set(name({ partition, offset }), this.world.now);
		member.worker.deliver(packMessages(messages));
	}

	/** It stands for a while, and does not know what happens meanwhile: another member may have the partition by then. */
	#freeze(partition: number): void {
		const { world } = this;
		const process = this.#members[partition]?.process;
		process?.freeze();
		world.after(world.random() * 20_000, () => process?.thaw());
		world.after(world.random() * 1_000, () => this.#assign(partition));
	}

	/** Given away in order, and nobody has it for a while. */
	#release(partition: number): void {
		const member = this.#members[partition];
		this.#members[partition] = null;
		if (member) stop(member);
	}

	/** As `offsets set` does it: everything of the partition from somewhere on comes again. */
	#readAgain(partition: number): void {
		this.#release(partition);
		this.#assignments[partition] = (this.#assignments[partition] as number) + 1;
		this.#committed[partition] = this.world.between(0, (this.#committed[partition] as number) + 1);
		this.#assign(partition);
	}

	#worker(process: SimProcess, partition: number, finished: (offset: number) => void): PartitionWorker {
		const { world } = this;
		const database = this.#server.connect(process);
		const parts = { config: this.#config, database, clock: process, random: () => world.random() };
		const deadLetters = this.#deadLetters(process);
		void deadLetters.prepare().catch(() => {});
		return new PartitionWorker({
			partition: { topic: TOPIC, partition },
			logId: "log",
			settings: {
				...workerSettings(this.#config, this.#layouts),
				maxAttempts: 2,
				retryBackoffMs: 5,
				maxRetryBackoffMs: 5,
				minBackoffMs: 1,
				maxBackoffMs: 5,
				onPoison: this.#onPoison,
				breaker: { share: 1, minMessages: 1, withinMs: 1, consecutive: 0 },
			},
			threads: this.#threads(process)({ topic: TOPIC, partition }),
			rows: buildWriter(parts, this.#layouts),
			records: noRecords,
			deadLetters,
			intensity: new RestartIntensity({ maxRestarts: 1_000, withinMs: 1 }),
			turn: new Turn(),
			clock: process,
			random: () => world.random(),
			finished,
			isFull: () => false,
			listener: silent,
		});
	}

	/** What is finished without a gap is committed a while later, unless the partition is another member's by then. */
	#tracker(partition: number, assignment: number, from: number): (offset: number) => void {
		const { world } = this;
		const finished = new Set<number>();
		let next = from;
		return (offset) => {
			const place = { partition, offset };
			if (!this.invariants.isSettled(place)) world.fail("committed-unsettled", `${name(place)} is finished, and nothing of it is there`);
			finished.add(offset);
			while (finished.has(next)) next++;
			const committed = next;
			world.after(world.random() * 50, () => {
				if (this.#assignments[partition] !== assignment) return;
				this.#committed[partition] = Math.max(committed, this.#committed[partition] as number);
			});
		};
	}

	#deadLetters(process: SimProcess): DeadLetterTarget {
		const origin = { consumerGroup: GROUP, version: "1", clock: process, random: () => this.world.random() };
		if (this.#target === "table") return new DeadLetterTable({ ...origin, database: this.#server.connect(process), table: "letters" });
		const connectProducer = async () => this.#topic.produce(process);
		return new DeadLetterTopic({ ...origin, kafka: this.#config.kafka, topic: LETTERS, connectProducer });
	}

	#store(process: SimProcess): LetterStore {
		if (this.#target === "table") return new DeadLetterTableStore(this.#server.connect(process), "letters", GROUP, "1");
		return new DeadLetterTopicStore({
			kafka: this.#config.kafka,
			topic: LETTERS,
			clock: process,
			signal: new AbortController().signal,
			consumerGroup: GROUP,
			version: "1",
			connectReader: async () => this.#topic.read(process),
			connectProducer: async () => this.#topic.produce(process),
		});
	}

	/** A person's command, which may be killed on its way. */
	#command(verb: "replay" | "discard" | "purge"): void {
		if (this.#commands >= 2 || (verb === "purge" && this.#target === "topic")) return;
		const { world } = this;
		this.#commands++;
		const process = this.#process(verb);
		const isOver = () => {
			this.#commands--;
		};
		void this.#carryOut(process, verb, this.#filter(verb)).then(isOver, isOver);
		if (world.chance(0.4)) {
			world.after(world.random() * 500, () => {
				process.kill();
				isOver();
			});
		}
	}

	#filter(verb: "replay" | "discard" | "purge"): LetterFilter {
		const { world } = this;
		const { from, usual } = letterVerbs[verb];
		const place = { topic: TOPIC, partition: world.between(0, PARTITIONS) };
		const narrow: LetterFilter = world.chance(0.5) ? {} : world.chance(0.5) ? place : { ...place, offset: world.between(0, MESSAGES) };
		// A discard knows by itself which it is for.
		if (verb === "discard" && world.chance(0.3)) return narrow;
		return { ...narrow, states: world.chance(0.6) ? usual : [world.pick(from)] };
	}

	async #carryOut(process: SimProcess, verb: "replay" | "discard" | "purge", filter: LetterFilter): Promise<void> {
		const states: readonly string[] = filter.states ?? letterVerbs[verb].from;
		const isMeant = ({ partition, offset }: Place) => (filter.partition ?? partition) === partition && (filter.offset ?? offset) === offset;
		// A replay marks whatever the letter has become since it was read; the others look at the state as they write.
		this.invariants.wishes.push({
			verb,
			means: (place, state) => isMeant(place) && (verb === "replay" || states.includes(state) || this.#target === "topic"),
		});
		const store = this.#store(process);
		if (verb === "discard") await store.discard(filter);
		else if (verb === "purge") await store.purge(filter);
		else await this.#replay(process, store, filter);
	}

	/** How many were read and how many of them went through. */
	async #replay(
		process: SimProcess,
		store: LetterStore,
		filter: LetterFilter,
	): Promise<{ readonly read: number; readonly through: number }> {
		const counts = { read: 0, told: 0, through: 0 };
		async function* pages() {
			for await (const page of store.read(filter)) {
				counts.read += page.length;
				yield page;
			}
		}
		const parts = {
			config: this.#config,
			database: this.#server.connect(process),
			clock: process,
			random: () => this.world.random(),
			signal: new AbortController().signal,
			threads: this.#threads(process),
		};
		await replayLetters(parts, pages(), async (letters) => {
			await store.settle(letters.filter(({ isLeft }) => !isLeft));
			counts.told += letters.length;
			counts.through += letters.filter(({ failure, isLeft }) => failure === null && !isLeft).length;
		});
		if (counts.told !== counts.read) this.world.fail("letter-lost", `a replay read ${counts.read} letters and told ${counts.told}`);
		return counts;
	}

	#changeMoods(): void {
		for (const place of this.#places())
			if (this.world.chance(0.3)) this.#moods.set(name(place), this.world.chance(0.4) ? this.#badMood() : "no");
	}

	#faultsChange(): void {
		const rate = () => (this.world.chance(0.5) ? this.world.random() * 0.1 : 0);
		Object.assign(this.#faults, { fails: rate(), answerLost: rate() });
		Object.assign(this.#topic.faults, { refused: rate(), answerLost: rate() });
	}

	/** Everything is mended: the log is read to its end, and what is left of letters is replayed. */
	async #end(): Promise<void> {
		Object.assign(this.#faults, { fails: 0, answerLost: 0 });
		Object.assign(this.#topic.faults, { refused: 0, answerLost: 0 });
		for (const place of this.#places()) this.#moods.set(name(place), "no");
		for (const member of [...this.#late, ...this.#members]) member?.process.kill();
		for (let partition = 0; partition < PARTITIONS; partition++) this.#assign(partition);
		const isRead = () => this.#committed.every((offset) => offset === MESSAGES);
		if (!(await this.world.until(isRead, PATIENCE_MS))) this.world.fail("stands-still", `committed: ${this.#committed.join()}`);
		await this.world.until(() => false, 20_000);
		const process = this.#process("last");
		const store = this.#store(process);
		await this.#countsAgree(store);
		const filter = { states: letterVerbs.replay.from };
		this.invariants.wishes.push({ verb: "replay", means: () => true });
		const counts = await this.world.settled(this.#replay(process, store, filter), PATIENCE_MS);
		if (counts.read !== counts.through)
			this.world.fail("letter-lost", `of ${counts.read} letters ${counts.through} went through, and nothing is wrong with any`);
		await this.#countsAgree(store);
		const left = await this.world.settled(store.count(filter), PATIENCE_MS);
		if (left.length > 0) this.world.fail("letter-lost", `behind the last replay there are ${JSON.stringify(left)}`);
		for (const place of this.#places()) {
			if (!this.invariants.hasRow(place) && !this.invariants.forgone.has(name(place)))
				this.world.fail("never-arrived", `${name(place)} has no row`);
		}
		await this.world.until(() => true, 0);
	}

	/** What is counted, what is read, and what was seen to be stored. */
	async #countsAgree(store: LetterStore): Promise<void> {
		const counted = await this.world.settled(store.count({}), PATIENCE_MS);
		const read = await this.world.settled(all(store), PATIENCE_MS);
		const known = [...this.invariants.letters.values()];
		for (const state of ["open", "skipped", "replayed", "discarded"]) {
			const figures = [
				counted.reduce((sum, each) => sum + (each.state === state ? each.letters : 0), 0),
				read.filter((each) => each.state === state).length,
				known.filter((each) => each === state).length,
			];
			if (new Set(figures).size > 1) this.world.fail("letter-lost", `letters that are ${state}: counted, read, stored ${figures.join()}`);
		}
	}

	#threads(process: SimProcess) {
		return moodyThreads(process, this.#layouts, (partition, offset) => {
			const id = String(this.#message({ partition, offset }).key);
			switch (this.#moods.get(name({ partition, offset }))) {
				case "throws":
					throw new Error("not today");
				case "rejects":
					return { reject: "not today" };
				case "refused":
					return { table: "events", id, fields: { n: BAD } };
				default:
					return { table: "events", id, fields: { n: name({ partition, offset }) } };
			}
		});
	}

	#changed(table: string, before: Row | null, after: Row | null): void {
		if (table === "events" && after) {
			this.invariants.rowStored(String(after.id), {
				partition: Number(after.kafka_partition),
				offset: Number(after.kafka_offset),
				timestamp: Number(after.kafka_ts),
			});
		}
		if (table !== "letters") return;
		const row = (after ?? before) as Row;
		this.invariants.letterStored(
			{ partition: Number(row.partition), offset: Number(row.offset) },
			after ? (after.state as LetterState) : null,
		);
	}

	#appended(record: ReceivedMessage): void {
		const letter = readLetterRecord(record);
		if (letter) this.#fold.take(letter);
		for (const each of this.#fold.letters()) this.invariants.letterStored(each, each.state);
	}

	#process(what: string): SimProcess {
		return new SimProcess(this.world, `${what} ${++this.#processes}`);
	}

	#badMood(): Fails {
		return this.world.pick(["throws", "rejects", "refused"] as const);
	}

	#message({ partition, offset }: Place): ReceivedMessage & Version {
		return this.#log[partition]?.[offset] as ReceivedMessage;
	}

	#places(): Place[] {
		return this.#log.flat();
	}
}

function stop(member: Member): void {
	member.isReleased = true;
	void member.worker.stop("revoked").catch(() => {});
}

async function all(store: LetterStore) {
	const letters = [];
	for await (const page of store.read({})) letters.push(...page);
	return letters;
}

const nothing = () => {};
const silent = {
	started: nothing,
	handled: nothing,
	crashed: nothing,
	restarted: nothing,
	terminateFailed: nothing,
	heldTooMuch: nothing,
	carefulBegan: nothing,
	carefulEnded: nothing,
	parked: nothing,
	resumed: nothing,
	deadLettered: nothing,
	skipped: nothing,
	stopRequested: nothing,
};
