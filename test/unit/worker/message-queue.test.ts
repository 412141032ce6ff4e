/** The books of one partition's messages: what is held, what is handed over next, and that all of it is given up when it is finished. */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { type HeldMessage, MessageQueue, type Run } from "../../../src/worker/message-queue.ts";

/** A batch of messages with offsets `from` to `to` (excluded), each of ten bytes. */
const batch = (from: number, to: number) =>
	packMessages(
		Array.from({ length: to - from }, (_, index) => ({
			topic: "t",
			partition: 0,
			offset: from + index,
			timestamp: 0,
			key: Buffer.from("12345"),
			value: Buffer.from("67890"),
			headers: [],
		})),
	);

const offsetsOf = ({ held, from, to }: Run) => Array.from(held.batch.offsets.subarray(from, to));

/** Hands over what comes next, and answers all of it. */
function handle(queue: MessageQueue, limit = 100): HeldMessage[] {
	const run = queue.next(limit) as Run;
	queue.take(run);
	return Array.from({ length: run.to - run.from }, (_, index) => ({ held: run.held, message: run.from + index }));
}

const all = (queue: MessageQueue) => {
	const found: number[] = [];
	for (let run = queue.next(100); run; run = queue.next(100)) {
		queue.take(run);
		found.push(...offsetsOf(run));
	}
	return found;
};

describe("the bytes of a queue", () => {
	it("are those of all batches that hold an unfinished message, and go with the last of each", () => {
		const queue = new MessageQueue();
		const [first, second] = [batch(0, 3), batch(3, 5)];
		queue.push(first, 0);
		queue.push(second, 0);
		const both = first.bytes.byteLength + second.bytes.byteLength;
		expect([queue.bytes, queue.queued]).toEqual([both, 5]);
		const messages = handle(queue);
		for (const { held, message } of messages.slice(0, 2)) queue.answered(held, message);
		expect([queue.bytes, queue.handed]).toEqual([both, 1]);
		const [last] = messages.slice(2) as [HeldMessage];
		expect(queue.answered(last.held, last.message)).toBe(true);
		expect([queue.bytes, queue.queued, queue.handed]).toEqual([second.bytes.byteLength, 2, 0]);
		for (const { held, message } of handle(queue)) queue.answered(held, message);
		expect([queue.bytes, queue.queued, queue.handed, queue.underway, queue.next(1)]).toEqual([0, 0, 0, 0, null]);
	});

	it("go with a batch in the middle, too, and what comes behind it is still handed over in order", () => {
		const queue = new MessageQueue();
		for (const [from, to] of [
			[0, 2],
			[2, 4],
			[4, 6],
		] as const)
			queue.push(batch(from, to), 0);
		const [first, second] = [handle(queue), handle(queue)];
		for (const { held, message } of second) queue.answered(held, message);
		expect([queue.bytes, queue.handed, all(queue)]).toEqual([2 * batch(0, 2).bytes.byteLength, 2, [4, 5]]);
		for (const { held, message } of first) queue.answered(held, message);
		expect(queue.bytes).toBe(batch(4, 6).bytes.byteLength);
	});
});

it("goes on in the middle of a batch when one before it is finished", () => {
	const queue = new MessageQueue();
	for (const from of [0, 3, 6]) queue.push(batch(from, from + 3), 0);
	const first = handle(queue);
	handle(queue, 1);
	for (const { held, message } of first) queue.answered(held, message);
	expect(all(queue)).toEqual([4, 5, 6, 7, 8]);
});

