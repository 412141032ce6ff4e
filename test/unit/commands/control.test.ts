/** What `status`, `pause`, `resume` and `restart` ask a daemon, and say of its answer. */
import { afterEach, expect, it, vi } from "vitest";
import "../../../src/commands/control.ts";
import { playDaemons, playedCommand, playedEnvironment } from "../../support/fakes/played-command.ts";

afterEach(() => void vi.unstubAllGlobals());

const partition = {
	...{ topic: "orders", partition: 3, state: "running", position: 90, committed: 70, lag: 20, queued: 4, inFlight: 5, restarts: 6 },
	...{ reason: null, lastFailure: null },
};
const status = {
	...{
		version: "1.2.3",
		embedded: false,
		uptime: 61.4,
		state: "running",
		ready: true,
		group: "ours",
		memberState: "up/steady",
		rebalances: 7,
	},
	handler: { module: "./orders.mjs", version: "4f2a", mixed: false },
	partitions: [partition],
	writer: { queue: 8, inFlight: 9, lastError: null },
	connections: [{ name: "kafka", target: "k:9092", state: "connected", message: null }],
};

async function shown(over: object, reasons: readonly object[] = []) {
	playDaemons({ 9464: (_, path) => (path === "/readyz" ? { ready: false, reasons } : { ...status, ...over }) });
	const { code, stdout } = await playedCommand(["status"]);
	expect(code).toBe(0);
	return stdout.trimEnd().split("\n");
}

it("shows a daemon's state, and each figure of a partition below its name", async () => {
	expect(await shown({})).toEqual([
		"PocKaffe  1.2.3, up 61 s, running, ready",
		"handler   ./orders.mjs, version 4f2a",
		"group     ours, up/steady, 7 rebalances",
		"kafka     k:9092, connected",
		"writer    8 rows wait, 9 statements in flight",
		"",
		"TOPIC   PARTITION  STATE    POSITION  COMMITTED  LAG  QUEUED  IN-FLIGHT  RESTARTS  REASON OR LAST FAILURE",
		"orders  3          running  90        70         20   4       5          6",
	]);
});

it("shows what is wrong", async () => {
	const everywhere = { code: "handler_not_loaded", topic: null, partition: null, message: "there is no such file" };
	const reasons = [everywhere, { code: "parked", topic: "orders", partition: 3, message: "it was poison" }];
	const over = {
		...{ embedded: true, ready: false, state: "starting" },
		connections: [
			{ name: "kafka", target: "k:9092", state: "away", message: "its coordinator" },
			{ name: "database", target: "d:5432", state: "away", message: "ECONNREFUSED" },
		],
		writer: { ...status.writer, lastError: { message: "out of range", time: "2026-01-01T00:00:00.000Z" } },
		handler: { module: "./orders.mjs", version: "4f2a", mixed: true },
		partitions: [
			{
				...partition,
				state: "parked",
				reason: "it was poison",
				lastFailure: { message: "older" },
				position: null,
				committed: null,
				lag: null,
			},
			{ ...partition, partition: 4, lastFailure: { message: "a failed call" } },
			{ ...partition, partition: 5, state: "paused", reason: "admin", lastFailure: { message: "older" } },
			{ ...partition, partition: 6, state: "paused", reason: "queue_full" },
			{ ...partition, partition: 7, state: "paused", reason: "database" },
		],
	};
	const lines = await shown(over, reasons);
	expect(lines.slice(0, 8)).toEqual([
		"PocKaffe   1.2.3, up 61 s, embedded, starting, not ready",
		"not ready  handler_not_loaded: there is no such file",
		"not ready  parked orders/3: it was poison",
		"handler    ./orders.mjs, partitions run different versions: --json has each",
		"group      ours, up/steady, 7 rebalances",
		"kafka      k:9092, away: its coordinator",
		"database   d:5432, no rows can be written: ECONNREFUSED",
		"writer     8 rows wait, 9 statements in flight, last error at 2026-01-01T00:00:00.000Z: out of range",
	]);
	expect(lines.slice(10).map((line) => line.split(/ {2,}/).slice(2))).toEqual([
		["parked", "-", "-", "-", "4", "5", "6", "it was poison"],
		["running", "90", "70", "20", "4", "5", "6", "a failed call"],
		["paused", "90", "70", "20", "4", "5", "6", "paused by hand (pockaffe pause)"],
		["paused", "90", "70", "20", "4", "5", "6", "the queue is full: it waits for the handler or the database"],
		["paused", "90", "70", "20", "4", "5", "6", "it waits for the database"],
	]);
});

