/** What `offsets` shows of a group, on a Kafka that the test plays. */
import { afterEach, expect, it, vi } from "vitest";
import "../../../src/commands/offsets/offsets.ts";
import { member, type PlayedKafka, playedCommand, playedEnvironment, playKafka } from "../../support/fakes/played-command.ts";

afterEach(() => void vi.restoreAllMocks());

const logs = {
	payments: [[0, 8]],
	orders: [
		[10, 90],
		[0, 0],
		[0, 1_000],
	],
	other: [[0, 5]],
} as const;

/** The lines of the table, by cells, and what is said below it. */
async function offsets(over: Partial<PlayedKafka>, ...more: string[]) {
	const kafka = playKafka({ logs, state: "Stable", ...over });
	const { code, stdout, stderr } = await playedCommand(["offsets", "theirs", ...more]);
	const lines = stdout.trimEnd().split("\n");
	return { code, lines, rows: lines.slice(1).map((line) => line.split(/ +/)), stderr: stderr.trimEnd(), groups: kafka.groups };
}

it("shows what is committed, what is left, and whose each partition is", async () => {
	const members = [member("a", ["orders", 0]), { ...member("b", ["orders", 2]), instanceId: "static" }];
	const { lines, rows, stderr, groups } = await offsets({ committed: { "orders/0": 70, "orders/2": 999 }, members });
	expect(lines[0]?.split(/ +/)).toEqual(["GROUP", "TOPIC", "PARTITION", "LAG", "LAG%", "COMMITTED", "LATEST", "CLIENT", "HOST", "MEMBER"]);
	expect(rows).toEqual([
		["theirs", "orders", "0", "20", "25%", "70", "90", "client-a", "/a", "member-a"],
		["theirs", "orders", "1", "-", "-", "-", "0", "-", "-", "-"],
		["theirs", "orders", "2", "1", "0.1%", "999", "1000", "client-b", "/b", "static"],
	]);
	expect([stderr, groups]).toEqual(["group theirs: Stable, 2 members", ["theirs"]]);
});

it("shows no tenth of a percent where none says more", async () => {
	const { rows } = await offsets({ committed: { "orders/0": 82, "orders/1": 0, "orders/2": 901, "other/0": 0 } });
	expect(rows.map(([, , , lag, percent]) => [lag, percent])).toEqual([
		["8", "10%"],
		["0", "0%"],
		["99", "9.9%"],
		["5", "100%"],
	]);
});

it("leaves out topics that the group does not use, unless one is asked for", async () => {
	const topics = async (...more: string[]) =>
		(await offsets({ committed: { "payments/0": 3 }, members: [member("a", ["other", 0])] }, ...more)).rows.map(([, topic]) => topic);
	expect(await topics()).toEqual(["other", "payments"]);
	expect(await topics("--topic", "orders")).toEqual(["orders", "orders", "orders"]);
	const { code, stderr } = await offsets({}, "--topic", "ordres");
	expect([code, stderr]).toEqual([1, "pockaffe: there is no topic ordres (did you mean orders?)"]);
});

it("names members that have nothing", async () => {
	const { stderr } = await offsets({ members: [member("a", ["orders", 0]), member("b"), member("c")] });
	expect(stderr).toBe("group theirs: Stable, 3 members; without a partition: client-b /b, client-c /c");
});

it("prints JSON with the member of each partition", async () => {
	const { lines } = await offsets(
		{ committed: { "payments/0": 6 }, members: [member("a", ["payments", 0])] },
		"--json",
		"--topic",
		"payments",
	);
	const { partitions: _, ...owner } = member("a");
	const figures = { committed: 6, latest: 8, lag: 2, lagPercent: 25 };
	expect(JSON.parse(lines[0] ?? "")).toEqual([{ group: "theirs", topic: "payments", partition: 0, ...figures, member: owner }]);
});

it("says that a group is not there only where nobody knows it", async () => {
	const there = { committed: { "orders/0": 70 } };
	expect((await offsets({ state: "Dead" })).stderr).toMatch(
		/^pockaffe: there is no group theirs.*: nothing is committed, and it has no members$/,
	);
	expect(await offsets({ members: null })).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no group theirs") });
	expect(await offsets({ state: "Empty" })).toMatchObject({ code: 0, rows: [], stderr: "group theirs: Empty, 0 members" });
	expect((await offsets({ ...there, state: "Dead" })).stderr).toBe(
		"group theirs: Dead, 0 members: Kafka has no such group; is the name right?",
	);
	expect((await offsets({ ...there, members: null })).stderr).toBe("the broker does not tell who has which partition: see pockaffe status");
});

it("names the configured group where a mistyped one is near it", async () => {
	playKafka({ state: "Dead" });
	const { stderr } = await playedCommand(["offsets", "our"], { environment: playedEnvironment });
	expect(stderr).toContain("there is no group our (did you mean ours?)");
});
