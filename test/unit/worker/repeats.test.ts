/** Which messages are repeats of records that came before. */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { Repeats } from "../../../src/worker/outcomes/repeats.ts";

/** Records of one source by the group that produced them and what they hold: `group key=value`. */
function records(offset: number, ...told: string[]) {
	return packMessages(
		told.map((each, i) => {
			const [group = "", key = "", value] = each.split(/[ =]/);
			const headers: [string, Buffer][] = [
				["pockaffe-source", Buffer.from("in/0/7")],
				["pockaffe-source-index", Buffer.from("0")],
				["pockaffe-source-timestamp", Buffer.from("7")],
				["pockaffe-source-group", Buffer.from(group)],
			];
			const content = value === undefined ? null : Buffer.from(value);
			return { topic: "out", partition: 0, offset: offset + i, timestamp: 1, key: Buffer.from(key), value: content, headers };
		}),
	);
}

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

	it("are none of another group that reads the same topic and produces to the same", () => {
		const repeats = new Repeats();
		expect(repeats.in(records(0, "a k=v", "b k=v", "a k=v", "b k=v"))).toEqual([2, 3]);
	});

	it("are none where key or value are others", () => {
		for (const other of ["a k=w", "a l=v", "a kv=", "a =kv", "a k"]) {
			const repeats = new Repeats();
			expect(repeats.in(records(0, "a k=v", other, other))).toEqual([2]);
		}
		expect(new Repeats().in(records(0, "a k", "a k=", "a k="))).toEqual([2]);
	});

	it.each([
		["a source longer than any", `${"x".repeat(300)}/0/1`, "0"],
		["an index longer than any", "0/1", "00000000000"],
		["a timestamp longer than any", `0/1@${"1".repeat(21)}`, "0"],
		["an offset that is no number a number can hold", "0/9007199254740993", "0"],
	])("are none of %s: nothing of it is kept", (_, place, index) => {
		const repeats = new Repeats();
		expect(repeats.in(batch(0, `${place}.${index}`, `${place}.${index}`, "0/1", "0/1"))).toEqual([3]);
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
