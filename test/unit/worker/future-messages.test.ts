import { expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { futureMessages } from "../../../src/worker/outcomes/future-messages.ts";
import { rowsFor } from "../../support/fakes/fake-thread.ts";

const one = { topic: "t", partition: 0, key: null, value: null, headers: [] };
const at = (...timestamps: number[]) => packMessages(timestamps.map((timestamp, offset) => ({ ...one, offset, timestamp })));

it("a message ahead of the clock by more than its table allows is named once, whichever of its rows says so", () => {
	const limits = new Map([
		["strict", 0],
		["lenient", 5_000],
	]);
	const blocks = [rowsFor([0, 1], "free"), rowsFor([1, 2, 2], "lenient"), rowsFor([0, 2, 3], "strict")];
	const found = futureMessages(at(10_001, 15_000, 15_001, 10_000), blocks, limits, 10_000);
	expect([...found.keys()].sort()).toEqual([0, 2]);
	expect(found.get(2)).toEqual({
		reason: "future_timestamp",
		error: "the message's timestamp is 5 s ahead of this machine's clock, more than cas.maxFutureMs allows",
	});
});
