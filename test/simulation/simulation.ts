/**
 * One run by one seed: the delivery of the daemon, unchanged, on simulated Kafka, threads, database and clocks. Daemons come, go, freeze,
 * are cut off and killed while messages arrive; then everything heals, and all of it must be there.
 */
import { EventEmitter } from "eventemitter3";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { tableLayouts } from "../../src/config/table-layouts.ts";
import type { DeadLetter, DeadLetterEvents, DeadLetterTarget } from "../../src/core/dead-letter.ts";
import type { TopicPartition } from "../../src/core/message.ts";
import { Delivery } from "../../src/delivery.ts";
import { lanesFor } from "../../src/sink/lanes-in-use.ts";
import { SharedThreads } from "../../src/worker/shared-threads.ts";
import { BAD, type DatabaseFaults, SimServer } from "./database.ts";
import { Invariants, type Strategy } from "./invariants.ts";
import { type KafkaFaults, SimClient, SimKafka, TOPIC } from "./kafka.ts";
import { type Kept, SimThread, type ThreadFaults } from "./thread.ts";
import { SimProcess, Violation, WALL_START, World } from "./world.ts";

const PRODUCING_MS = 12_000;
const CATCH_UP_MS = 15 * 60_000;
const MOST_DAEMONS = 3;
const TRANSIENT = ["40P01", "57P01", "CONNECTION_CLOSED", "53300", "25006", "08006", "57014", "55P03"];
const SYSTEMIC = ["42P01", "42501", "28P01"];

const base: Config = loadConfig({
	file: undefined,
	cwd: "/",
	environment: {
		POCKAFFE_KAFKA_BROKERS: "simulated:1",
		POCKAFFE_KAFKA_GROUP: "simulation",
		POCKAFFE_KAFKA_TOPICS: TOPIC,
		POCKAFFE_KAFKA_PROPERTIES: '{"session.timeout.ms":6000}',
		POCKAFFE_HANDLER_MODULE: "pockaffe:json",
		POCKAFFE_HANDLER_TIMEOUT_MS: "1000",
		POCKAFFE_HANDLER_MAX_ATTEMPTS: "40",
		POCKAFFE_HANDLER_RETRY_BACKOFF_MS: "5",
		POCKAFFE_HANDLER_MAX_RETRY_BACKOFF_MS: "100",
		POCKAFFE_SUPERVISOR_MAX_BACKOFF_MS: "1000",
		POCKAFFE_DATABASE_URL: "postgres://simulated",
		POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"}}}',
		POCKAFFE_CAS_MAX_FUTURE_MS: "1000000000000",
		POCKAFFE_DEAD_LETTERS_BREAKER_SHARE: "1",
		POCKAFFE_DEAD_LETTERS_BREAKER_CONSECUTIVE: "0",
		POCKAFFE_DRAIN_TIMEOUT_MS: "4000",
	},
}).config;

/** What a seed chose, for whoever reads of it. */
export interface RunSummary {
	readonly seed: number;
	readonly settings: string;
	readonly messages: number;
	readonly virtualMs: number;
}

/** Runs a seed; throws a Violation (with the seed in its message) where an invariant does not hold. */
export async function simulate(seed: number): Promise<RunSummary> {
	const run = new Run(seed);
	try {
		return await run.play();
	} catch (error) {
		const what = error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
		throw new Violation(`seed ${seed} (${run.settings}): ${what}`);
	}
}

class Run {
	readonly #seed: number;
	readonly #world: World;
	readonly #config: Config;
	readonly #calm: boolean;
	readonly #strategy: Strategy;
	readonly #mayRecreate: boolean;
	/** The handler keeps messages in its state and finishes them later. */
	readonly #keeps: boolean;
	readonly #invariants: Invariants;
	readonly #kafka: SimKafka;
	readonly #server: SimServer;
	readonly #kafkaFaults: KafkaFaults = { latencyMs: 20, fails: 0, answerLost: 0 };
	readonly #databaseFaults: DatabaseFaults = { latencyMs: 30, fails: 0, answerLost: 0, codes: TRANSIENT };
	readonly #threadFaults: ThreadFaults = { loadFails: 0, initFails: 0, throws: 0, dies: 0, hangs: 0, diesIdle: 0, keeps: 0, messageMs: 10 };
	readonly #letterFaults = { blocked: false };
	readonly #daemons: SimDaemon[] = [];
	readonly #lives = new Map<number, number>();
	#daemonCount = 0;
	#messages = 0;

