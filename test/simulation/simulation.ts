/**
 * One run by one seed: the delivery of the daemon, unchanged, on simulated Kafka, threads, database and clocks. Daemons come, go, freeze,
 * are cut off and killed while messages arrive; then everything heals, and all of it must be there.
 */
import type { Config } from "../../src/config/config.ts";
import { tableLayouts } from "../../src/config/table-layouts.ts";
import type { DatabaseRow } from "../../src/sink/database/database.ts";
import type { SimClient } from "./client.ts";
import { SimDaemon } from "./daemon.ts";
import { SimServer } from "./database.ts";
import { Disturbances, TRANSIENT } from "./disturbances.ts";
import { Invariants } from "./invariants.ts";
import { SimKafka } from "./kafka.ts";
import { KAFKA_FORGIVES } from "./kinds.ts";
import { SimProducer } from "./producer.ts";
import { SimRecordBroker } from "./record-broker.ts";
import { describeScenario, drawScenario, RULES, type Scenario, withoutBreaker } from "./scenario.ts";
import type { Change } from "./sql/tables.ts";
import type { ThreadFaults } from "./thread.ts";
import { type InvariantCode, SimProcess, Violation, World } from "./world.ts";

const PRODUCING_MS = 12_000;
const CATCH_UP_MS = 15 * 60_000;
/** Longer than every back-off, session and deadline: who has got no further by then stands still. */
const PATIENCE_MS = 2 * 60_000;
/** A person looks again after so long. */
const LOOK_EVERY_MS = 10_000;

/** What a seed chose, for whoever reads of it. */
export interface RunSummary {
	readonly seed: number;
	readonly settings: string;
	readonly messages: number;
	readonly virtualMs: number;
}

/**
 * Runs a seed; throws a Violation (with the seed in its message) where an invariant does not hold. `forced`: kinds that are there in any
 * case.
 */
export async function simulate(seed: number, forced: readonly string[] = []): Promise<RunSummary> {
	const run = new Run(seed, forced);
	try {
		return await run.play();
	} catch (error) {
		const code: InvariantCode = error instanceof Violation ? error.code : "crash";
		const what = error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
		throw new Violation(code, `seed ${seed} (${run.settings}): ${code}: ${what}`);
	}
}

