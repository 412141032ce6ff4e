/** A verification that is interrupted, by its user or by a kill, goes on where it was: its report is that of one that was left alone. */
import { existsSync, readFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { type SceneRecord, VerifiedScene } from "../../support/daemons/verified-scene.ts";
import { deleteTopic, kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Three partitions of sevens. */
const MESSAGES = 3 * 7 * 286;

/** Ids that come again, deletes, messages that the handler rejects and rows that the database refuses. */
function recordOf(at: number): SceneRecord {
	const key = `id-${at % 700}`;
	if (at % 41 === 0) return [at % 3, key, null];
	if (at % 97 === 0) return [at % 3, key, { reject: "no good" }];
	return [at % 3, key, { name: `n${at}`, small: at % 83 === 0 ? 99_999 : at % 1_000 }];
}

/** Partitions come as they come, and so do their differences. */
function inOrder({ differences, ...rest }: VerificationReport) {
	return { ...rest, differences: differences.map((each) => JSON.stringify(each)).sort() };
}

/** Messages read by what is kept in the folder; 0 where nothing is. */
function keptIn(folder: string): number {
	const file = join(folder, "state.jsonl");
	return existsSync(file) ? JSON.parse(readFileSync(file, "utf8").split("\n")[0] as string).messages : 0;
}

/** Interrupted each time that it has kept some hundred messages more, and begun again until it ends. */
async function resumedReport(scene: VerifiedScene, folder: string) {
	for (let runs = 1; ; runs++) {
		const before = keptIn(folder);
		const stop = new AbortController();
		let first: number | null = null;
		try {
			const { report } = await scene.verify({
				signal: stop.signal,
				resume: { folder, everyMs: 0 },
				progress: ({ read, table }) => {
					first ??= read;
					if (table === null && keptIn(folder) > before + 300) stop.abort(new Error("stopped"));
				},
			});
			return { report, runs };
		} catch (error) {
			expect(error).toMatchObject({ code: "interrupted", message: expect.stringContaining(`goes on with what is kept in ${folder}`) });
			// What was kept counts already; what is read once more does not count again.
			expect(first).toBeGreaterThanOrEqual(before);
		}
	}
}

it("goes on from what it kept, however often it is interrupted, and tells what one that was left alone tells", async () => {
	await using temporary = await temporaryFolder();
	await using scene = await VerifiedScene.open(
		{},
		Array.from({ length: MESSAGES }, (_, at) => recordOf(at)),
	);
	await scene.sql(
		"update events set name = 'other' where id in ('id-5', 'id-6')",
		"delete from events where id = 'id-77'",
		"delete from pockaffe_dead_letters where \"offset\" < 200 and reason = 'rejected'",
	);
	const whole = await scene.verify();
	expect(whole.report.counts).toMatchObject({ missing: 1, different: 2 });
	expect(whole.report.counts.failed).toBeGreaterThan(3);
	const folder = join(temporary.path, "kept");
	const { report, runs } = await resumedReport(scene, folder);
	expect(runs).toBeGreaterThan(2);
	expect(inOrder(report)).toEqual(inOrder(whole.report));
	expect(existsSync(folder)).toBe(false);
});

it("goes on from the first message that the handler left unfinished", async () => {
	await using temporary = await temporaryFolder();
	// The rows of seven messages come with the last of them.
	const handler = `export const init = () => ({ open: [] });
		export function handleMessages(batch, state) {
			let finishedTo = null;
			const outcomes = batch.map(({ key, value, offset }) => {
				state.open.push({ id: key.toString(), fields: JSON.parse(value.toString()) });
				if (offset % 7 !== 6) return null;
				finishedTo = offset;
				return state.open.splice(0);
			});
			return { outcomes, finishedTo };
		}`;
	const records = Array.from({ length: MESSAGES }, (_, at): SceneRecord => [at % 3, `id-${at}`, { name: `n${at}` }]);
	await using scene = await VerifiedScene.open({}, records, handler);
	const { report, runs } = await resumedReport(scene, join(temporary.path, "kept"));
	expect(runs).toBeGreaterThan(2);
	expect(report).toMatchObject({ verified: true, messages: MESSAGES, counts: { matched: MESSAGES }, differences: [] });
});

describeOnKafka("verify --resume", () => {
	const brokers = inject("kafkaBrokers");
	const TOTAL = 12_000;

	it("goes on behind a kill, with the messages behind what it kept, and not with another handler or another log", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("resume"), uniqueName("g")];
		const notes = join(folder.path, "handled.txt");
		const handler = (word: string) => `
			import { appendFileSync } from "node:fs";
			const pause = new Int32Array(new SharedArrayBuffer(4));
			export function init({ purpose }) { return purpose; }
			export function handleMessage({ key, value, offset }, purpose) {
				if (purpose === "verify") {
					appendFileSync(${JSON.stringify(notes)}, offset + "\\n");
					Atomics.wait(pause, 0, 0, 1);
				}
				return { id: key.toString(), fields: { name: ${JSON.stringify(word)} + value.toString() } };
			}`;
		await writeFile(join(folder.path, "handler.mjs"), handler("n"));
		const records = () => Array.from({ length: TOTAL }, (_, at) => ({ topic, partition: 0, key: `id-${at % 5_000}`, value: String(at) }));
		await loadTopic(brokers, { name: topic, partitions: 1 }, records());
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group },
			handler: { module: "./handler.mjs" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
		};
		{
			await using daemon = await runDaemon(folder.path, config);
			await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
			await waitFor("all to be committed", async () => (await inspector.groupOffsets([topic]))[0]?.committed === TOTAL);
			expect(await daemon.stop()).toBe(0);
		}
		const verify = () => new DaemonProcess(["verify", "--json", "--resume", "kept"], { cwd: folder.path });
		const state = join(folder.path, "kept", "state.jsonl");
		const keptOffset = () => JSON.parse(readFileSync(state, "utf8").split("\n")[1] as string).next as number;
		let from: number;
		{
			await using first = verify();
			await waitFor("something to be kept", () => existsSync(state));
			expect(await first.stop("SIGKILL")).toBe(137);
			from = keptOffset();
			expect(from).toBeGreaterThan(0);
			expect(from).toBeLessThan(TOTAL);
		}
		await writeFile(join(folder.path, "handler.mjs"), handler("other"));
		{
			await using other = verify();
			expect(await other.exited()).toBe(2);
			expect(other.output).toContain("was begun with another handler");
		}
		await writeFile(join(folder.path, "handler.mjs"), handler("n"));
		await writeFile(notes, "");
		{
			await using second = verify();
			expect(await second.exited(), second.output).toBe(0);
			const report = JSON.parse(second.output.slice(second.output.indexOf("{"), second.output.lastIndexOf("}") + 1));
			expect(report).toMatchObject({ verified: true, messages: TOTAL, counts: { matched: 5_000 }, differences: [] });
		}
		const handled = readFileSync(notes, "utf8").trim().split("\n").map(Number);
		expect([Math.min(...handled), handled.length]).toEqual([from, TOTAL - from]);
		expect(await readdir(folder.path)).not.toContain("kept");

		// A topic that was deleted and made again is another log. Its id says so, which nobody can ask for without the addon.
		if (withAddon.skip) return;
		{
			await using third = verify();
			await waitFor("something to be kept", () => existsSync(state));
			await third.stop("SIGKILL");
		}
		await deleteTopic(brokers, topic);
		await loadTopic(brokers, { name: topic, partitions: 1 }, records());
		await using fourth = verify();
		expect(await fourth.exited()).toBe(2);
		expect(fourth.output).toMatch(new RegExp(`${topic}/0 is another log since the verification was begun: remove the folder`));
	});
});