	constructor(seed: number) {
		this.#seed = seed;
		const world = new World(seed);
		this.#world = world;
		this.#calm = world.chance(0.25);
		this.#strategy = world.chance(0.7) ? "timestamp" : "offset";
		const store = world.chance(0.4) ? "postgres" : "kafka";
		const startFrom = world.chance(0.3) ? "latest" : "earliest";
		// A table of offsets can't know that a log is another one by now; and without a commit `latest` is chosen again.
		this.#mayRecreate = !this.#calm && store === "kafka" && startFrom === "earliest" && world.chance(0.5);
		// Nothing is drawn for it: the other seeds stay the runs they were. In a calm run nothing may be handled twice.
		this.#keeps = !this.#calm && seed % 3 === 0;
		if (this.#keeps) this.#threadFaults.keeps = 0.6;
		const maxThreads = seed % 5 < 2 ? (seed % 5) + 1 : 0;
		this.#config = {
			...base,
			kafka: { ...base.kafka, startFrom },
			cas: { ...base.cas, version: this.#strategy },
			offsets: { ...base.offsets, store, commitIntervalMs: world.pick([50, 200, 1_000]) },
			batch: { ...base.batch, maxRows: world.pick([2, 20, 5_000]), lingerMs: world.pick([0, 5, 50]), answerMs: world.pick([5, 250]) },
			workers: { ...base.workers, maxThreads, maxQueuedMessages: world.pick([10, 100, 100_000]) },
			database: { ...base.database, connections: world.pick([1, 2, 3]) },
		};
		const [layout] = tableLayouts(this.#config);
		const invariants = new Invariants(world, {
			strategy: this.#strategy,
			calm: this.#calm,
			inDatabase: store === "postgres",
			keeps: this.#keeps,
		});
		this.#invariants = invariants;
		this.#kafka = new SimKafka(world, world.between(1, 5), this.#kafkaFaults, {
			committed: (partition, offset) => invariants.offsetCommitted(partition, offset),
			assigned: (client, partition, offset) => invariants.assigned(client, partition, offset),
			released: (client, partition, lost) => invariants.released(client, partition, lost),
		});
		this.#server = new SimServer(world, layout as NonNullable<typeof layout>, this.#databaseFaults, {
			replaced: (before, after) => invariants.rowReplaced(before, after),
			offsetStored: (partition, offset) => invariants.offsetCommitted(partition, offset),
		});
		invariants.kafka = this.#kafka;
		invariants.server = this.#server;
	}

	get settings(): string {
		const { kafka, offsets, workers } = this.#config;
		const mood = this.#calm ? "calm" : this.#mayRecreate ? "with new logs" : "with failures";
		const handler = this.#keeps ? ", a handler that keeps" : "";
		const threads = workers.maxThreads > 0 ? ` on ${workers.maxThreads} threads` : "";
		return `${this.#kafka.logs.length} partitions${threads}, ${mood}${handler}, version ${this.#strategy}, offsets in ${offsets.store}, from ${kafka.startFrom}`;
	}

	async play(): Promise<RunSummary> {
		const world = this.#world;
		// Some of the log is there before anybody looks.
		for (let i = world.between(0, 40); i > 0; i--) this.#produce();
		for (let i = world.between(20, 200); i > 0; i--) world.after(world.random() * PRODUCING_MS, () => this.#produce());
		for (let i = world.between(1, 3); i > 0; i--) this.#start();
		for (let i = world.between(3, 14); i > 0; i--) world.after(world.random() * PRODUCING_MS, () => this.#disturb());
		await world.until(() => false, PRODUCING_MS);
		this.#heal();
		// What a state still holds is flushed with the next message.
		if (this.#keeps) for (const partition of this.#kafka.logs.keys()) this.#produce(partition);
		if (!(await world.until(() => this.#isAtRest(), CATCH_UP_MS))) throw new Violation(`it stands still: ${this.#describe()}`);
		const stops = this.#daemons.map((daemon) => daemon.stop());
		let drained: boolean[] | null = null;
		void Promise.all(stops).then((results) => {
			drained = results;
		});
		if (!(await world.until(() => drained !== null, 60_000))) throw new Violation("the stop hangs");
		if ((drained as boolean[] | null)?.includes(false)) throw new Violation("the last stop did not drain");
		this.#invariants.judge();
		await world.until(() => true, 0);
		return { seed: this.#seed, settings: this.settings, messages: this.#messages, virtualMs: Math.round(world.now) };
	}

	#isAtRest(): boolean {
		// A member that was given up and has not noticed yet would have to stop without its commits.
		const isMember = ({ client }: SimDaemon) => client !== null && this.#kafka.isMember(client);
		return this.#invariants.isAllCommitted() && this.#daemons.every((daemon) => daemon.isQuiet && isMember(daemon));
	}

	#start(): void {
		const process = new SimProcess(this.#world, `daemon-${++this.#daemonCount}`);
		const daemon = new SimDaemon({
			process,
			config: this.#config,
			kafka: this.#kafka,
			server: this.#server,
			threadFaults: this.#threadFaults,
			keeps: this.#keeps,
			letterFaults: this.#letterFaults,
			invariants: this.#invariants,
		});
		this.#daemons.push(daemon);
	}

	#produce(partition = this.#world.between(0, this.#kafka.logs.length)): void {
		const world = this.#world;
		const key = `id-${this.#lives.get(partition) ?? 0}-${world.between(0, 12)}`;
		const timestamp = WALL_START + Math.floor(world.now) - world.between(0, world.chance(0.1) ? 5_000 : 3);
		this.#messages++;
		this.#kafka.produce(partition, { key, timestamp, value: this.#value() }, world.chance(0.1) ? world.between(1, 4) : 0);
		// A transaction's mark: the log ends behind it, and no message tells so.
		if (world.chance(0.05)) this.#kafka.leaveGap(partition, world.between(1, 3));
	}

	#value(): string | null {
		const world = this.#world;
		const kind = world.random();
		if (kind < 0.08) return null;
		if (kind < 0.1) return '{"way":"reject"}';
		if (kind < 0.12) return '{"way":"none"}';
		if (kind < 0.13 && !this.#calm) return '{"way":"poison"}';
		if (kind < 0.16) return JSON.stringify({ n: BAD });
		return JSON.stringify({ n: `${this.#messages}` });
	}

	#disturb(): void {
		const calm = [() => this.#kafka.rebalance(), () => this.#replaceOne(), () => this.#oneMore(), () => this.#oneLess()];
		const rough = [
			...calm,
			() => this.#kill(),
			() => this.#kill(),
			() => this.#freeze(),
			() => this.#freeze(),
			() => this.#cutOff(),
			() => this.#cutOff(),
			() => this.#any()?.client?.exceedMaxPoll(),
			() => this.#for(() => Object.assign(this.#databaseFaults, { fails: this.#world.pick([0.1, 0.5, 1]), codes: TRANSIENT })),
			() => this.#for(() => Object.assign(this.#databaseFaults, { fails: this.#world.pick([0.5, 1]), codes: SYSTEMIC })),
			() => this.#for(() => Object.assign(this.#databaseFaults, { answerLost: this.#world.pick([0.2, 0.7]) })),
			() => this.#for(() => Object.assign(this.#databaseFaults, { latencyMs: this.#world.pick([500, 5_000]) })),
			() => this.#for(() => Object.assign(this.#kafkaFaults, { fails: this.#world.pick([0.2, 1]) })),
			() => this.#for(() => Object.assign(this.#kafkaFaults, { answerLost: 0.5 })),
			() => this.#for(() => Object.assign(this.#kafkaFaults, { latencyMs: 2_000 })),
			() => this.#for(() => Object.assign(this.#threadFaults, { throws: 0.05, dies: 0.02, diesIdle: 0.05, hangs: 0.002 })),
			() => this.#for(() => Object.assign(this.#threadFaults, { loadFails: 0.6, initFails: 0.3, dies: 0.05 })),
			() => this.#for(() => Object.assign(this.#threadFaults, { messageMs: 300 })),
			() => this.#for(() => Object.assign(this.#letterFaults, { blocked: true })),
			() => this.#jump(),
			...(this.#mayRecreate ? Array.from({ length: 15 }, () => () => this.#recreate()) : []),
		];
		this.#world.pick(this.#calm ? calm : rough)();
	}

	/** Does something, and undoes it after a while. */
	#for(harm: () => void): void {
		harm();
		this.#world.after(this.#world.random() * 6_000, () => this.#resetFaults());
	}

	#resetFaults(): void {
		Object.assign(this.#kafkaFaults, { latencyMs: 20, fails: 0, answerLost: 0 });
		Object.assign(this.#databaseFaults, { latencyMs: 30, fails: 0, answerLost: 0 });
		Object.assign(this.#threadFaults, { loadFails: 0, initFails: 0, throws: 0, dies: 0, hangs: 0, diesIdle: 0, messageMs: 10 });
		this.#letterFaults.blocked = false;
	}

	#heal(): void {
		this.#resetFaults();
		this.#threadFaults.keeps = 0;
		for (const daemon of this.#daemons) {
			daemon.process.thaw();
			daemon.client?.cutOff(false);
		}
		if (this.#daemons.length === 0) this.#start();
	}

	#any(): SimDaemon | undefined {
		return this.#daemons.length > 0 ? this.#world.pick(this.#daemons) : undefined;
	}

	#kill(): void {
		const daemon = this.#any();
		if (!daemon) return;
		this.#daemons.splice(this.#daemons.indexOf(daemon), 1);
		daemon.process.kill();
		if (daemon.client) this.#kafka.watchSession(daemon.client);
		if (this.#world.chance(0.8)) this.#world.after(this.#world.random() * 2_000, () => this.#start());
	}

	#freeze(): void {
		const daemon = this.#any();
		if (!daemon || daemon.process.frozen) return;
		daemon.process.freeze();
		if (daemon.client) this.#kafka.watchSession(daemon.client);
		this.#world.after(this.#world.random() * 12_000, () => daemon.process.thaw());
	}

	#cutOff(): void {
		const daemon = this.#any();
		daemon?.client?.cutOff(true);
		this.#world.after(this.#world.random() * 12_000, () => daemon?.client?.cutOff(false));
	}

	#jump(): void {
		const daemon = this.#any();
		if (daemon) daemon.process.wallOffset += this.#world.between(-3_600_000, 3_600_000);
	}

	/** Twice, so that the second new log has the very offsets whose rows of the first are still on their way. */
	#recreate(): void {
		const world = this.#world;
		const partition = world.between(0, this.#kafka.logs.length);
		this.#for(() => Object.assign(this.#databaseFaults, { latencyMs: world.pick([300, 1_000, 4_000]) }));
		const rebirth = () => {
			this.#lives.set(partition, (this.#lives.get(partition) ?? 0) + 1);
			this.#invariants.logDeleted(partition);
			this.#kafka.recreate(partition);
			for (let i = world.between(0, 20); i > 0; i--) this.#produce(partition);
		};
		// A log that goes back while its partition is drained is another case.
		const owner = this.#daemons.find(({ client }) => client?.position.has(partition));
		if (owner && world.chance(0.7)) this.#stop(owner);
		rebirth();
		// Behind the end of the load everything may be at rest, and nobody looks for more.
		world.after(world.random() * 600, () => world.now < PRODUCING_MS && rebirth());
	}

	#oneMore(): void {
		if (this.#daemons.length < MOST_DAEMONS) this.#start();
	}

	#oneLess(): void {
		if (this.#daemons.length > 1) this.#stopOne();
	}

	#replaceOne(): void {
		this.#stopOne();
		this.#start();
	}

	#stopOne(): void {
		const daemon = this.#any();
		if (daemon) this.#stop(daemon);
	}

	#stop(daemon: SimDaemon): void {
		if (daemon.process.frozen) return;
		this.#daemons.splice(this.#daemons.indexOf(daemon), 1);
		void daemon.stop();
	}

	#describe(): string {
		const positions = this.#kafka.logs.map(({ end }, partition) => `${partition}: ${this.#invariants.committed(partition)} of ${end}`);
		return `${positions.join(", ")}; ${this.#kafka.describe()}; ${this.#daemons.map((daemon) => daemon.describe()).join("; ")}`;
	}
}

