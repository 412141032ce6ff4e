/** What happens to a run by chance: daemons come, go, freeze, are cut off and killed, servers and threads fail, logs are made again. */

import type { SimDaemon } from "./daemon.ts";
import type { SimServer } from "./database.ts";
import type { Invariants } from "./invariants.ts";
import type { SimKafka } from "./kafka.ts";
import type { SimLog } from "./log.ts";
import type { SimProducer } from "./producer.ts";
import { healthy, type SimRecordBroker } from "./record-broker.ts";
import type { Scenario } from "./scenario.ts";
import type { State } from "./sql/tables.ts";
import type { ThreadFaults } from "./thread.ts";
import type { World } from "./world.ts";

const MOST_DAEMONS = 3;
/** A daemon that is to be stopped is so by then. */
const STOPS_WITHIN_MS = 40;
/** Some ten sessions. */
const BEGINNINGS_MS = 60_000;
const well = { loadFails: 0, initFails: 0, beginningEnds: 0, throws: 0, dies: 0, hangs: 0, diesIdle: 0, messageMs: 10 };
/** Threads begin often, beside slow messages, and that may end the process. */
const beginning = { beginningEnds: 0.15, throws: 0.1, dies: 0.05, messageMs: 300 };
/** Codes of failures that pass, and of such that somebody has to mend. */
export const TRANSIENT: readonly string[] = ["40P01", "57P01", "CONNECTION_CLOSED", "53300", "25006", "08006", "57014", "55P03"];
const SYSTEMIC = ["42P01", "42501", "28P01"];

/** What they work on. */
export interface DisturbedRun {
	readonly world: World;
	readonly scenario: Scenario;
	readonly kafka: SimKafka;
	readonly server: SimServer;
	readonly records: SimRecordBroker;
	readonly threadFaults: ThreadFaults;
	readonly producer: SimProducer;
	readonly invariants: Invariants;
	readonly daemons: SimDaemon[];
	/** Starts one more daemon. */
	start(): void;
	/** From then on nothing more is produced by chance. */
	readonly producingMs: number;
}

/** See the file's header. */
export class Disturbances {
	readonly #run: DisturbedRun;
	#toCome = 0;
	/** How threads are while nothing more is wrong with them. */
	#atBest: Omit<ThreadFaults, "keeps"> = well;

	constructor(run: DisturbedRun) {
		this.#run = run;
		if (!run.scenario.extras.has("deadly beginnings")) return;
		this.#atBest = { ...well, ...beginning };
		this.#toCome++;
		run.world.after(BEGINNINGS_MS, () => {
			this.#toCome--;
			this.#atBest = well;
			this.#resetFaults();
		});
		this.#resetFaults();
	}

	/** Nothing that has begun is still to come to its end. */
	get isOver(): boolean {
		return this.#toCome === 0;
	}

