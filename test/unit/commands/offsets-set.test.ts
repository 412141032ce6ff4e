/** `offsets set`: what it plans, says, asks of daemons and sets itself. Kafka, the daemons and the tables are the test's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../../../src/commands/offsets/offsets-set.ts";
import { partitionName, type TopicPartition } from "../../../src/core/messages/message.ts";
import type { NoteChange, PositionNote, StoredNote } from "../../../src/core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import { OffsetTable } from "../../../src/sink/offsets/offset-table.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";
import { member, type PlayedKafka, playDaemons, playedCommand, playedEnvironment, playKafka } from "../../support/fakes/played-command.ts";

/** The notes by partition, and what was done, in order. */
let notes: Map<string, StoredNote>;
let done: string[];
/** Who changes a note between its being read and written. */
let intruder: () => void;

beforeEach(() => {
	notes = new Map();
	done = [];
	intruder = () => {};
	vi.spyOn(StartTable.prototype, "prepare").mockResolvedValue("notes");
	vi.spyOn(StartTable.prototype, "keepsNotes").mockResolvedValue(true);
	vi.spyOn(StartTable.prototype, "read").mockImplementation(async () => new Map(notes));
	vi.spyOn(StartTable.prototype, "change").mockImplementation(async (changes: readonly NoteChange[]) => {
		intruder();
		const isStale = (each: NoteChange) => (notes.get(partitionName(each))?.version ?? null) !== (each.replaces?.version ?? null);
		const stale = changes.filter(isStale);
		for (const each of changes.filter((one) => !isStale(one))) {
			notes.set(partitionName(each), { note: each.note, version: String(Number(each.replaces?.version ?? 0) + 1) });
			done.push(`note ${partitionName(each)} ${each.note.reached ?? "-"}`);
		}
		return stale.map(({ topic, partition }) => ({ topic, partition }));
	});
});
afterEach(() => {
	vi.restoreAllMocks();
	vi.unstubAllGlobals();
});

const logs = {
	orders: [
		[10, 90],
		[0, 50],
	],
	payments: [[0, 8]],
} as const;
const committed = { "orders/0": 70, "orders/1": 20, "payments/0": 5 };

function kafkaOf(over: Partial<PlayedKafka> = {}): PlayedKafka {
	const told = (commit: string) => void done.push(`commit ${commit}`);
	return playKafka({ logs, committed: { ...committed }, times: { "orders/0": 33 }, told, ...over });
}

const set = (...args: string[]) => playedCommand(["offsets", "set", ...args]);
const json = async (...args: string[]) => JSON.parse((await set(...args, "--json")).stdout) as { [key: string]: unknown }[];
const targets = async (...args: string[]) => (await json("--dry-run", ...args)).map(({ to, again, passedOver }) => [to, again, passedOver]);