interface SimDaemonParts {
	readonly process: SimProcess;
	readonly config: Config;
	readonly kafka: SimKafka;
	readonly server: SimServer;
	readonly threadFaults: ThreadFaults;
	readonly keeps: boolean;
	readonly letterFaults: { readonly blocked: boolean };
	readonly invariants: Invariants;
}

/** A daemon's delivery in a simulated process. */
class SimDaemon {
	readonly process: SimProcess;
	readonly #delivery: Delivery;
	client: SimClient | null = null;

	constructor({ process, config, kafka, server, threadFaults, keeps, letterFaults, invariants }: SimDaemonParts) {
		this.process = process;
		const layouts = tableLayouts(config);
		const handed = (partition: number, offset: number) => invariants.handed(process.name, partition, offset);
		const flushed = keeps ? (partition: number, messages: readonly Kept[]) => invariants.flushed(partition, messages) : null;
		this.#delivery = new Delivery({
			config,
			layouts,
			database: server.connect(process),
			deadLetters: new SimDeadLetters(process, letterFaults, (letter) => invariants.letterStored(letter)),
			createClient: () => {
				this.client = new SimClient(kafka, process);
				return this.client;
			},
			threads: new SharedThreads({
				maxThreads: config.workers.maxThreads,
				createHost: () =>
					new SimThread({ process, faults: threadFaults, tables: layouts, lanes: lanesFor(config.database.connections), handed, flushed }),
			}),
			clock: process,
			random: () => process.world.random(),
			listener: {
				...listener,
				...(process.world.trace ? { supervisor: tracing(process) } : {}),
				offsetsDisplaced: (partitions) => {
					// Nobody puts a table back here: what else is found is a false alarm.
					const wrong = partitions.find(({ kind }) => kind !== "taken_over");
					if (wrong) process.world.fail(`offsets of partition ${wrong.partition} are said to be another time's: ${JSON.stringify(wrong)}`);
				},
			},
		});
		if (process.world.trace) {
			const say = (what: string) => (fact: object) =>
				console.log(Math.round(process.world.now), process.name, what, JSON.stringify(fact).slice(0, 300));
			for (const event of ["rebalanced", "start:resolved", "unassigned", "consume:failed", "look:failed", "connect:failed"] as const)
				this.#delivery.consumer.on(event, say(event) as never);
			for (const event of ["offsets:committed", "offsets:commit_failed"] as const) this.#delivery.committer.on(event, say(event) as never);
			for (const event of ["batch:written", "write:retried", "table:blocked"] as const)
				this.#delivery.writer.on(event, say(event) as never);
		}
		void this.#delivery.start();
	}

	/** Nothing is in its hands. */
	get isQuiet(): boolean {
		return [...this.#delivery.supervisor.children.values()].every(({ child }) => child.queue.queued === 0 && child.queue.handed === 0);
	}

	async stop(): Promise<boolean> {
		const { drained } = await this.#delivery.stop();
		return drained;
	}

	describe(): string {
		const children = [...this.#delivery.supervisor.children.values()].map(
			({ partition, child, paused }) =>
				`${partition} ${child.state.name} ${child.queue.queued}+${child.queue.handed}${paused ? " paused" : ""}`,
		);
		return `${this.process.name}: ${children.join(", ") || "no partitions"} (positions ${JSON.stringify([...(this.client?.position ?? [])])})`;
	}
}

