/** In which order starts are noted and stored, and what holds in the end. */
import { expect, it } from "vitest";
import { partitionName } from "../../../../src/core/messages/message.ts";
import type { StartPosition } from "../../../../src/kafka/starts/start-position.ts";
import { storeStarts } from "../../../../src/kafka/starts/stored-starts.ts";

function start(partition: number, over: Partial<StartPosition>): StartPosition {
	const where = { topic: "t", partition };
	const witness = { offset: partition, timestamp: 7 };
	const note = { ...where, note: { log: { id: "id", witness } }, replaces: null } as unknown as StartPosition["note"];
	return {
		...where,
		offset: 10,
		committed: null,
		from: "committed",
		logId: "id",
		kept: null,
		outOfRange: null,
		suspicion: null,
		note,
		...over,
	};
}

/** `held`: what others have begun at, by partition name; null: it is another member's. */
async function stored(starts: readonly StartPosition[], held: Readonly<Record<string, number | null>> = {}) {
	const steps: string[] = [];
	const names = (all: readonly { topic: string; partition: number }[]) => all.map(partitionName).join(" ");
	const result = storeStarts(starts, {
		notes: { begin: async (notes) => void (notes.length > 0 && steps.push(`notes ${names(notes)}`)) },
		offsets: {
			begin: async (begun) => {
				steps.push(`begins ${begun.map((each) => `${partitionName(each)}@${each.offset} ${each.logId} ${each.witness?.offset}`)}`);
				return begun.flatMap((each) => {
					const offset = held[partitionName(each)];
					return offset === null ? [] : [{ ...each, offset: offset ?? each.offset }];
				});
			},
			goOn: async (begun) => void steps.push(`goes on ${begun.map((each) => `${partitionName(each)}@${each.offset}`)}`),
		},
	});
	return { steps, result };
}

it("a start is noted, then stored unless it is already, and then others follow; what another member has begun at meanwhile holds", async () => {
	const { steps, result } = await stored([start(0, { committed: 10 }), start(1, {}), start(2, { offset: 20 })], { "t/2": 15 });
	expect((await result).map(({ partition, offset, committed }) => [partition, offset, committed])).toEqual([
		[0, 10, 10],
		[1, 10, 10],
		[2, 15, 15],
	]);
	expect(steps).toEqual(["notes t/0 t/1 t/2", "begins t/1@10 id 1,t/2@20 id 2", "goes on t/0@10,t/1@10,t/2@15"]);
});

it("a new log, and what a person sets back, is noted once it is stored", async () => {
	const { steps, result } = await stored([
		start(0, { from: "new_log" }),
		start(1, { from: "set", kept: 50 }),
		start(2, { from: "set", kept: 5 }),
		start(3, { from: "set", kept: null }),
		start(4, { from: "set", kept: 10 }),
	]);
	await result;
	expect(steps.map((step) => step.split("@")[0])).toEqual(["notes t/2 t/3 t/4", "begins t/0", "notes t/0 t/1", "goes on t/0"]);
});

it("what is stored already is not stored again", async () => {
	const { steps, result } = await stored([start(0, { committed: 10 })]);
	await result;
	expect(steps).toEqual(["notes t/0", "goes on t/0@10"]);
});

it("a start that another member took over fails, and nothing goes on", async () => {
	const { steps, result } = await stored([start(0, {}), start(1, { from: "new_log" })], { "t/0": null });
	await expect(result).rejects.toThrow("the offset of t/0 was taken over by another member meanwhile");
	expect(steps).toEqual(["notes t/0", "begins t/0@10 id 0,t/1@10 id 1"]);
});