describe("a plan", () => {
	it("counts what is read again and what is passed over, and changes nothing", async () => {
		const kafka = kafkaOf();
		expect(await targets("--to", "earliest")).toEqual([
			[10, 60, 0],
			[0, 20, 0],
			[0, 5, 0],
		]);
		expect(await targets("--to", "latest")).toEqual([
			[90, 0, 20],
			[50, 0, 30],
			[8, 0, 3],
		]);
		expect(await targets("--to", "2023-05-01T12:00:00Z")).toEqual([
			[33, 37, 0],
			[50, 0, 30],
			[8, 0, 3],
		]);
		expect(await targets("--to", "10", "--topic", "orders", "--partition", "0")).toEqual([[10, 60, 0]]);
		expect(await targets("--to", "90", "--topic", "orders", "--partition", "0")).toEqual([[90, 0, 20]]);
		expect([done, kafka.groups[0]]).toEqual([[], "ours"]);
	});

	it("is shown as a table, and in a sentence", async () => {
		kafkaOf({ committed: { "orders/0": 70 } });
		const { code, stdout } = await set("--to", "30", "--topic", "orders", "--partition", "0", "--dry-run");
		expect([code, stdout.split("\n").map((line) => line.split(/ {2,}/))]).toEqual([
			0,
			[
				["TOPIC", "PARTITION", "LOG", "COMMITTED", "TO", "AGAIN", "PASSED-OVER"],
				["orders", "0", "10-90", "70", "30", "40", "0"],
				["Nothing was changed (--dry-run). With these offsets, at most 40 messages are read again, 0 are passed over."],
				[""],
			],
		]);
		const one = await set("--to", "69", "--topic", "orders", "--partition", "0", "--dry-run");
		expect(one.stdout).toContain("at most 1 message is read again, 0 are passed over");
		const nothing = await set("--to", "latest", "--topic", "payments", "--dry-run");
		expect(nothing.stdout).toContain("payments  0          0-8  -          8   0      0");
	});

	it.each<[why: string, args: string[], code: number, words: RegExp]>([
		[
			"an offset that is before the log",
			["--to", "9", "--topic", "orders", "--partition", "0"],
			2,
			/offset 9 is outside the log of orders\/0, which has 10 to 90/,
		],
		["an offset that is behind the log", ["--to", "91", "--topic", "orders", "--partition", "0"], 2, /offset 91 is outside/],
		[
			"a time to come",
			["--to", "2999-01-01"],
			2,
			/--to 2999-01-01T00:00:00.000Z is in the future \(it is 20.*\): for the end of the log, --to latest; nothing was changed/,
		],
		[
			"an offset of several partitions",
			["--to", "30", "--topic", "orders"],
			2,
			/--to 30 is an offset of one partition: add --topic and --partition/,
		],
		[
			"a partition of several topics",
			["--to", "earliest", "--partition", "0"],
			2,
			/--partition 0 of which topic\? Add --topic: orders, payments/,
		],
		[
			"a partition that is not there",
			["--to", "earliest", "--topic", "orders", "--partition", "2"],
			2,
			/topic orders has no partition 2: it has 0 to 1/,
		],
		["one beside the only one", ["--to", "earliest", "--topic", "payments", "--partition", "1"], 2, /its only one is 0/],
		["a topic that is not there", ["--to", "earliest", "--topic", "ordres"], 1, /there is no topic ordres \(did you mean orders\?\)/],
		["another group that has not begun", ["ourz", "--to", "earliest"], 1, /no group ourz \(did you mean ours\?\).*; nothing was changed/],
	])("is refused for %s", async (_, args, code, words) => {
		kafkaOf({ committed: {} });
		expect(await set(...args, "--yes")).toMatchObject({ code, stderr: expect.stringMatching(words) });
		expect(done).toEqual([]);
	});

	it("leaves out the configured topics that are not there, and needs one", async () => {
		kafkaOf({ logs: { orders: [[0, 5]] } });
		expect(await targets("--to", "latest")).toEqual([[5, 0, 0]]);
		kafkaOf({ logs: {} });
		expect(await set("--to", "latest")).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no topic orders") });
	});
});

describe("where no daemon runs", () => {
	const yes = (...args: string[]) => set("--yes", ...args);

	it("the offsets are set, and said", async () => {
		const kafka = kafkaOf();
		const { code, stdout, stderr } = await yes("--to", "earliest");
		expect([code, stderr, kafka.committed]).toEqual([0, "", { "orders/0": 10, "orders/1": 0, "payments/0": 0 }]);
		expect(stdout).toMatch(/\nThe offsets of group ours are set: at most 85 messages are read again, 0 are passed over\.\n$/);
	});

	it("a note goes before an offset that goes on, and after one that goes back", async () => {
		kafkaOf();
		await yes("--to", "30", "--topic", "orders", "--partition", "0");
		await yes("--to", "40", "--topic", "orders", "--partition", "1");
		await yes("--to", "5", "--topic", "payments", "--partition", "0");
		expect(done).toEqual([
			...["commit orders/0 30", "note orders/0 30"],
			...["note orders/1 40", "commit orders/1 40"],
			...["note payments/0 5", "commit payments/0 5"],
		]);
		const skipped = [{ from: 20, to: 40, reason: "offsets_set" }];
		expect(notes.get("orders/1")?.note).toMatchObject({ start: 20, reached: 40, skipped });
	});

	it("a note that somebody changed meanwhile is read again, but not for ever", async () => {
		kafkaOf();
		let left = 4;
		const note: PositionNote = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 3, skipped: [] };
		intruder = () => {
			if (left-- > 0) notes.set("payments/0", { note, version: `9${left}` });
		};
		expect(await yes("--to", "latest", "--topic", "payments")).toMatchObject({ code: 0 });
		left = 5;
		expect(await yes("--to", "latest", "--topic", "payments")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("the note of payments/0 was changed by another member meanwhile"),
		});
	});

	it("a group that has members by now keeps its offsets and its notes", async () => {
		const kafka = kafkaOf({ refusal: new KafkaError("unknown member", kafkaErrors.unknownMember) });
		const note: PositionNote = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 20, skipped: [] };
		notes.set("orders/1", { note, version: "1" });
		const { code, stderr } = await yes("--to", "latest", "--topic", "orders", "--partition", "1");
		expect([code, stderr]).toEqual([1, expect.stringMatching(/group ours has members by now: .*; nothing was changed/)]);
		expect([notes.get("orders/1")?.note, kafka.committed]).toEqual([note, committed]);
		kafkaOf({ refusal: new KafkaError("no answer", kafkaErrors.transport) });
		expect((await yes("--to", "latest")).stderr).toBe("pockaffe: can't set offsets: no answer\n");
	});

	it("it is said that a group has not begun; of one whose note or offset is there, it is not", async () => {
		const warned = async () => (await yes("--to", "earliest", "--topic", "payments")).stderr;
		kafkaOf({ committed: {} });
		expect(await warned()).toBe("group ours has not begun yet (is kafka.group right?): its first start will be at these offsets\n");
		notes.clear();
		kafkaOf({ committed: { "orders/1": 20 } });
		expect(await warned()).toBe("");
		kafkaOf({ committed: {} });
		expect(await warned()).toBe("");
	});

	it("another group's are set where that one has begun", async () => {
		const kafka = kafkaOf();
		const { stdout } = await set("theirs", "--yes", "--to", "latest");
		expect([stdout, kafka.groups]).toEqual([expect.stringContaining("offsets of group theirs are set"), ["theirs"]]);
	});
});

