/** `offsets set` on a real Kafka, with offsets in Kafka and in the database: what is read again, what is passed over, who refuses. */
import { expect, inject, it } from "vitest";
import { positionScene } from "../support/fakes/position-scene.ts";
import { deleteRecords } from "../support/kafka/kafka-admin.ts";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

/** A group that has read ten messages, and was stopped. */
async function stoppedAtTen(store = "kafka") {
	const scene = await positionScene(brokers, {}, store);
	await scene.produce("read", 10);
	await using daemon = scene.start();
	await scene.untilRows(daemon, 10);
	await scene.untilCommitted();
	expect(await daemon.stop()).toBe(0);
	return scene;
}

const noted = "select start_offset::int4 as start, reached_offset::int4 as reached, skipped from pockaffe_offsets_start";

describeOnKafka("offsets set", () => {
	it.each(["kafka", "postgres"])("back is read again, and --dry-run only says so (offsets in %s)", async (store) => {
		await using scene = await stoppedAtTen(store);
		const dry = await scene.run("offsets", "set", "--to", "3", "--dry-run", "--json");
		expect(dry).toMatchObject({ code: 0, stderr: "" });
		const plan = { topic: scene.topic, partition: 0, low: 0, high: 10, committed: 10, to: 3, again: 7, passedOver: 0 };
		expect(JSON.parse(dry.stdout)).toEqual([plan]);
		expect(await scene.committed()).toBe(10);
		const set = await scene.run("offsets", "set", "--to", "3", "--yes");
		expect(set).toMatchObject({ code: 0, stdout: expect.stringMatching(/at most 7 messages are read again, 0 are passed over/) });
		await using daemon = scene.start();
		expect(await daemon.record("the start", ({ from }) => from !== undefined)).toMatchObject({
			offset: 3,
			from: "committed",
			level: "info",
		});
		await scene.untilCommitted();
		expect(await daemon.metric("pockaffe_messages_consumed_total")).toBe(7);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it.each(["kafka", "postgres"])("on is passed over, and noted (offsets in %s)", async (store) => {
		await using scene = await stoppedAtTen(store);
		await scene.produce("passed", 5);
		expect((await scene.run("offsets", "set", "--to", "latest", "--yes")).stdout).toMatch(
			/at most 0 messages are read again, 5 are passed over/,
		);
		await scene.produce("later", 2);
		await using daemon = scene.start();
		expect(await daemon.record("the start", ({ from }) => from !== undefined)).toMatchObject({
			offset: 15,
			from: "committed",
			level: "info",
		});
		await scene.untilRows(daemon, 12);
		await scene.untilCommitted();
		const [note] = await scene.db.database.query(noted);
		const skipped = [{ from: 10, to: 15, reason: "offsets_set" }];
		expect(note).toEqual({ start: 0, reached: store === "kafka" ? 17 : null, skipped });
		expect(await daemon.stop()).toBe(0);
		const verified = await scene.run("verify");
		expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("10 to 14 were passed over (offsets_set)") });
		expect(verified.stdout).toMatch(/\nverified (\d+) of \1 ids: the tables are what the log says; 5 offsets were passed over$/m);
	});

	it("to a time goes to the first message that is as young", async () => {
		await using scene = await stoppedAtTen();
		const { stdout } = await scene.run("offsets", "set", "--to", new Date(1_700_000_000_004).toISOString(), "--yes", "--json");
		expect(JSON.parse(stdout)).toMatchObject([{ to: 4, again: 6 }]);
		expect(await scene.committed()).toBe(4);
	});

	it("is refused in words while a daemon of the group runs that nobody named, and changes nothing; then the start is where it was", async () => {
		await using scene = await stoppedAtTen();
		await using daemon = scene.start();
		await daemon.ready();
		expect(await scene.run("offsets", "set", "--to", "earliest", "--yes")).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringMatching(
				withAddon.skip
					? /group .* has members by now: say where each daemon is .*nothing was changed/
					: /group .* has members, and no daemon answered that has .*\/0 \(.* at .*\): say where each daemon is .*nothing was changed/,
			),
		});
		expect(await scene.committed()).toBe(10);
		expect((await scene.db.database.query(noted))[0]).toMatchObject({ reached: 10, skipped: null });
		expect(await daemon.stop()).toBe(0);
	});

	it("in the database reaches a running daemon, which begins there", async () => {
		await using scene = await stoppedAtTen("postgres");
		await using daemon = scene.start();
		await daemon.ready();
		expect(await scene.run("offsets", "set", "--to", "6", "--yes")).toMatchObject({ code: 0 });
		await daemon.record("the new start", ({ from, offset }) => from === "committed" && offset === 6);
		await waitFor("four again", async () => (await daemon.metric("pockaffe_messages_consumed_total")) === 4);
		await scene.untilCommitted();
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it.each(["earliest", "latest"])("%s, as a parked partition's reason says it, lets the next daemon go on", async (to) => {
		await using scene = await stoppedAtTen();
		await scene.produce("gone", 5);
		await scene.produce("kept", 3);
		await deleteRecords(brokers, scene.topic, 0, 15);
		{
			await using daemon = scene.start();
			const reason = await waitFor("the reason", async () => (await daemon.notReady()).find(({ code }) => code === "parked"));
			const commands = [...reason.message.matchAll(/`pockaffe ([^`]*)`/g)].map((match) => match[1] as string);
			expect(commands).toHaveLength(2);
			expect(await daemon.stop()).toBe(0);
			const [command] = commands.filter((each) => each.endsWith(to)) as [string];
			expect(await scene.run(...command.split(" "), "--yes")).toMatchObject({ code: 0, stderr: "" });
		}
		await using daemon = scene.start();
		await scene.untilCommitted();
		await daemon.ready();
		expect((await scene.ids()).filter((id) => id.startsWith("kept")).length).toBe(to === "earliest" ? 3 : 0);
		expect((await scene.db.database.query(noted))[0]).toMatchObject({ skipped: [{ from: 10, to: to === "earliest" ? 15 : 18 }] });
		expect(await daemon.stop()).toBe(0);
	});

	it("asks before: without a terminal --yes has to say so, and nothing was changed", async () => {
		await using scene = await stoppedAtTen();
		const asked = await scene.run("offsets", "set", "--to", "3");
		expect([asked.code, asked.stderr]).toEqual([2, expect.stringMatching(/at most 7 messages are read again, .*--yes/s)]);
		expect(await scene.committed()).toBe(10);
	});

	it("says what is wrong with what was typed", async () => {
		await using scene = await positionScene(brokers);
		const cases = [
			[["--to", "5"], 2, "offset 5 is outside the log of .*/0, which has 0 to 0"],
			[["--to", "yesterday"], 2, "earliest, latest, a time such as"],
			[["--to", "earliest", "--partition", "7"], 2, "has no partition 7: its only one is 0"],
			[["--to", "earliest", "--topic", "nowhere"], 1, "there is no topic nowhere"],
			[[], 2, "--to"],
		] as const;
		for (const [args, code, words] of cases) {
			expect(await scene.run("offsets", "set", ...args)).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(words) });
		}
		const mistyped = [`${scene.group.slice(0, -1)}x`, "--to", "earliest", "--yes"];
		expect(await scene.run("offsets", "set", ...mistyped)).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringContaining(`there is no group ${mistyped[0]} (did you mean ${scene.group}?): nothing is committed`),
		});
		expect(await scene.run("offsets", mistyped[0] as string)).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringMatching(`^pockaffe: there is no group ${mistyped[0]}`),
		});
		// Its own may be set before its first start.
		expect(await scene.run("offsets", "set", "--to", "earliest", "--dry-run")).toMatchObject({
			code: 0,
			stderr: `group ${scene.group} has not begun yet (is kafka.group right?): its first start will be at these offsets\n`,
		});
		// A group of that name is shown as any other.
		expect(await scene.run("offsets", scene.group, "--topic", scene.topic, "--json")).toMatchObject({ code: 0 });
	});
});

describeOnKafka("consume, whose group's offset is out of range", () => {
	it("says so, and where it goes on", async () => {
		await using scene = await stoppedAtTen();
		await scene.produce("gone", 5);
		await scene.produce("kept", 2);
		await deleteRecords(brokers, scene.topic, 0, 15);
		const { stdout, stderr } = await scene.run("consume", scene.topic, "-g", scene.group, "--exit-at-end");
		expect(stderr).toContain("the group's offset 10 is out of range (the log has 15 to 17): goes on at 15");
		expect(stdout.trim().split("\n")).toHaveLength(2);
	});
});
