/** What is done to the scene, one at a time or several at once. Each resolves when the harm is over. */
import { systemClock } from "../../src/core/clock.ts";
import type { Random } from "../../src/core/random.ts";
import { pick, type Scene } from "./scene.ts";

/** A fault by name; rejects only where the scene can't go on. */
export interface Fault {
	readonly name: string;
	/** How often it is chosen, beside the others. */
	readonly weight: number;
	run(scene: Scene, random: Random): Promise<void>;
}

const STOP_TIMEOUT_MS = 60_000;

/**
 * SIGTERM: 0 where it drained, 4 where the deadline passed because a server was away; without the addon 137 where it says that its Kafka
 * client hung while closing, as it does where the broker is killed just then. Anything else is a finding. Node itself answers before the
 * daemon listens.
 */
async function stopProperly(scene: Scene, daemon: Scene["daemons"][number]): Promise<void> {
	scene.forget(daemon);
	await daemon.said("listens at");
	const late = systemClock.sleep(STOP_TIMEOUT_MS).then(() => "late" as const);
	const code = await Promise.race([daemon.end("SIGTERM"), late]);
	const isHungClient = code === 137 && (await daemon.hasSaid("the Kafka client did not close"));
	if (code !== 0 && code !== 4 && !isHungClient) {
		await daemon.end("SIGKILL");
		throw new Error(`${daemon.name} ended with ${code} on SIGTERM`);
	}
}

function between(random: Random, fromMs: number, toMs: number): Promise<void> {
	return systemClock.sleep(fromMs + random() * (toMs - fromMs));
}

/** Servers that other faults have taken away refuse: then there is nothing to do. */
async function onDatabase(scene: Scene, ...statements: string[]): Promise<void> {
	await scene
		.withDatabase(async (database) => {
			for (const statement of statements) await database.query(statement);
		})
		.catch(() => {});
}

/** What was changed has to be changed back, however long the server is away. */
async function onDatabaseForSure(scene: Scene, ...statements: string[]): Promise<void> {
	for (;;) {
		try {
			await scene.withDatabase(async (database) => {
				for (const statement of statements) await database.query(statement);
			});
			return;
		} catch {
			await systemClock.sleep(200);
		}
	}
}

const cutConnections =
	"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pockaffe' and pid <> pg_backend_pid()";

let brokerIsAway = false;

export const faults: readonly Fault[] = [
	{
		name: "kill a daemon",
		weight: 4,
		async run(scene, random) {
			const daemon = pick(random, scene.daemons);
			scene.forget(daemon);
			await daemon.end("SIGKILL");
			scene.startDaemon();
		},
	},
	{
		name: "stop a daemon and start another",
		weight: 3,
		async run(scene, random) {
			await stopProperly(scene, pick(random, scene.daemons));
			scene.startDaemon();
		},
	},
	{
		name: "freeze a daemon",
		weight: 3,
		async run(scene, random) {
			const { child } = pick(random, scene.daemons);
			child.kill("SIGSTOP");
			await between(random, 500, 14_000);
			child.kill("SIGCONT");
		},
	},
	{
		name: "one daemon more for a while",
		weight: 2,
		async run(scene, random) {
			const daemon = scene.startDaemon();
			await between(random, 1_000, 10_000);
			if (scene.daemons.includes(daemon)) await stopProperly(scene, daemon);
		},
	},
	{
		name: "kill the broker",
		weight: 1,
		async run(scene, random) {
			if (brokerIsAway) return;
			brokerIsAway = true;
			await scene.kafka.kill();
			await between(random, 0, 8_000);
			await scene.kafka.restart();
			brokerIsAway = false;
		},
	},
	{
		name: "kill the database",
		weight: 2,
		async run({ postgres }) {
			try {
				process.kill(postgres.pid, "SIGKILL");
			} catch {
				// It is dead already, and on its way back.
			}
		},
	},
	{ name: "cut the database's connections", weight: 3, run: (scene) => onDatabase(scene, cutConnections) },
	{
		name: "lock the table",
		weight: 2,
		async run(scene, random) {
			const seconds = 0.5 + random() * 12;
			await onDatabase(scene, `do $$ begin lock table events in access exclusive mode; perform pg_sleep(${seconds}); end $$`);
		},
	},
	{
		name: "make the database read-only",
		weight: 1,
		async run(scene, random) {
			await onDatabase(scene, "alter system set default_transaction_read_only = on", "select pg_reload_conf()", cutConnections);
			await between(random, 500, 6_000);
			const writable = "set session characteristics as transaction read write";
			await onDatabaseForSure(scene, writable, "alter system reset default_transaction_read_only", "select pg_reload_conf()");
		},
	},
	{
		name: "rename a column",
		weight: 1,
		async run(scene, random) {
			await onDatabase(scene, "alter table events rename column note to note_away");
			await between(random, 200, 4_000);
			await onDatabaseForSure(
				scene,
				`do $$ begin if exists (select from information_schema.columns where table_name = 'events' and column_name = 'note_away') then alter table events rename column note_away to note; end if; end $$`,
			);
		},
	},
	{
		name: "break the handler",
		weight: 1,
		async run(scene, random) {
			await scene.breakHandler();
			await between(random, 200, 4_000);
			await scene.restoreHandler();
		},
	},
];

/** One of them by weight. */
export function chooseFault(random: Random): Fault {
	const sum = faults.reduce((total, { weight }) => total + weight, 0);
	let left = random() * sum;
	for (const fault of faults) {
		left -= fault.weight;
		if (left < 0) return fault;
	}
	return faults[0] as Fault;
}