class Run {
	readonly #seed: number;
	readonly #world: World;
	readonly #scenario: Scenario;
	readonly #invariants: Invariants;
	readonly #kafka: SimKafka;
	readonly #server: SimServer;
	readonly #threadFaults: ThreadFaults = {
		loadFails: 0,
		initFails: 0,
		beginningEnds: 0,
		throws: 0,
		dies: 0,
		hangs: 0,
		diesIdle: 0,
		keeps: 0,
		messageMs: 10,
	};
	readonly #daemons: SimDaemon[] = [];
	readonly #records: SimRecordBroker;
	readonly #producer: SimProducer;
	readonly #disturbances: Disturbances;
	/** What daemons are started with. */
	#config: Config;
	#daemonCount = 0;

	constructor(seed: number, forced: readonly string[]) {
		this.#seed = seed;
		const world = new World(seed);
		this.#world = world;
		const scenario = drawScenario(world, forced);
		this.#scenario = scenario;
		const { calm, config, extras, hasIds, isEager, keeps, partitions, strategy } = scenario;
		if (keeps) this.#threadFaults.keeps = 0.6;
		this.#config = config;
		const mayPassOver = config.kafka.onOffsetOutOfRange === "latest";
		const inDatabase = config.offsets.store === "postgres";
		// Rows that wait for a parent are left to the successor, however calm it is.
		const handsOverDone = calm && !extras.has("parents elsewhere");
		const invariants = new Invariants(world, {
			strategy,
			calm: handsOverDone,
			inDatabase,
			keeps,
			mayPassOver,
			maxAttempts: config.handler.maxAttempts,
		});
		this.#invariants = invariants;
		const kafkaObserver = {
			committed: (partition: number, offset: number) => invariants.committedInKafka(partition, offset),
			assigned: (client: SimClient, partition: number, offset: number) => invariants.assigned(client, partition, offset),
			sought: (client: SimClient, partition: number, offset: number) => invariants.sought(client, partition, offset),
			released: (client: SimClient, partition: number, lost: boolean) => invariants.released(client, partition, lost),
		};
		const traits = { forgives: KAFKA_FORGIVES, hasIds, isEager };
		this.#kafka = new SimKafka(world, partitions, { latencyMs: 20, fails: 0, answerLost: 0, repeats: 0 }, kafkaObserver, traits);
		const faults = { latencyMs: 30, stalls: 0, fails: 0, answerLost: 0, codes: TRANSIENT, denied: [] };
		const observer = {
			changed: (change: Change) => invariants.changed(change),
			restored: () => invariants.restored(),
			answered: (rows: readonly DatabaseRow[]) => invariants.answered(rows),
		};
		this.#server = new SimServer(world, tableLayouts(config), faults, observer, RULES);
		if (extras.has("commits that don't wait")) this.#server.synchronousCommit = "off";
		if (extras.has("rows of before"))
			this.#server.addRowsOfBefore(
				"events",
				Array.from({ length: 12 }, (_, i) => `id-0-${i}`),
			);
		this.#records = new SimRecordBroker(world);
		if (extras.has("records")) invariants.records = this.#records;
		// A group that begins at the end may go back to the beginning.
		if (config.kafka.startFrom === "earliest") this.#records.arrived = (name, isFirst) => invariants.recordArrived(name, isFirst);
		invariants.kafka = this.#kafka;
		invariants.server = this.#server;
		this.#producer = new SimProducer(world, this.#kafka, { calm, extras });
		this.#disturbances = new Disturbances({
			world,
			scenario,
			kafka: this.#kafka,
			server: this.#server,
			records: this.#records,
			threadFaults: this.#threadFaults,
			producer: this.#producer,
			invariants,
			daemons: this.#daemons,
			start: () => this.#start(),
			producingMs: PRODUCING_MS,
		});
	}

	get settings(): string {
		return describeScenario(this.#scenario);
	}

	async play(): Promise<RunSummary> {
		const world = this.#world;
		// Some of the log is there before anybody looks.
		for (let i = world.between(0, 40); i > 0; i--) this.#producer.produce();
		for (let i = world.between(20, 200); i > 0; i--) world.after(world.random() * PRODUCING_MS, () => this.#producer.produce());
		for (let i = world.between(1, 3); i > 0; i--) this.#start();
		for (let i = world.between(3, 14); i > 0; i--) world.after(world.random() * PRODUCING_MS, () => this.#disturbances.any());
		await world.until(() => false, PRODUCING_MS);
		this.#disturbances.heal();
		this.#flushStates();
		this.#attend();
		await this.#catchUp();
		await this.#stop();
		this.#invariants.judge();
		await world.until(() => true, 0);
		return { seed: this.#seed, settings: this.settings, messages: this.#producer.produced, virtualMs: Math.round(world.now) };
	}

	/** Until all is at rest; ends early where nothing moves any more. */
	async #catchUp(): Promise<void> {
		const { now } = this.#world;
		for (let before = ""; this.#world.now - now < CATCH_UP_MS; ) {
			if (await this.#world.until(() => this.#isAtRest(), PATIENCE_MS)) return;
			const progress = JSON.stringify([this.#positions(), this.#server.changes]);
			if (progress === before) break;
			before = progress;
			// A position that left the log may have gone on at its end, past the message that was to flush.
			this.#flushStates();
		}
		throw new Violation("stands-still", this.#describe());
	}

	/** What a handler's state still holds is flushed with the next message. */
	#flushStates(): void {
		if (this.#scenario.keeps) for (const partition of this.#kafka.logs.keys()) this.#producer.produce(partition);
	}

	#positions(): readonly (number | null)[] {
		return this.#kafka.logs.map((_, partition) => this.#invariants.committed(partition));
	}

	/** A person looks at what is parked, finds that the letters are right, and lets them be made. */
	#attend(): void {
		if (!this.#scenario.extras.has("breaker")) return;
		this.#world.after(LOOK_EVERY_MS, () => {
			this.#config = withoutBreaker(this.#config);
			if (this.#daemons.some(({ isParked }) => isParked)) this.#disturbances.replaceAll();
			this.#attend();
		});
	}

	async #stop(): Promise<void> {
		const stops = this.#daemons.map((daemon) => daemon.stop());
		let drained: boolean[] | null = null;
		void Promise.all(stops).then((results) => {
			drained = results;
		});
		if (!(await this.#world.until(() => drained !== null, 60_000))) throw new Violation("stop", "the stop hangs");
		if ((drained as boolean[] | null)?.includes(false)) throw new Violation("stop", "the last stop did not drain");
	}

	#isAtRest(): boolean {
		// A member that was given up and has not noticed yet would have to stop without its commits.
		const isMember = ({ client }: SimDaemon) => client !== null && this.#kafka.isMember(client);
		// The offset of a log that is gone may be the end of the one that took its place.
		const isFetched = (partition: number) => this.#daemons.some((daemon) => daemon.fetches(partition));
		return (
			this.#disturbances.isOver &&
			this.#invariants.isAllCommitted() &&
			[...this.#kafka.logs.keys()].every(isFetched) &&
			this.#daemons.every((daemon) => daemon.isQuiet && isMember(daemon))
		);
	}

	#start(): void {
		const process = new SimProcess(this.#world, `daemon-${++this.#daemonCount}`);
		const { extras, keeps } = this.#scenario;
		const daemon = new SimDaemon({
			process,
			config: this.#config,
			kafka: this.#kafka,
			server: this.#server,
			records: this.#records,
			produces: extras.has("records"),
			threadFaults: this.#threadFaults,
			keeps,
			invariants: this.#invariants,
			died: (dead) => this.#disturbances.died(dead),
		});
		this.#daemons.push(daemon);
	}

	#describe(): string {
		const positions = this.#kafka.logs.map(({ end }, partition) => `${partition}: ${this.#invariants.committed(partition)} of ${end}`);
		return `${positions.join(", ")}; ${this.#kafka.describe()}; ${this.#daemons.map((daemon) => daemon.describe()).join("; ")}`;
	}
}
