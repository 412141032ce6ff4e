/** `offsets set` through running daemons on a real Kafka, with offsets in Kafka and in the database, and killed in the middle. */
import { expect, inject, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { connectDatabase } from "../../src/sink/database/database.ts";
import type { DaemonProcess, LogRecord } from "../support/daemons/daemon-process.ts";
import { type PositionScene, positionScene } from "../support/fakes/position-scene.ts";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { isAboutAddon } from "../support/project/with-addon.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

/** A group that has read ten messages. */
async function sceneAtTen(kafka: Record<string, unknown> = {}, store = "kafka") {
	const scene = await positionScene(brokers, kafka, store);
	await scene.produce("read", 10);
	return scene;
}

async function startAtTen(scene: PositionScene): Promise<DaemonProcess> {
	const daemon = scene.start();
	await scene.untilRows(daemon, 10);
	await scene.untilCommitted();
	await daemon.ready();
	return daemon;
}

const set = async (scene: PositionScene, daemon: DaemonProcess, to: string, ...more: string[]) =>
	scene.run("offsets", "set", "--to", to, "--yes", "--url", await daemon.url(), ...more);

/** Nothing is written to the notes meanwhile; they are read. Returns when somebody waits for that. */
async function lockedNotes(scene: PositionScene) {
	const holder = connectDatabase({ url: scene.db.url, connections: 1, clock: systemClock });
	await holder.query("begin");
	await holder.query("lock table pockaffe_offsets_start in share mode");
	return {
		async [Symbol.asyncDispose]() {
			await holder.query("rollback");
			await holder.close();
		},
	};
}

const waitsForNotes = async (scene: PositionScene): Promise<boolean> =>
	(await scene.db.database.query("select 1 from pg_locks where not granted and relation = 'pockaffe_offsets_start'::regclass")).length > 0;

const notes = (scene: PositionScene) =>
	scene.db.database.query("select reached_offset::int4 as reached, skipped from pockaffe_offsets_start");

describeOnKafka("offsets set through a running daemon", () => {
	it.each([
		["kafka", "classic"],
		["postgres", "classic"],
		// It joins anew, and its counters go on.
		["kafka", "eager"],
	])("back is read again, without a restart and without a rebalance's warning (offsets in %s, %s)", async (store, protocol) => {
		await using scene = await sceneAtTen({ protocol }, store);
		await using daemon = await startAtTen(scene);
		const told = await set(scene, daemon, "3", "--json");
		expect([told.stderr, told.code]).toEqual(["", 0]);
		const plan = { topic: scene.topic, partition: 0, low: 0, high: 10, committed: 10, to: 3, again: 7, passedOver: 0 };
		expect(JSON.parse(told.stdout)).toEqual([plan]);
		await waitFor(
			`seven again\n${daemon.output.slice(-6000)}`,
			async () => (await daemon.metric("pockaffe_messages_consumed_total")) === 17,
			20_000,
		);
		await scene.untilCommitted();
		const isTold = ({ level, msg }: LogRecord) => (level === "warn" || level === "error") && !isAboutAddon(msg);
		expect(daemon.records.filter(isTold)).toEqual([]);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
		expect(await scene.run("verify")).toMatchObject({ code: 0 });
	});

	it.each([
		["kafka", "classic"],
		["postgres", "classic"],
		["kafka", "eager"],
	])("on is passed over: told, counted and noted; a paused partition stays paused (offsets in %s, %s)", async (store, protocol) => {
		await using scene = await sceneAtTen({ protocol }, store);
		await using daemon = await startAtTen(scene);
		const url = await daemon.url();
		expect(await scene.run("pause", scene.topic, "0", "--url", url)).toMatchObject({ code: 0 });
		await scene.produce("passed", 5);
		const told = await set(scene, daemon, "latest");
		expect([told.code, told.stdout]).toEqual([0, expect.stringMatching(/at most 0 messages are read again, 5 are passed over/)]);
		await daemon.record("what was passed over", ({ passedOver, level }) => passedOver === 5 && level === "warn");
		expect(await daemon.metric("pockaffe_offsets_skipped_total", 'reason="offsets_set"')).toBe(5);
		expect(await daemon.metric("pockaffe_admin_actions_total", 'action="set_offsets"')).toBe(1);
		// The start is told a moment before the partition is in the supervisor's hands again.
		await waitFor("the partition to be back", async () => (await daemon.status()).partitions.length === 1);
		expect((await daemon.status()).partitions).toMatchObject([{ state: "paused", position: 15 }]);
		await scene.produce("later", 2);
		expect(await scene.run("resume", scene.topic, "0", "--url", url)).toMatchObject({ code: 0 });
		await scene.untilRows(daemon, 12);
		await scene.untilCommitted();
		expect((await notes(scene))[0]).toMatchObject({ skipped: [{ from: 10, to: 15, reason: "offsets_set" }] });
		expect(await daemon.stop()).toBe(0);
		expect((await scene.run("verify")).stdout).toMatch(/; 5 offsets were passed over$/m);
	});

	it("says what is wrong with what was typed, and changes nothing", async () => {
		await using scene = await sceneAtTen();
		await using daemon = await startAtTen(scene);
		const url = await daemon.url();
		const cases = [
			[["--to", "11", "--yes", "--url", url], 2, "offset 11 is outside the log of .*/0, which has 0 to 10"],
			[["--to", "3", "--yes", "--url", "http://127.0.0.1:1"], 1, "no daemon answers at http://127.0.0.1:1"],
			[["another-group", "--to", "3", "--yes", "--url", url], 1, "there is no group another-group: .*nothing was changed"],
			[["--to", "3", "--url", url], 2, "at most 7 messages are read again.*--yes"],
		] as const;
		for (const [args, code, words] of cases)
			expect(await scene.run("offsets", "set", ...args)).toMatchObject({ code, stderr: expect.stringMatching(new RegExp(words, "s")) });
		expect(await scene.committed()).toBe(10);
		expect(await daemon.stop()).toBe(0);
	});

	it.each([
		["back", "3", 3],
		["on", "15", 10],
	])("killed in the middle, %s: the group stands where it was or where it shall, and the same command finishes", async (_, to, left) => {
		await using scene = await sceneAtTen();
		{
			await using daemon = await startAtTen(scene);
			expect(await scene.run("pause", scene.topic, "0", "--url", await daemon.url())).toMatchObject({ code: 0 });
			await scene.produce("later", 5);
			await using _lock = await lockedNotes(scene);
			const told = set(scene, daemon, to);
			await waitFor("the note", async () => (await waitsForNotes(scene)) && (await scene.committed()) === left);
			expect(await daemon.stop("SIGKILL")).toBe(137);
			expect(await told).toMatchObject({ code: 1, stderr: expect.stringContaining("no daemon answers") });
		}
		expect(await scene.committed()).toBe(left);
		await using daemon = scene.start();
		await scene.untilRows(daemon, 15);
		await scene.untilCommitted();
		await daemon.ready();
		expect(await set(scene, daemon, "12")).toMatchObject({ code: 0, stdout: expect.stringMatching(/at most 3 messages are read again/) });
		await scene.untilCommitted();
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
		expect(await scene.run("verify")).toMatchObject({ code: 0 });
	});
});

describeOnKafka("offsets set through the group, killed in the middle", () => {
	it.each([
		["back", "3", 3, /at most 3 messages are read again|at most 0 messages/],
		["on", "latest", 10, /5 are passed over/],
	])("%s: it left what was there or what shall be there, and the same command finishes", async (direction, to, left, words) => {
		await using scene = await sceneAtTen();
		{
			await using daemon = await startAtTen(scene);
			expect(await daemon.stop()).toBe(0);
		}
		await scene.produce("later", 5);
		const command = ["offsets", "set", "--to", to, "--yes"];
		{
			await using _lock = await lockedNotes(scene);
			const killed = scene.start({}, command);
			await waitFor("the note", () => waitsForNotes(scene));
			expect(await killed.stop("SIGKILL")).toBe(137);
			expect(await scene.committed()).toBe(left);
		}
		expect(await scene.run(...command)).toMatchObject({ code: 0, stdout: expect.stringMatching(words) });
		await using daemon = scene.start();
		await scene.untilCommitted();
		await daemon.ready();
		expect(daemon.records.filter(({ level }) => level === "error")).toEqual([]);
		expect(await daemon.stop()).toBe(0);
		const verified = await scene.run("verify");
		expect([verified.code, verified.stdout]).toEqual([
			0,
			expect.stringContaining(direction === "on" ? "; 5 offsets were passed over" : ""),
		]);
	});
});
