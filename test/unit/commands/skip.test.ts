/** `skip`: what it asks a daemon, and what it does itself while none runs. Kafka, the daemon, the tables and the letters are the test's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import "../../../src/commands/offsets/skip.ts";
import { StoredLetters } from "../../../src/commands/dead-letters/stored-letters.ts";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import type { NoteChange } from "../../../src/core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import { LogReader } from "../../../src/kafka/log-reader.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";
import { member, type PlayedKafka, playDaemons, playedCommand, playKafka } from "../../support/fakes/played-command.ts";

let letters: DeadLetter[];
let done: string[];
let notes: NoteChange[];
/** The log's messages. */
let offsets: number[];
let ranges: unknown[];

beforeEach(() => {
	[letters, done, notes, ranges, offsets] = [[], [], [], [], [70, 71, 72]];
	vi.spyOn(StartTable.prototype, "prepare").mockResolvedValue("notes");
	vi.spyOn(StartTable.prototype, "keepsNotes").mockResolvedValue(true);
	vi.spyOn(StartTable.prototype, "read").mockResolvedValue(new Map());
	vi.spyOn(StartTable.prototype, "change").mockImplementation(async (changes) => {
		notes.push(...changes);
		return [];
	});
	vi.spyOn(StoredLetters.prototype, "store").mockImplementation(async (letter) => {
		done.push(`letter ${letter.offset}`);
		letters.push(letter);
	});
	vi.spyOn(LogReader, "connect").mockResolvedValue({
		async *read(wanted: { from: number; to: number }[]) {
			ranges.push(...wanted);
			const [{ from, to } = { from: 0, to: 0 }] = wanted;
			for (const offset of offsets.filter((each) => each >= from && each < to)) yield [wanted[0], [messageAt(offset)]];
		},
		[Symbol.asyncDispose]: async () => {},
	} as unknown as LogReader);
});
afterEach(() => {
	vi.restoreAllMocks();
	vi.unstubAllGlobals();
});

function messageAt(offset: number): ReceivedMessage {
	return { topic: "orders", partition: 0, offset, timestamp: 1_000 + offset, key: Buffer.from("k"), value: Buffer.from("v"), headers: [] };
}

const skip = (offset: number, ...more: string[]) => playedCommand(["skip", "orders", "0", String(offset), ...more]);

describe("a daemon", () => {
	const answering = (answer: object) => playDaemons({ 9464: (method) => (method === "GET" ? { group: "ours" } : answer) });

	it("is asked with the offset and the reason, and says that it is done", async () => {
		const posted = answering({ outcome: "skipped" });
		const { code, stdout } = await skip(70, "--reason", "it is broken");
		expect([code, stdout]).toEqual([0, "orders/0 offset 70 is skipped; its letter: pockaffe dead-letters show orders 0 70\n"]);
		expect(posted).toEqual([
			{
				port: "9464",
				path: "/partitions/orders/0/skip",
				body: { offset: 70, why: expect.stringMatching(/^skipped by \S+@\S+: it is broken$/) },
			},
		]);
		await skip(70, "--reason", "x".repeat(2_000));
		await skip(70);
		expect(posted.slice(1).map(({ body }) => (body as { why: string }).why)).toEqual([
			expect.stringMatching(/^.{1000}$/),
			expect.stringMatching(/^skipped by [^:]*$/),
		]);
	});

	it("may have the message in hand: that is said, and not that it is skipped", async () => {
		answering({ outcome: "asked" });
		expect(await skip(70)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^the handler has orders\/0 offset 70 in hand, /) });
		const { stdout } = await skip(70, "--json", "--reason", "no");
		expect(JSON.parse(stdout)).toMatchObject({
			topic: "orders",
			partition: 0,
			offset: 70,
			outcome: "asked",
			why: expect.stringMatching(/: no$/),
		});
	});

	it("that refuses has the last word: nothing is skipped behind its back", async () => {
		const kafka = playKafka({ committed: { "orders/0": 70 } });
		answering({ error: { code: "finished", message: "it is finished" } });
		expect(await skip(70)).toMatchObject({ code: 1, stderr: expect.stringContaining("it is finished") });
		expect([letters, kafka.committed]).toEqual([[], { "orders/0": 70 }]);
	});

	it("that is named and doesn't answer ends it: the message may be in its hands", async () => {
		playKafka({ committed: { "orders/0": 70 } });
		playDaemons({});
		expect(await skip(70, "--url", "http://127.0.0.1:4000")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("no daemon answers"),
		});
		expect(letters).toEqual([]);
	});
});

