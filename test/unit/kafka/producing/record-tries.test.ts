/** Records that are tried one by one: when the next attempt is, which are given up, and what is closed. */
import { describe, expect, it } from "vitest";
import { PocKaffeError } from "../../../../src/core/errors.ts";
import { sizeOfRecord } from "../../../../src/core/messages/records.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { type Part, RecordLane, type RecordSource } from "../../../../src/kafka/producing/record-lane.ts";
import { RecordTries } from "../../../../src/kafka/producing/record-tries.ts";
import { RecordPacker } from "../../../../src/worker/inside/rows/record-packer.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const timedOut = new KafkaError("timed out", -192);

/** A topic with so many records, and what the attempts meet one after the other. `last`: behind it nothing has to be tried. */
function trying({ records = 3, last = Number.POSITIVE_INFINITY, meets = [] as (Error | null)[] } = {}) {
	const clock = new ManualClock();
	const stop = new AbortController();
	const packer = new RecordPacker({ topics: null, keeps: true });
	const values = Array.from({ length: records }, (_, index) => ({ topic: "out", value: "v".repeat(10 * (index + 1)) }));
	packer.add(0, values, 0, 1, 1e9);
	const lane = new RecordLane();
	lane.push({ released: false } as RecordSource, packer.take()?.blocks[0] as never, 0);
	const told: string[] = [];
	const connected: number[] = [];
	const tries = new RecordTries({
		...{ clock, signal: stop.signal, random: () => 1 },
		connect: async (bytes) => {
			connected.push(bytes);
			return {
				produce: async ({ from }) => {
					told.push(`try ${from} at ${clock.monotonic()}`);
					const error = meets.shift();
					if (error) throw error;
				},
				close: async () => void told.push("close"),
			};
		},
	});
	const done = ({ parcel, from }: Part) => lane.done(parcel, from);
	const run = () =>
		tries.run({
			next: () => lane.first(),
			isLast: ({ from }) => from >= last,
			acknowledged: (part) => void told.push(`has ${part.from}`, ...(done(part) ? [] : [])),
			refused: (part, error) => void told.push(`refuses ${part.from} ${error.kafkaCode}: ${error.message}`, ...(done(part) ? [] : [])),
			blocked: (error) => void told.push(`blocked: ${(error as Error).message}`),
		});
	return { clock, stop, told, connected, tries, run, lane };
}

describe("records that are tried", () => {
	it("go one by one through one client, which is closed behind the last that has to be tried", async () => {
		const { told, run, connected, lane } = trying({ last: 1 });
		const [first] = [...lane.parcels()];
		await run();
		expect(told).toEqual(["try 0 at 0", "has 0", "try 1 at 0", "has 1", "close"]);
		// The client has as long as its first record needs.
		expect(connected).toEqual([sizeOfRecord((first as Part["parcel"]).block, 0)]);
	});

	it("are tried later each time while none goes through, and soon again behind one that did", async () => {
		const { clock, told, run } = trying({ records: 2, meets: [timedOut, timedOut, timedOut, null, timedOut, timedOut] });
		const running = run();
		await clock.advance(10_000);
		await running;
		expect(told.filter((each) => each.startsWith("try"))).toEqual([
			...["try 0 at 0", "try 0 at 200", "try 0 at 600", "try 0 at 1400"],
			...["try 1 at 1400", "try 1 at 1600", "try 1 at 2000"],
		]);
		expect(told.filter((each) => each === "close")).toHaveLength(6);
		expect(told[2]).toBe("blocked: timed out");
	});

	it.each([
		["too large", 10],
		["in a list too large", 18],
		["for a topic that can't be", 17],
		["of an invalid time", 32],
		["against a policy", 44],
		["invalid", 87],
		["for a partition that is not there", -190],
	])("are given up where one is %s, and the next has its turn", async (_, code) => {
		const { told, run } = trying({ records: 2, meets: [new KafkaError("no", code)] });
		await run();
		expect(told).toEqual(["try 0 at 0", `refuses 0 ${code}: no`, "try 1 at 0", "has 1", "close"]);
	});

	it("are given up where the client can't send a header, and wait at any other error of its own", async () => {
		const { clock, told, run } = trying({
			records: 2,
			meets: [new PocKaffeError("header_nul", "header a"), new PocKaffeError("producer_closed", "closed"), new Error("odd")],
		});
		const running = run();
		await clock.advance(1_000);
		await running;
		expect(told.filter((each) => /refuses|blocked|has/.test(each))).toEqual([
			"refuses 0 87: header a",
			"blocked: closed",
			"blocked: odd",
			"has 1",
		]);
	});

	it("are none where nobody waits for one, and no client is made for that", async () => {
		const { run, connected, lane } = trying();
		for (const parcel of [...lane.parcels()]) lane.drop(parcel);
		await run();
		expect(connected).toEqual([]);
	});

	it("end with the stop: nothing more is tried, refused or told", async () => {
		const { clock, stop, told, run } = trying({ meets: [timedOut] });
		const running = run();
		await settle();
		stop.abort(new Error("stop"));
		await running;
		await clock.advance(60_000);
		expect(told).toEqual(["try 0 at 0", "close", "blocked: timed out"]);
		const refusing = trying({ meets: [new KafkaError("too large", 10)] });
		const refused = refusing.run();
		refusing.stop.abort(new Error("stop"));
		await refused;
		expect(refusing.told.filter((each) => each.startsWith("refuses"))).toEqual([]);
	});
});