describe("a person", () => {
	const asked = (stdin: string, ...more: string[]) =>
		playedCommand(["offsets", "set", "--to", "earliest", "--topic", "orders", ...more], { stdin, isTerminal: true });

	it("is asked below the plan, and what is not confirmed is not done", async () => {
		const kafka = kafkaOf();
		const { code, stderr } = await asked("no\n");
		expect([code, kafka.committed]).toEqual([0, committed]);
		expect(stderr).toMatch(
			/^TOPIC .*\n.*\n.*\nThis will set the offsets of group ours: at most 80 messages are read again, 0 are passed over\. Type yes to do it: Nothing was changed\.\n$/,
		);
	});

	it("says yes, and gets what the plan said", async () => {
		const kafka = kafkaOf();
		expect(await asked("yes\n")).toMatchObject({ code: 0, stdout: expect.stringContaining("The offsets of group ours are set: ") });
		expect(kafka.committed).toEqual({ ...committed, "orders/0": 10, "orders/1": 0 });
	});

	it.each([[[]], [["--json"]]])("who thought while the group went on gets the plan anew (%j), and nothing is set", async (more) => {
		const kafka = kafkaOf();
		vi.spyOn(StartTable.prototype, "read").mockImplementationOnce(async () => {
			setImmediate(() => (kafka.committed["orders/1"] = 25));
			return new Map();
		});
		const answers = asked("yes\n", ...more);
		const { code, stdout, stderr } = await answers;
		expect([code, stderr]).toEqual([1, expect.stringContaining("the group has moved meanwhile: run this again; nothing was changed")]);
		expect([stdout, done]).toEqual([expect.stringMatching(more.length > 0 ? /"committed":25,"to":0/ : /orders {2}1 .* 25 .* 0 /), []]);
	});
});

