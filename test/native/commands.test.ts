/** `produce` and `consume` as their users type them, on librdkafka's mock cluster. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { newestMessages } from "../../src/kafka/client/newest-messages.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { playedCommand } from "../support/fakes/played-command.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";

let cluster: MockCluster;
beforeAll(async () => {
	cluster = await startMockCluster({ topics: ["records", "lines", "nulls", "others"] });
});
afterAll(() => cluster[Symbol.asyncDispose]());

const typed = (args: readonly string[], stdin: string | Buffer = "") =>
	playedCommand(args, { environment: { POCKAFFE_KAFKA_BROKERS: cluster.brokers.join(",") }, stdin: stdin as string, clock: systemClock });
const printed = (stdout: string) =>
	stdout
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line));
/** Keys and values of a partition. */
async function storedIn(topic: string, partition: number): Promise<(string | null)[][]> {
	const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString());
	const from = [{ topic, partition, offset: 0 }];
	const messages = await newestMessages(kafkaAt(cluster.brokers.join(",")), systemClock, from, { group: "reader", withinMs: 10_000 });
	return messages.map(({ key, value }) => [text(key), text(value)]);
}

describe("produce", () => {
	it("stores a record for each line, and prints where; consume prints them with key, headers and place", async () => {
		const sent = await typed(["produce", "records", "-k", "k", "-p", "2", "-H", "trace=7", "--json"], "one\ntwo\n");
		expect([sent.code, sent.stderr, printed(sent.stdout)]).toEqual([
			0,
			"",
			[
				{ topic: "records", partition: 2, offset: 0, timestamp: expect.any(Number) },
				{ topic: "records", partition: 2, offset: 1, timestamp: expect.any(Number) },
			],
		]);
		const inWords = await typed(["produce", "records", "-p", "2"], "three");
		expect(inWords.stdout).toMatch(/^Sent record to partition 2 at offset 2 with timestamp \d{13}\.\n$/);
		const read = await typed(["consume", "records", "--group", "g", "--exit-at-end"]);
		expect([read.code, read.stderr]).toEqual([0, ""]);
		expect(printed(read.stdout)).toMatchObject([
			{ key: "k", message: "one", partition: 2, offset: 0, headers: [["trace", "7"]] },
			{ key: "k", message: "two", partition: 2, offset: 1, headers: [["trace", "7"]] },
			{ key: null, message: "three", partition: 2, offset: 2, headers: [] },
		]);
	});

	it("takes the key from each line, and what comes behind the first separator as the value", async () => {
		const sent = await typed(["produce", "lines", "-p", "0", "--key-separator", "::"], "\uFEFFa::1\r\nb::2::3\n");
		expect([sent.code, sent.stderr]).toEqual([0, ""]);
		expect(await storedIn("lines", 0)).toEqual([
			["a", "1"],
			["b", "2::3"],
		]);
	});

	it("sends an empty line as a tombstone only if that is asked for", async () => {
		await typed(["produce", "nulls", "-k", "k", "-p", "1", "--null"], "\nfull\n");
		await typed(["produce", "nulls", "-k", "k", "-p", "1"], "\n");
		expect(await storedIn("nulls", 1)).toEqual([
			["k", null],
			["k", "full"],
			["k", ""],
		]);
	});

	it.each([
		[["--key-separator", "="], "a=1\nb\nc=3\n", 'line 2 was not sent: it has no "=" behind its key (--key-separator)'],
		[["-p", "99"], "a\n", "line 1 was not sent: topic others has no partition 99"],
		[[], Buffer.from([0x61, 0x0a, 0xff, 0x0a]), "line 2 was not sent: it is not UTF-8, or has the character U+FFFD"],
	])("stops at a line that can't be sent, and says which (%j)", async (options, stdin, why) => {
		const { code, stdout, stderr } = await typed(["produce", "others", ...options], stdin);
		expect([code, stderr]).toEqual([1, expect.stringContaining(`${why}; the lines after it were not sent either`)]);
		expect(stdout.split("\n").filter(Boolean)).toHaveLength(why.startsWith("line 2") ? 1 : 0);
	});

	it("says that there was nothing to send, and how a delete is sent", async () => {
		expect(await typed(["produce", "others"])).toEqual({
			code: 0,
			stdout: "",
			stderr: "nothing was sent: standard input had no line; for a delete: echo | pockaffe produce others -k KEY --null\n",
		});
	});
});

describe("consume", () => {
	it("ends after the number that was asked for", async () => {
		await typed(["produce", "others", "-p", "3"], "1\n2\n3\n4\n5\n");
		const { code, stdout } = await typed(["consume", "others", "--group", "counting", "-n", "3"]);
		expect([code, printed(stdout).length]).toEqual([0, 3]);
	});

	it("needs a topic that exists", async () => {
		for (const args of [
			["produce", "nowhere"],
			["consume", "nowhere", "--group", "g"],
		]) {
			const { code, stderr } = await typed(args, "x\n");
			expect([code, stderr]).toEqual([expect.any(Number), expect.stringContaining("nowhere")]);
			expect(code).not.toBe(0);
		}
	});
});
