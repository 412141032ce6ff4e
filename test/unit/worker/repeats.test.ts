/** Which messages are repeats of records that came before. */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { Repeats } from "../../../src/worker/outcomes/repeats.ts";

/** A batch from `offset` on of records by their sources: `partition/offset.index`, `-` for a message without one. */
function batch(offset: number, ...sources: string[]) {
	return packMessages(
		sources.map((source, i) => {
			const [place = "", index = "0"] = source.split(".");
			const [name = "", timestamp = "7"] = place.split("@");
			const headers: [string, Buffer][] =
				source === "-"
					? [["other", Buffer.from("x")]]
					: [
							["pockaffe-source", Buffer.from(`in/${name}`)],
							["pockaffe-source-index", Buffer.from(index)],
							["pockaffe-source-timestamp", Buffer.from(timestamp)],
						];
			return { topic: "out", partition: 0, offset: offset + i, timestamp: 1, key: null, value: null, headers };
		}),
	);
}

describe("repeats", () => {
	it("are records that came before, whatever came between", () => {
		const repeats = new Repeats();
		expect(repeats.in(batch(0, "0/1", "1/1", "-", "0/2", "0/2.1"))).toEqual([]);
		expect(repeats.in(batch(5, "0/1", "0/2", "-", "0/2.1", "0/3", "1/1"))).toEqual([0, 1, 3, 5]);
		expect(repeats.in(batch(11, "0/3", "0/4"))).toEqual([0]);
	});

	it("are none where a message is received again itself", () => {
		const repeats = new Repeats();
		repeats.in(batch(0, "0/1", "0/2"));
		expect(repeats.in(batch(0, "0/1", "0/2"))).toEqual([]);
		expect(repeats.in(batch(2, "0/1", "0/2"))).toEqual([0, 1]);
	});

	it("are none where a record comes late for the first time, and what lies behind it is handled behind it again", () => {
		const repeats = new Repeats();
		repeats.in(batch(0, "0/1", "0/3", "0/4"));
		expect(repeats.in(batch(3, "0/2", "0/3", "0/4", "0/4", "0/1"))).toEqual([3, 4]);
	});

	it("are none where the source's topic was made again", () => {
		const repeats = new Repeats();
		repeats.in(batch(0, "0/0@5", "0/1@6", "0/2@7"));
		expect(repeats.in(batch(3, "0/0@105", "0/1@106", "0/1@106"))).toEqual([2]);
	});

	it("are none of what is forgotten, nor of what came behind that", () => {
		const repeats = new Repeats(3);
		repeats.in(batch(0, "0/1", "0/2", "0/3", "0/4"));
		expect(repeats.in(batch(4, "0/2"))).toEqual([0]);
		expect(repeats.in(batch(5, "0/1", "0/2", "0/3"))).toEqual([]);
	});

	it("forget the source that has most", () => {
		const repeats = new Repeats(4);
		repeats.in(batch(0, "0/1", "1/1", "1/2", "1/3", "1/4", "1/5"));
		expect(repeats.in(batch(6, "0/1", "1/3", "1/2"))).toEqual([0, 1]);
	});
});
