/** Whole letters of a topic by their places: in the order that was asked for, read as few stretches of the log. */
import { describe, expect, it } from "vitest";
import type { ReceivedMessage } from "../../../../src/core/messages/message.ts";
import { letterHeaders } from "../../../../src/kafka/dead-letters/dead-letter-record.ts";
import { LetterPages, type LetterPlace } from "../../../../src/kafka/dead-letters/letter-pages.ts";
import type { LogRange } from "../../../../src/kafka/log-reader.ts";
import { deadLetter } from "../../../support/fakes/dead-letters.ts";

const MIB = 2 ** 20;

/** A topic in which every record is a letter of the message at its own offset, but for those that are gone, or no letters. */
function topicWithout(gone: readonly string[] = [], others: readonly string[] = []) {
	const read: string[][] = [];
	const recordAt = (partition: number, offset: number): ReceivedMessage => {
		const letter = deadLetter({ partition, offset });
		const isOther = others.includes(`${partition}@${offset}`);
		const headers = isOther ? [] : letterHeaders(letter, { consumerGroup: "g", version: "1" });
		return {
			topic: "dlq",
			partition,
			offset,
			timestamp: 1,
			key: letter.key,
			value: letter.value,
			headers: headers.map(([name, value]) => [name, Buffer.from(value)]),
		};
	};
	const reader = {
		async *read(ranges: readonly LogRange[]) {
			read.push(ranges.map(({ topic, partition, from, to }) => `${topic}/${partition} ${from}-${to}`));
			for (const { partition, from, to } of ranges)
				for (let offset = from; offset < to; offset++) {
					if (gone.includes(`${partition}@${offset}`)) continue;
					yield [{ topic: "dlq", partition }, [recordAt(partition, offset)]] as const;
				}
		},
	};
	return { read, pages: new LetterPages(reader as never, "dlq") };
}

const at = (partition: number, offset: number, bytes = 1) => ({
	name: `${partition}@${offset}`,
	content: { partition, offset, bytes } satisfies LetterPlace,
});

async function pagesOf(pages: LetterPages, places: readonly ReturnType<typeof at>[]) {
	const found: string[][] = [];
	for await (const page of pages.read(places)) found.push(page.map(([{ name }, letter]) => `${name} ${letter.partition}@${letter.offset}`));
	return found;
}

describe("letters by their places", () => {
	it("come in the order that was asked for, whatever the log's is, and none that was not asked for", async () => {
		const { pages, read } = topicWithout();
		expect(await pagesOf(pages, [at(1, 7), at(0, 9), at(0, 5)])).toEqual([["1@7 1@7", "0@9 0@9", "0@5 0@5"]]);
		expect(read).toEqual([["dlq/1 7-8", "dlq/0 5-10"]]);
	});

	it("that are far apart are read apart, one stretch of a partition at a time", async () => {
		const { pages, read } = topicWithout();
		await pagesOf(pages, [at(0, 0), at(0, 1_000), at(0, 2_001), at(1, 3)]);
		expect(read).toEqual([["dlq/0 0-1001", "dlq/1 3-4"], ["dlq/0 2001-2002"]]);
	});

	it("that are gone meanwhile, or no letters, are left out", async () => {
		const { pages } = topicWithout(["0@5"], ["0@6"]);
		expect(await pagesOf(pages, [at(0, 5), at(0, 6), at(0, 7)])).toEqual([["0@7 0@7"]]);
		const all = topicWithout(["0@5"]);
		expect(await pagesOf(all.pages, [at(0, 5)])).toEqual([]);
	});
});

describe("a page", () => {
	it("holds a thousand letters", async () => {
		const { pages } = topicWithout();
		const sizes = (
			await pagesOf(
				pages,
				Array.from({ length: 2_001 }, (_, offset) => at(0, offset)),
			)
		).map(({ length }) => length);
		expect(sizes).toEqual([1_000, 1_000, 1]);
	});

	it("holds sixteen MiB, or one letter that is larger", async () => {
		const { pages } = topicWithout();
		const places = [at(0, 0, 8 * MIB), at(0, 1, 8 * MIB), at(0, 2, 1), at(0, 3, 20 * MIB), at(0, 4, 1)];
		expect((await pagesOf(pages, places)).map(({ length }) => length)).toEqual([2, 1, 1, 1]);
	});
});