describe("messages that are withheld", () => {
	it("are handed over again in the order of their offsets, in whatever order they came back", () => {
		const queue = new MessageQueue();
		queue.push(batch(0, 2), 0);
		queue.push(batch(2, 4), 0);
		const messages = [...handle(queue), ...handle(queue)];
		for (const index of [2, 0, 3]) {
			const { held, message } = messages[index] as HeldMessage;
			queue.withhold(held, message);
			expect(queue.answered(held, message)).toBe(false);
		}
		expect([queue.queued, queue.handed, queue.underway]).toEqual([0, 4, 1]);
		queue.requeueWithheld();
		expect([queue.queued, queue.handed]).toEqual([3, 1]);
		expect(all(queue)).toEqual([0, 2, 3]);
	});

	it("and wait for a `finishedTo` as well come back once, for both", () => {
		const queue = new MessageQueue();
		queue.push(batch(0, 3), 0);
		const [first, second] = handle(queue) as [HeldMessage, HeldMessage];
		for (const { held, message } of [first, second]) {
			queue.leftUnconfirmed(held, message);
			queue.withhold(held, message);
			queue.answered(held, message);
		}
		expect([queue.unconfirmed, queue.underway]).toEqual([2, 1]);
		expect(queue.requeueUnconfirmed()).toBe(1);
		expect([queue.unconfirmed, queue.queued, all(queue)]).toEqual([0, 2, [0, 1]]);
		queue.requeueWithheld();
		expect(queue.queued).toBe(0);
	});
});

describe("messages that the handler left unfinished", () => {
	it("are confirmed up to an offset, in order, and each is finished when that is all it waited for", () => {
		const queue = new MessageQueue();
		queue.push(batch(10, 14), 0);
		const messages = handle(queue);
		for (const index of [3, 1, 0, 2]) {
			const { held, message } = messages[index] as HeldMessage;
			queue.leftUnconfirmed(held, message);
			queue.leftUnconfirmed(held, message);
			queue.answered(held, message);
		}
		expect([queue.unconfirmed, queue.underway, queue.handed]).toEqual([4, 0, 4]);
		const confirmed = queue.confirm(12);
		expect(confirmed.map(({ message }) => message)).toEqual([0, 1, 2]);
		expect(queue.underway).toBe(3);
		expect(confirmed.map(({ held, message }) => queue.closed(held, message))).toEqual([true, true, true]);
		expect([queue.unconfirmed, queue.handed, queue.underway]).toEqual([1, 1, 0]);
		expect(queue.confirm(9)).toEqual([]);
	});
});

describe("a run", () => {
	it("that is given back comes again in front of what is behind it, but for what was answered", () => {
		const queue = new MessageQueue();
		queue.push(batch(0, 5), 0);
		const run = queue.next(3) as Run;
		queue.take(run);
		queue.answered(run.held, 1);
		queue.giveBack(run);
		expect([queue.queued, queue.handed]).toEqual([4, 0]);
		// A run is of messages that stand together.
		expect(offsetsOf(queue.next(100) as Run)).toEqual([0]);
		expect(all(queue)).toEqual([0, 2, 3, 4]);
	});

	it("is not finished by a row of the hand-over before: the message is being handled again", () => {
		const queue = new MessageQueue();
		queue.push(batch(0, 1), 0);
		const run = queue.next(1) as Run;
		queue.take(run);
		queue.opened(run.held, 0);
		queue.giveBack(run);
		queue.take(queue.next(1) as Run);
		expect(queue.closed(run.held, 0)).toBe(false);
		expect(queue.answered(run.held, 0)).toBe(true);
	});

	it("that the handler had counts as such for ever, also queued again; one that it never had does not", () => {
		const queue = new MessageQueue();
		queue.push(batch(4, 8), 0);
		const run = queue.next(4) as Run;
		queue.take(run);
		expect(queue.handedTo).toBe(0);
		queue.answered(run.held, 0);
		queue.begun({ ...run, to: 1 });
		queue.giveBack(run);
		expect([queue.handed, queue.handedTo]).toEqual([0, 5]);
		const again = queue.next(2) as Run;
		queue.take(again);
		queue.begun(again);
		queue.giveBack(again);
		expect([queue.handed, queue.handedTo]).toEqual([0, 7]);
	});

	it("comes no more once a drain has begun, and what was handed over is still counted", () => {
		const queue = new MessageQueue();
		queue.push(batch(0, 4), 0);
		queue.take(queue.next(1) as Run);
		queue.dropQueued();
		expect([queue.next(1), queue.queued, queue.handed]).toEqual([null, 0, 1]);
	});
});