/** Letters that are durable after a while; none while it is blocked. */
class SimDeadLetters extends EventEmitter<DeadLetterEvents> implements DeadLetterTarget {
	readonly #process: SimProcess;
	readonly #faults: { readonly blocked: boolean };
	readonly #stored: (letter: DeadLetter) => void;
	readonly #storing = new Set<DeadLetter>();

	constructor(process: SimProcess, faults: { readonly blocked: boolean }, stored: (letter: DeadLetter) => void) {
		super();
		this.#process = process;
		this.#faults = faults;
		this.#stored = stored;
	}

	get blocked(): boolean {
		return this.#faults.blocked;
	}

	isMoving({ partition }: TopicPartition): boolean {
		return !this.#faults.blocked && [...this.#storing].some((letter) => letter.partition === partition);
	}

	async prepare(): Promise<void> {}

	async store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		this.#storing.add(letter);
		try {
			await this.#store(letter, signal);
		} finally {
			this.#storing.delete(letter);
		}
	}

	async #store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		const { world } = this.#process;
		for (;;) {
			signal.throwIfAborted();
			const isStored = await this.#process.request(
				() => world.random() * 40,
				() => {
					if (this.#faults.blocked) return false;
					this.#stored(letter);
					return true;
				},
			);
			if (isStored) break;
			this.emit("target:blocked", { message: "simulated" });
			await this.#process.sleep(500, signal);
		}
	}

	async dispose(): Promise<void> {}
}

function tracing(process: SimProcess) {
	const say = (what: string) => (fact: object) => console.log(Math.round(process.world.now), process.name, what, JSON.stringify(fact));
	return { received: say("received"), rewound: say("rewound"), drained: say("drained") };
}

const nothing = () => {};
const listener = {
	supervisor: { received: nothing, rewound: nothing, drained: nothing },
	worker: {
		started: nothing,
		handled: nothing,
		crashed: nothing,
		restarted: nothing,
		terminateFailed: nothing,
		parked: nothing,
		resumed: nothing,
		deadLettered: nothing,
		skipped: nothing,
		stopRequested: nothing,
	},
	offsetsDisplaced: nothing,
	logsRemade: nothing,
	mirrorFailed: nothing,
	startsNotRecorded: nothing,
};
