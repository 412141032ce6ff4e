/** `reprocess`: which stretch of the log it handles again, and what it says. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ReprocessingReport } from "../../../src/audit/rows-anew/reprocessing.ts";
import { type ReprocessOptions, stretchOf } from "../../../src/commands/audit/reprocess.ts";
import { isNothing, planWords, reportLines } from "../../../src/commands/audit/reprocessing-text.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { playedContext, playedEnvironment, playKafka } from "../../support/fakes/played-command.ts";

afterEach(() => void vi.restoreAllMocks());

describe("the stretch", () => {
	async function stretch(options: ReprocessOptions) {
		playKafka({
			logs: {
				orders: [
					[10, 90],
					[0, 50],
				],
				payments: [[0, 8]],
			},
			times: { "orders/0": 33 },
		});
		const { config } = loadConfig({ environment: playedEnvironment, cwd: "/nowhere" });
		return (await stretchOf(config, options, playedContext().context)).map(({ topic, partition, from, to }) => [
			topic,
			partition,
			from,
			to,
		]);
	}

	it("is the whole log, or from one place to another", async () => {
		expect(await stretch({})).toEqual([
			["orders", 0, 10, 90],
			["orders", 1, 0, 50],
			["payments", 0, 0, 8],
		]);
		const time = { kind: "time", timestampMs: 1 } as const;
		expect(await stretch({ topic: "orders", from: time })).toEqual([
			["orders", 0, 33, 90],
			["orders", 1, 50, 50],
		]);
		expect(await stretch({ topic: "orders", to: time })).toEqual([
			["orders", 0, 10, 33],
			["orders", 1, 0, 50],
		]);
		const [from, to] = [20, 21].map((offset) => ({ kind: "offset", offset }) as const);
		expect(await stretch({ topic: "orders", partition: 1, from, to } as ReprocessOptions)).toEqual([["orders", 1, 20, 21]]);
	});

	it("has a message in it", async () => {
		for (const options of [{ from: { kind: "latest" } }, { to: { kind: "earliest" } }] as ReprocessOptions[])
			await expect(stretch(options)).rejects.toMatchObject({ exitCode: 2, message: "there is no message between --from and --to" });
	});

	it("is of one partition where offsets are named", async () => {
		await expect(stretch({ from: { kind: "offset", offset: 3 } })).rejects.toThrow("--from 3 is an offset of one partition");
		await expect(stretch({ to: { kind: "offset", offset: 4 } })).rejects.toThrow("--to 4 is an offset of one partition");
	});
});

const none: ReprocessingReport = {
	...{ messages: 0, changed: 0, added: 0, removed: 0, moved: 0, same: 0, rejected: 0, lettered: 0 },
	...{ failed: [], refused: [], unknownStart: [] },
};

it.each(["changed", "added", "removed", "rejected"] as const)("there is something to do where a row or message is %s", (what) => {
	expect([isNothing(none), isNothing({ ...none, same: 3, lettered: 4, moved: 5 }), isNothing({ ...none, [what]: 1 })]).toEqual([
		true,
		true,
		false,
	]);
});

it("a plan has each count in its place", () => {
	expect(planWords({ ...none, changed: 1_001, added: 1_002, removed: 1_003, rejected: 1_004 })).toBe(
		"1,001 rows would change, 1,002 be added, 1,003 be removed, and 1,004 messages would become dead letters",
	);
	expect(planWords({ ...none, changed: 1, rejected: 1 })).toBe(
		"1 row would change, 0 be added, 0 be removed, and 1 message would become a dead letter",
	);
	expect(planWords(none)).toBe("0 rows would change, 0 be added, 0 be removed");
});

describe("a report", () => {
	const failure = (offset: number) =>
		({
			kind: "failed",
			topic: "orders",
			partition: 3,
			offset,
			reason: "poison",
			error: "no\n\tsuch",
		}) as ReprocessingReport["failed"][number];
	const refusal = (id: string) =>
		({ table: "events", id, sqlstate: "22003", message: "out of range" }) as ReprocessingReport["refused"][number];
	const whole: ReprocessingReport = {
		...{ messages: 1, changed: 2, added: 3, removed: 4, moved: 5, same: 6, rejected: 7, lettered: 8 },
		...{
			failed: [failure(9)],
			refused: [refusal('a"b'), refusal("c")],
			unknownStart: [
				{ topic: "orders", partition: 1 },
				{ topic: "t", partition: 0 },
			],
		},
	};
	const rest = [
		"5 rows stay as they are: they belong to other messages by now.",
		"It is not known where the group began in orders/1, t/0: added rows may belong to messages that it never read (--from leaves those out).",
		"8 messages left out as dead letters (pockaffe dead-letters replay).",
		"1 message failed, and their rows stay:",
		"  orders/3 offset 9: poison: no such",
		"2 rows refused by the server; the rows that were there stay:",
		'  events "a\\"b": out of range (22003)',
		'  events "c": out of range (22003)',
	];

	it("has each count in its place", () => {
		expect([...reportLines(whole, false)]).toEqual([
			"1 message handled again.",
			"2 rows changed, 3 added, 4 removed, 6 the same, 7 rejected.",
			...rest,
		]);
	});

	it("of what would be done says that nothing was", () => {
		expect([...reportLines(whole, true)]).toEqual([
			"1 message handled again.",
			"2 rows would change, 3 be added, 4 be removed, and 7 messages would become dead letters; 6 are the same. Nothing was changed (--dry-run).",
			...rest,
		]);
	});

	it("is short where all is well", () => {
		expect([...reportLines({ ...none, messages: 2 }, false)]).toEqual([
			"2 messages handled again.",
			"0 rows changed, 0 added, 0 removed, 0 the same, 0 rejected.",
		]);
	});

	it("names twenty of each, and counts the rest", () => {
		const of = (failures: number, refusals: number) => {
			const [failed, refused] = [
				Array.from({ length: failures }, (_, at) => failure(at)),
				Array.from({ length: refusals }, (_, at) => refusal(`id ${at}`)),
			];
			const lines = [...reportLines({ ...none, failed, refused }, false)];
			return [
				lines.filter((line) => line.includes("poison")).length,
				lines.filter((line) => line.includes("22003")).length,
				lines.find((line) => line.includes("more")),
			];
		};
		expect(of(20, 20)).toEqual([20, 20, undefined]);
		expect(of(21, 19)).toEqual([20, 19, "  … and 1 more (--json names all)"]);
		expect(of(3, 1_045)).toEqual([3, 20, "  … and 1,025 more (--json names all)"]);
	});
});