	/** One of them. */
	any(): void {
		const { scenario, world } = this.#run;
		const calm = [() => this.#rebalances(), () => this.#replaceOne(), () => this.#oneMore(), () => this.#oneLess()];
		world.pick(scenario.calm ? calm : [...calm, ...this.#failures(), ...this.#histories()])();
	}

	/** All failures end; who is frozen or cut off comes back. */
	heal(): void {
		const { daemons, threadFaults, world } = this.#run;
		this.#resetFaults();
		threadFaults.keeps = 0;
		for (const daemon of daemons) {
			daemon.process.thaw();
			daemon.client?.cutOff(false);
		}
		if (daemons.length === 0) this.#run.start();
		// A stop that is still to come (seed 7104762) may take the last.
		world.after(STOPS_WITHIN_MS + 1, () => daemons.length === 0 && this.#run.start());
	}

	/** All daemons are stopped, and others take their place. */
	replaceAll(): void {
		const stopped = [...this.#run.daemons];
		for (const daemon of stopped) this.#stop(daemon);
		this.#run.start();
	}

	/** One alone, or the next before everybody has answered the last. */
	#rebalances(): void {
		const { kafka, world } = this.#run;
		for (let i = world.pick([1, 1, 2, 4]); i > 0; i--) world.after(world.random() * 300, () => kafka.rebalance());
	}

	#failures(): (() => void)[] {
		const { scenario, world, threadFaults } = this.#run;
		const { faults: records } = this.#run.records;
		const clientGivesUp = () => this.#for(() => Object.assign(records, { gaveUp: 0.1, latencyMs: world.pick([30, 1_000]) }));
		const topicIsMissing = () => this.#for(() => Object.assign(records, { isMissing: true }));
		const atRecords = [...Array.from({ length: 10 }, () => clientGivesUp), topicIsMissing, topicIsMissing];
		const { faults: database } = this.#run.server;
		const { faults: kafka } = this.#run.kafka;
		return [
			...(scenario.extras.has("records") ? atRecords : []),
			() => this.#kill(),
			() => this.#kill(),
			() => this.#freeze(),
			() => this.#freeze(),
			() => this.#cutOff(),
			() => this.#cutOff(),
			() => this.#one()?.client?.exceedMaxPoll(),
			() => this.#for(() => Object.assign(database, { fails: world.pick([0.1, 0.5, 1]), codes: TRANSIENT })),
			() => this.#for(() => Object.assign(database, { fails: world.pick([0.5, 1]), codes: SYSTEMIC })),
			() => this.#for(() => Object.assign(database, { answerLost: world.pick([0.2, 0.7]) })),
			() => this.#for(() => Object.assign(database, { latencyMs: world.pick([500, 5_000]) })),
			() => this.#for(() => Object.assign(database, { denied: ["pockaffe_dead_letters"] })),
			() => this.#for(() => Object.assign(kafka, { fails: world.pick([0.2, 1]) })),
			() => this.#for(() => Object.assign(kafka, { answerLost: 0.5 })),
			() => this.#for(() => Object.assign(kafka, { latencyMs: 2_000 })),
			() => this.#for(() => Object.assign(threadFaults, { throws: 0.05, dies: 0.02, diesIdle: 0.05, hangs: 0.002 })),
			() => this.#for(() => Object.assign(threadFaults, { loadFails: 0.6, initFails: 0.3, dies: 0.05 })),
			() => this.#for(() => Object.assign(threadFaults, { messageMs: 300 })),
			() => this.#jump(),
			...(this.#run.scenario.extras.has("repeats")
				? Array.from({ length: 10 }, () => () => this.#for(() => Object.assign(kafka, { repeats: 0.03 })))
				: []),
			...(this.#run.scenario.extras.has("commits that don't wait") ? Array.from({ length: 5 }, () => () => this.#run.server.crash()) : []),
		];
	}

	#histories(): (() => void)[] {
		switch (this.#run.scenario.history) {
			case "remade":
				return Array.from({ length: 8 }, () => () => this.#recreate());
			case "forgotten":
				return Array.from({ length: 8 }, () => () => this.#forget());
			case "records deleted":
				return Array.from({ length: 8 }, () => () => this.#deleteRecords());
			case "truncated":
				return Array.from({ length: 5 }, () => () => this.#loseEnd());
			case "restored":
				return Array.from({ length: 5 }, () => () => this.#restore());
			case null:
				return [];
		}
	}

	/** Does something, and undoes it after a while. */
	#for(harm: () => void): void {
		harm();
		this.#run.world.after(this.#run.world.random() * 6_000, () => this.#resetFaults());
	}

	#resetFaults(): void {
		const { kafka, records, server, threadFaults } = this.#run;
		Object.assign(records.faults, healthy);
		Object.assign(kafka.faults, { latencyMs: 20, fails: 0, answerLost: 0, repeats: 0 });
		Object.assign(server.faults, { latencyMs: 30, stalls: 0, fails: 0, answerLost: 0, denied: [] });
		Object.assign(threadFaults, this.#atBest);
	}

	#one(): SimDaemon | undefined {
		const { daemons, world } = this.#run;
		return daemons.length > 0 ? world.pick(daemons) : undefined;
	}

	#kill(): void {
		const { world } = this.#run;
		const daemon = this.#one();
		if (!daemon) return;
		this.#end(daemon);
		if (world.chance(0.8)) world.after(world.random() * 2_000, () => this.#run.start());
	}

	/** A message or the handler's beginning ended it, and it is started again, as a service manager would. */
	died(daemon: SimDaemon): void {
		const { world } = this.#run;
		this.#toCome++;
		this.#end(daemon);
		world.after(world.random() * 2_000, () => {
			this.#toCome--;
			this.#run.start();
		});
	}

	#end(daemon: SimDaemon): void {
		const { daemons, kafka } = this.#run;
		const index = daemons.indexOf(daemon);
		if (index >= 0) daemons.splice(index, 1);
		daemon.process.kill();
		if (daemon.client) kafka.watchSession(daemon.client);
	}

	#freeze(): void {
		const { kafka, world } = this.#run;
		const daemon = this.#one();
		if (!daemon || daemon.process.frozen) return;
		daemon.process.freeze();
		if (daemon.client) kafka.watchSession(daemon.client);
		world.after(world.random() * 12_000, () => daemon.process.thaw());
	}

	#cutOff(): void {
		const { world } = this.#run;
		const daemon = this.#one();
		daemon?.client?.cutOff(true);
		world.after(world.random() * 12_000, () => daemon?.client?.cutOff(false));
	}

	#jump(): void {
		const daemon = this.#one();
		if (daemon) daemon.process.wallOffset += this.#run.world.between(-3_600_000, 3_600_000);
	}

	/** Twice, so that the second new log has the very offsets whose rows of the first are still on their way. */
	#recreate(): void {
		const { daemons, invariants, kafka, producer, producingMs, scenario, server, world } = this.#run;
		this.#for(() => Object.assign(server.faults, world.pick([{ latencyMs: 300 }, { latencyMs: 4_000 }, { stalls: 0.6 }, { stalls: 0.6 }])));
		const rebirth = () => {
			// Without ids only Kafka's having forgotten an offset tells: it must have had one.
			if (!scenario.hasIds && kafka.committed.size < kafka.logs.length) return;
			invariants.logsDeleted();
			kafka.recreate();
			for (let i = world.between(0, 20 * kafka.logs.length); i > 0; i--) producer.produce();
		};
		// A log that goes back while its partitions are drained is another case, and so is one that nobody looks at.
		const one = this.#one();
		if (one && world.chance(0.7)) this.#stop(one);
		if (world.chance(0.2)) for (const daemon of [...daemons]) this.#stop(daemon);
		rebirth();
		if (daemons.length === 0) world.after(world.random() * 3_000, () => this.#run.start());
		// Without ids an offset that is on its way to Kafka while the topic is made again hides that.
		const longestMs = scenario.hasIds ? world.pick([600, 3_000]) : 600;
		// Behind the end of the load everything may be at rest, and nobody looks for more.
		world.after(world.random() * longestMs, () => world.now < producingMs && rebirth());
	}

	/** All are away until Kafka has forgotten the group; what comes meanwhile is to be read all the same. */
	#forget(): void {
		const { daemons, kafka, producer, world } = this.#run;
		this.#allAway(() => {
			if (daemons.length > 0) return;
			if (!kafka.isEmpty) return this.#forget();
			kafka.forget();
			for (let i = world.between(0, 20); i > 0; i--) producer.produce();
		});
	}