describe("running daemons", () => {
	const yes = (...args: string[]) => set("--yes", "--to", "latest", "--topic", "orders", ...args);
	const members = [member("a", ["orders", 0]), member("b", ["orders", 1])];
	const has = (...numbers: number[]) => ({ group: "ours", partitions: numbers.map((partition) => ({ topic: "orders", partition })) });
	const isSet = (...offsets: object[]) => ({ outcome: "set", offsets });
	const setTo = (partition: number, to: number) => ({ topic: "orders", partition, to, committed: to - 7, again: 2, passedOver: 5 });
	const urls = ["--url", "http://127.0.0.1:4000", "--url", "http://127.0.0.1:4001"];

	it("set the offsets of what they have, and their words are shown", async () => {
		const kafka = kafkaOf({ members });
		const posted = playDaemons({
			4000: (method) => (method === "GET" ? has(0) : isSet(setTo(0, 90))),
			4001: (method) => (method === "GET" ? has(1) : isSet(setTo(1, 50))),
		});
		const { code, stdout } = await yes(...urls, "--json");
		expect([code, JSON.parse(stdout)]).toEqual([
			0,
			[
				{ topic: "orders", partition: 0, low: 10, high: 90, committed: 83, to: 90, again: 2, passedOver: 5 },
				{ topic: "orders", partition: 1, low: 0, high: 50, committed: 43, to: 50, again: 2, passedOver: 5 },
			],
		]);
		expect(posted.map(({ port, body }) => [port, (body as { offsets: unknown }).offsets])).toEqual([
			["4000", [{ topic: "orders", partition: 0, to: 90 }]],
			["4001", [{ topic: "orders", partition: 1, to: 50 }]],
		]);
		expect([done, kafka.committed]).toEqual([[], committed]);
	});

	it("that don't answer keep theirs: nothing is set, and whose they are is said", async () => {
		kafkaOf({ members: [member("a", ["orders", 0]), member("b")] });
		const posted = playDaemons({ 4000: () => has() });
		const { code, stderr } = await yes();
		expect([code, posted, done]).toEqual([1, [], []]);
		expect(stderr).toMatch(
			/group ours has members, and no daemon answered that has orders\/0 \(client-a at \/a\), orders\/1 \(nobody yet\): say where .*; nothing was changed\. no daemon answers at http:\/\/127\.0\.0\.1:9464/,
		);
	});

	it("that have not all of it are not enough", async () => {
		kafkaOf({ members });
		playDaemons({ 4000: () => has(0) });
		expect((await yes("--url", "http://127.0.0.1:4000")).stderr).toMatch(/no daemon answered that has orders\/1 \(client-b at \/b\): /);
	});

	it("of another group are refused", async () => {
		kafkaOf({ members });
		playDaemons({ 4000: () => ({ group: "theirs", partitions: [] }) });
		expect(await yes("--url", "http://127.0.0.1:4000")).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("is no daemon of group ours"),
		});
	});

	it("may give a partition away in between: that is said, and what was set is shown", async () => {
		kafkaOf({ members });
		playDaemons({ 4000: (method) => (method === "GET" ? has(0, 1) : isSet(setTo(1, 50))) });
		const { code, stdout, stderr } = await yes("--url", "http://127.0.0.1:4000");
		expect([code, stderr]).toEqual([1, "pockaffe: not set, a rebalance came in between: orders/0. Run this again\n"]);
		expect(stdout).toMatch(
			/^TOPIC .*\norders {2}1 .*\nThe offsets of group ours are set: at most 2 messages are read again, 5 are passed over\.\n$/,
		);
	});

	it("that fail leave also those alone that no daemon has", async () => {
		const kafka = kafkaOf({
			members: null,
			logs: {
				orders: [
					[10, 90],
					[0, 50],
					[0, 5],
				],
			},
		});
		playDaemons({
			4000: (method) => (method === "GET" ? has(0) : isSet(setTo(0, 90))),
			4001: (method) => (method === "GET" ? has(1) : { error: { message: "it is draining" } }),
		});
		const { code, stdout, stderr } = await yes(...urls);
		expect([code, kafka.committed]).toEqual([1, committed]);
		expect(stdout.split("\n").filter((line) => line.startsWith("orders"))).toHaveLength(1);
		expect(stderr).toMatch(/^pockaffe: not set, orders\/1 \(.*it is draining\); orders\/2 \(no daemon has it\)\. Run this again\n$/);
	});

	it("are not asked where the group has no members", async () => {
		kafkaOf();
		const posted = playDaemons({ 9464: () => has(0, 1) });
		expect([(await yes()).code, posted]).toEqual([0, []]);
	});
});

describe("offsets in the database", () => {
	const environment = { ...playedEnvironment, POCKAFFE_OFFSETS_STORE: "postgres" };
	const replaced: (number | null)[] = [];
	let moved: TopicPartition[];

	beforeEach(() => {
		moved = [];
		replaced.length = 0;
		vi.spyOn(OffsetTable.prototype, "stored").mockImplementation(async (partitions) =>
			partitions.map(({ topic, partition }) => ({ topic, partition, offset: topic === "orders" ? 40 : null })),
		);
		vi.spyOn(OffsetTable.prototype, "set").mockImplementation(async (offsets) => {
			done.push(...offsets.map((each) => `set ${partitionName(each)} ${each.offset}`));
			replaced.push(...offsets.map(({ replaces }) => replaces));
			return moved;
		});
	});

	const yes = () => playedCommand(["offsets", "set", "--yes", "--to", "earliest"], { environment });

	it("are set there after the notes, in place of those that the plan saw, though a daemon runs that can't be asked", async () => {
		const kafka = kafkaOf({ members: [member("a", ["orders", 0])] });
		playDaemons({});
		const { code, stdout } = await yes();
		expect([code, kafka.committed, replaced]).toEqual([0, committed, [40, 40, null]]);
		expect(done).toEqual([
			...["note orders/0 -", "note orders/1 -", "note payments/0 -"],
			...["set orders/0 10", "set orders/1 0", "set payments/0 0"],
		]);
		expect(stdout).toContain("are set in the database; a running daemon begins there within some seconds: at most 70 messages");
	});

	it("that moved meanwhile stay, with their notes, and are named", async () => {
		kafkaOf();
		const note: PositionNote = { start: 3, assumed: false, log: { id: null, witness: null }, reached: null, skipped: [] };
		notes.set("orders/1", { note, version: "7" });
		moved = [{ topic: "orders", partition: 1 }];
		const { code, stdout, stderr } = await yes();
		expect([code, stderr]).toEqual([1, "pockaffe: not set, the group has moved meanwhile: orders/1. Run this again\n"]);
		expect([notes.get("orders/1")?.note, notes.get("orders/0")?.note.start]).toEqual([note, 10]);
		expect(stdout.split("\n").flatMap((line) => /^(?:orders|payments) +\d/.exec(line) ?? [])).toEqual(["orders    0", "payments  0"]);
	});
});
