import { describe, expect, it } from "vitest";
import { SecondAttempts } from "../../../src/audit/log/second-attempts.ts";
import type { VerifyingWorker, VerifyingWorkerParts } from "../../../src/audit/log/verifying-worker.ts";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";

function letter(offset: number, over: Partial<DeadLetter> = {}): DeadLetter {
	return {
		topic: "t",
		partition: 0,
		offset,
		topicId: null,
		timestamp: 1,
		receivedAtMs: 0,
		key: null,
		value: null,
		headers: [],
		omitted: { value: null, key: null, headers: null } as unknown as DeadLetter["omitted"],
		reason: "poison",
		error: "",
		stack: null,
		sqlstate: null,
		table: null,
		rowId: null,
		refusedRows: [],
		rowsLeftOut: 0,
		attempts: 1,
		state: "open",
		...over,
	};
}

/** Workers whose handler fails as the test says, by the offset and those that the thread had before. */
function played(fails: (offset: number, before: readonly number[]) => boolean, leftOpen = 0) {
	const threads: number[][] = [];
	const failed: string[] = [];
	const maxDeaths: (number | undefined)[] = [];
	const attempts = new SecondAttempts({
		createWorker: (_, over: Partial<VerifyingWorkerParts>) => {
			const had: number[] = [];
			threads.push(had);
			maxDeaths.push(over.maxDeaths);
			const worker = {
				pending: 0,
				leftOpen,
				deliver: (messages: readonly ReceivedMessage[]) => {
					for (const message of messages) {
						if (fails(message.offset, had)) over.failed?.(message as DeadLetter, false);
						had.push(message.offset);
					}
				},
				stop: async () => {},
			};
			return worker as unknown as VerifyingWorker;
		},
		until: async (holds) => expect(holds()).toBe(true),
		isAborted: () => false,
		failed: ({ topic, partition, offset }) => failed.push(`${topic}/${partition}@${offset}`),
	});
	return { attempts, threads, failed, maxDeaths };
}

describe("messages that failed", () => {
	it("get through together in one new thread where earlier ones were to blame", async () => {
		const { attempts, threads, failed } = played(() => false);
		for (const offset of [7, 3, 5]) attempts.add(letter(offset));
		await attempts.run();
		expect([threads, failed]).toEqual([[[3, 5, 7]], []]);
	});

	it("and fail behind others are tried with nobody before them", async () => {
		const { attempts, threads, failed, maxDeaths } = played(
			(offset, before) => offset === 3 || (offset === 5 && before.length > 0) || offset === 6,
		);
		for (const offset of [3, 4, 5, 6]) attempts.add(letter(offset));
		await attempts.run();
		expect(threads).toEqual([[3, 4, 5, 6], [5, 6], [6]]);
		// Each of them may end its thread.
		expect(maxDeaths).toEqual([4, 2, 1]);
		expect(failed).toEqual(["t/0@3", "t/0@6"]);
	});

	it("where a thread holds out for a hundred take a thread for each hundred", async () => {
		const { attempts, threads, failed } = played((_, before) => before.length >= 100);
		for (let offset = 0; offset < 1_000; offset++) attempts.add(letter(offset));
		await attempts.run();
		expect(failed).toEqual([]);
		// A thousand, then 200 each time, of which a hundred get through.
		expect(threads.length).toBe(10);
		expect(threads.flat().length).toBe(1_000 + 8 * 200 + 100);
	});

	it("by the thousand are believed once many failed alone in vain, and alone again behind one that did not", async () => {
		const { attempts, threads, failed } = played((offset, before) => offset !== 40 || before.length > 0);
		let added = 0;
		for (let offset = 0; offset < 3_000; offset++) {
			attempts.add(letter(offset));
			added++;
			if (!attempts.isFull) continue;
			expect(added % 1_000).toBe(0);
			await attempts.run();
		}
		await attempts.run();
		expect(failed.length).toBe(2_999);
		expect(failed).not.toContain("t/0@40");
		// Three together, 40 alone up to the one that got through, two behind it, and 50 alone.
		expect(threads.length).toBe(3 + 40 + 1 + 50);
	});

	it("are tried together where they were not tried before, whatever became of a thousand others", async () => {
		const { attempts, threads, failed } = played((offset) => offset < 1_000);
		for (let offset = 0; offset < 1_002; offset++) attempts.add(letter(offset));
		await attempts.run();
		expect([failed.length, threads.at(-1)]).toEqual([1_000, [1_000, 1_001]]);
		expect([threads.length, threads[0]?.length]).toEqual([1 + 50 + 1, 1_000]);
	});

	it("are tried by partition, and are few enough to be held, or small enough", async () => {
		const { attempts, threads } = played(() => false);
		const value = Buffer.alloc(6 * 1024 * 1024);
		attempts.add(letter(1, { value }));
		attempts.add(letter(1, { value, partition: 1 }));
		expect(attempts.isFull).toBe(false);
		attempts.add(letter(2, { value }));
		expect(attempts.isFull).toBe(true);
		await attempts.run();
		expect([attempts.isFull, threads]).toEqual([false, [[1, 2], [1]]]);
		await attempts.run();
		expect(threads.length).toBe(2);
	});

	it.each(["rejected", "row_fault"] as const)("are told at once where nothing would change with another try: %s", async (reason) => {
		const { attempts, threads, failed } = played(() => false);
		attempts.add(letter(1, { reason }));
		await attempts.run();
		expect([threads, failed]).toEqual([[], ["t/0@1"]]);
	});

	it("are believed where the handler leaves them unfinished", async () => {
		const { attempts, failed } = played(() => false, 1);
		attempts.add(letter(1));
		await attempts.run();
		expect(failed).toEqual(["t/0@1"]);
	});
});