	#deleteRecords(): void {
		const { kafka, world } = this.#run;
		const partition = world.between(0, kafka.logs.length);
		const remove = () => {
			const { low, end } = kafka.logs[partition] as SimLog;
			if (end > low) kafka.deleteRecords(partition, world.between(low + 1, end + 1));
		};
		if (world.chance(0.4)) this.#allAway(remove);
		else remove();
	}

	/** Nothing more comes behind what is left: a log that has grown past a position again looks like one that never lost anything. */
	#loseEnd(): void {
		const { invariants, kafka, producer, world } = this.#run;
		const partition = world.between(0, kafka.logs.length);
		const lose = () => {
			const log = kafka.logs[partition] as SimLog;
			if (log.losses > 0 || log.end - log.low < 3) return;
			producer.hold(partition);
			invariants.endLost(partition, log.truncate(world.between(Math.max(log.low, log.end - 12), log.end - 1)));
		};
		if (world.chance(0.4)) this.#allAway(lose);
		else lose();
	}

	#restore(): void {
		const { server, world } = this.#run;
		const backup = server.backUp();
		if (world.trace) console.log(Math.round(world.now), "a backup is made");
		this.#toCome++;
		const restore = () => {
			this.#toCome--;
			if (!this.#isTellable(backup)) return;
			if (world.trace) console.log(Math.round(world.now), "the backup is put back");
			server.restore(backup);
		};
		// A letter that can't be stored holds the offset up, and rows are written behind it.
		if (world.chance(0.5)) this.#for(() => Object.assign(server.faults, { denied: ["pockaffe_dead_letters"] }));
		world.after(200 + world.random() * world.pick([4_000, 9_000]), () => (world.chance(0.4) ? this.#allAway(restore) : restore()));
	}

	/**
	 * A backup of before the group began says nothing, and Kafka's copy of the offsets counts. A daemon that runs finds out by what it has
	 * written since: nothing where the backup is younger than its last store or look.
	 */
	#isTellable(backup: State): boolean {
		const { kafka, invariants } = this.#run;
		const kept = [...(backup.get("pockaffe_offsets")?.rows.values() ?? [])];
		return kept.length === kafka.logs.length && !kept.some((row) => invariants.isAsWritten(row));
	}

	/** Does something while no daemon is there, and starts one some time after. */
	#allAway(act: () => void): void {
		const { daemons, world } = this.#run;
		for (const daemon of [...daemons]) {
			daemon.process.thaw();
			this.#stop(daemon);
		}
		world.after(500 + world.random() * 1_500, () => {
			act();
			world.after(world.random() * 1_000, () => daemons.length === 0 && this.#run.start());
		});
	}

	#oneMore(): void {
		if (this.#run.daemons.length < MOST_DAEMONS) this.#run.start();
	}

	#oneLess(): void {
		if (this.#run.daemons.length > 1) this.#stopOne();
	}

	#replaceOne(): void {
		this.#stopOne();
		this.#run.world.after(50, () => this.#run.start());
	}

	/** Alone, or while the group rebalances. */
	#stopOne(): void {
		const { kafka, world } = this.#run;
		const daemon = this.#one();
		if (!daemon) return;
		if (world.chance(0.5)) world.after(world.random() * STOPS_WITHIN_MS, () => kafka.rebalance());
		if (world.chance(0.5)) kafka.rebalance();
		world.after(world.random() * STOPS_WITHIN_MS, () => this.#stop(daemon));
	}

	#stop(daemon: SimDaemon): void {
		const { daemons } = this.#run;
		if (daemon.process.frozen || !daemons.includes(daemon)) return;
		daemons.splice(daemons.indexOf(daemon), 1);
		void daemon.stop();
	}
}