describe("while none runs", () => {
	beforeEach(() => void playDaemons({}));

	function kafkaOf(over: Partial<PlayedKafka> = {}) {
		const told = (commit: string) => void done.push(`commit ${commit}`);
		return playKafka({ committed: { "orders/0": 70 }, ids: { orders: "id-1" }, told, ...over });
	}

	it("the letter is stored, and then the group's offset is set after the message", async () => {
		kafkaOf();
		const { code, stdout } = await skip(70, "--reason", "no", "--json");
		expect([code, JSON.parse(stdout)]).toMatchObject([0, { offset: 70, outcome: "skipped" }]);
		expect(done).toEqual(["commit orders/0 70", "letter 70", "commit orders/0 71"]);
		expect(ranges).toEqual([{ topic: "orders", partition: 0, from: 70, to: 71 }]);
		expect(letters).toMatchObject([
			{
				...{
					topic: "orders",
					partition: 0,
					offset: 70,
					timestamp: 1_070,
					topicId: "id-1",
					reason: "skipped",
					state: "skipped",
					attempts: 0,
				},
				...{ error: expect.stringMatching(/^skipped by .*: no$/), key: Buffer.from("k"), value: Buffer.from("v"), omitted: {} },
			},
		]);
	});

	it("the note says that the message is finished, and not that it was passed over", async () => {
		kafkaOf();
		await skip(70);
		expect(notes.at(-1)?.note).toMatchObject({ start: 70, reached: 71, skipped: [] });
	});

	it.each<[why: string, offset: number, over: Partial<PlayedKafka>, words: RegExp]>([
		["was handled", 69, {}, /orders\/0 offset 69 is finished already: group ours stands at 70/],
		["is not there yet", 90, {}, /offset 90 is not there yet: the log ends at 90/],
		["is not the next one", 71, {}, /group ours stands at 70, before orders\/0 offset 71: skip it when the group stands at it/],
		["is of a partition without an offset", 70, { committed: {} }, /group ours has committed nothing of orders\/0/],
		["is of a partition that is not there", 70, { logs: { orders: [] as never[] } }, /there is no topic orders/],
		[
			"may be in the hands of a member",
			70,
			{ members: [member("a")] },
			/group ours has members, and no daemon answered: .* has orders\/0 .*no daemon answers at/,
		],
		["may be in unknown hands", 70, { members: null }, /whether one runs can't be known without the addon .*no daemon answers at/],
	])("a message that %s stays", async (_, offset, over, words) => {
		const kafka = kafkaOf(over);
		const before = { ...kafka.committed };
		expect(await skip(offset)).toMatchObject({ code: 1, stderr: expect.stringMatching(words) });
		expect([letters, kafka.committed]).toEqual([[], before]);
	});

	it("a partition that the topic has not is a mistake of the command line", async () => {
		kafkaOf();
		expect(await playedCommand(["skip", "orders", "1", "70"])).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("its only one is 0"),
		});
	});

	it("an offset without a message can't be skipped", async () => {
		kafkaOf();
		offsets = [];
		expect(await skip(70)).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("is no message (compacted, or a transaction's mark)"),
		});
		expect(letters).toEqual([]);
	});

	it("a message before which the log has nothing any more is the next one", async () => {
		kafkaOf();
		offsets = [72];
		expect(await skip(72)).toMatchObject({ code: 0 });
		expect(done.at(-1)).toBe("commit orders/0 73");
	});

	it("no letter is stored where the offset may not be set", async () => {
		kafkaOf({ refusal: new KafkaError("not authorized", kafkaErrors.groupAuthorizationFailed) });
		const { code, stderr } = await skip(70);
		expect([code, stderr, letters]).toEqual([1, expect.stringContaining("not authorized"), []]);
	});
});