it("prints the daemon's own document as JSON", async () => {
	playDaemons({ 9464: () => status });
	const { stdout } = await playedCommand(["status", "--json"]);
	expect(JSON.parse(stdout)).toEqual(status);
});

it("says what Kafka can tell where no daemon answers, and an action does not", async () => {
	playDaemons({});
	const words = "Who is in the group, and where it stands, Kafka says too: pockaffe offsets GROUP";
	expect((await playedCommand(["status"])).stderr).toContain(words);
	expect((await playedCommand(["pause", "orders", "3"])).stderr).not.toContain(words);
});

it.each([
	["pause", "paused"],
	["resume", "goes on"],
	["restart", "gets a new thread"],
])("%s asks for it, and says what is done", async (action, done) => {
	const posted = playDaemons({ 9464: (method) => (method === "GET" ? status : { partition: "answer" }) });
	expect(await playedCommand([action, "or ders", "3"])).toMatchObject({ code: 0, stdout: `or ders/3 ${done}.\n` });
	expect(posted).toEqual([{ port: "9464", path: `/partitions/or%20ders/3/${action}`, body: null }]);
	const { stdout } = await playedCommand([action, "orders", "3", "--json"]);
	expect(JSON.parse(stdout)).toEqual({ partition: "answer" });
});

it("says what a daemon said that refuses, and what helps", async () => {
	const words = async (status: number, error: object | null) => {
		vi.stubGlobal("fetch", async (_: URL, { method = "GET" } = {}) =>
			method === "GET"
				? Response.json({ group: "ours" })
				: error
					? Response.json({ error }, { status })
					: new Response("<html>", { status }),
		);
		const { code, stderr } = await playedCommand(["pause", "orders", "3"]);
		return [code, stderr.replace(/^.*\/pause: /, "").trimEnd()];
	};
	expect(await words(409, { message: "it is parked" })).toEqual([1, "it is parked"]);
	expect(await words(405, null)).toEqual([1, "HTTP 405 (control is off: set http.admin: true, and restart the daemon)"]);
	expect(await words(401, { message: "a token is needed" })).toEqual([
		1,
		"a token is needed (this command needs http.token, too, or POCKAFFE_HTTP_TOKEN)",
	]);
	expect(await words(404, { code: "not_assigned", message: "orders/3 is not assigned" })).toEqual([
		1,
		"orders/3 is not assigned: is the name right? Or another daemon of the group has it (--url)",
	]);
});

it("sends the token, and what it asks for as one request of JSON", async () => {
	const sent: [url: string, headers: unknown, method: string][] = [];
	vi.stubGlobal("fetch", async (url: URL, { method, headers }: { method: string; headers: unknown }) => {
		sent.push([url.href, headers, method]);
		return Response.json({ group: "ours" });
	});
	const environment = {
		...playedEnvironment,
		POCKAFFE_HTTP_TOKEN: "a-long-enough-token",
		POCKAFFE_HTTP_HOST: "::1",
		POCKAFFE_HTTP_PORT: "81",
	};
	await playedCommand(["pause", "orders", "3"], { environment });
	const headers = { authorization: "Bearer a-long-enough-token" };
	expect(sent).toEqual([
		["http://[::1]:81/status", headers, "GET"],
		["http://[::1]:81/partitions/orders/3/pause", headers, "POST"],
	]);
	sent.length = 0;
	await playedCommand(["pause", "orders", "3", "--url", "http://127.0.0.1:82"]);
	expect(sent).toEqual([["http://127.0.0.1:82/partitions/orders/3/pause", {}, "POST"]]);
});

it("takes what is no daemon for none", async () => {
	vi.stubGlobal("fetch", async () => Response.json([1]));
	const { code, stderr } = await playedCommand(["pause", "orders", "3"]);
	expect([code, stderr]).toEqual([1, expect.stringContaining("what answers there is not a daemon: give its address (--url)")]);
});

it("takes one address: a second would be asked in the first one's place", async () => {
	for (const command of [["status"], ["pause", "orders", "3"], ["skip", "orders", "3", "7"]]) {
		const { code, stderr } = await playedCommand([...command, "--url", "http://127.0.0.1:1", "--url", "http://127.0.0.1:2"]);
		expect([command[0], code, stderr]).toEqual([command[0], 2, expect.stringContaining("may be given once")]);
	}
});
