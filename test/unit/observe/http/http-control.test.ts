import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/core/clock.ts";
import type { HttpControl } from "../../../../src/observe/http/http-control.ts";
import { createHttpServer, type HttpServer } from "../../../../src/observe/http/http-server.ts";
import type { Status } from "../../../../src/observe/status.ts";

let server: HttpServer | undefined;

afterEach(() => server?.close(0));

async function start(control: Partial<HttpControl> | null, { token = "", host = "127.0.0.1" } = {}) {
	const asked: string[] = [];
	const complete = control && {
		control: ({ topic, partition }: { topic: string; partition: number }, action: string) => {
			asked.push(`${action} ${topic}/${partition}`);
			return partition < 4;
		},
		drain: () => asked.push("drain"),
		...control,
	};
	server = await createHttpServer({
		host,
		port: 0,
		token,
		metrics: async () => ({ contentType: "text/plain", body: "" }),
		readiness: () => ({ ready: true }),
		status: () => ({}) as Status,
		clock: systemClock,
		control: complete as HttpControl | null,
	});
	const { url } = server;
	const post = async (path: string, headers: Record<string, string> = {}) => (await fetch(url + path, { method: "POST", headers })).status;
	return { url, asked, post };
}

describe("control over HTTP", () => {
	it("is not there unless it is wanted", async () => {
		const { post } = await start(null);
		expect([await post("/drain"), await post("/partitions/t/0/pause")]).toEqual([405, 405]);
	});

	it("pauses, resumes and restarts a partition, and drains", async () => {
		const { post, asked } = await start({});
		for (const action of ["pause", "resume", "restart"]) expect(await post(`/partitions/or%2Eders/3/${action}`)).toBe(200);
		expect(await post("/drain")).toBe(202);
		expect(asked).toEqual(["pause or.ders/3", "resume or.ders/3", "restart or.ders/3", "drain"]);
	});

	it("refuses what it doesn't know and partitions of others", async () => {
		const { post, url, asked } = await start({});
		expect(await post("/partitions/t/9/pause")).toBe(404);
		expect([await post("/partitions/t/0/stop"), await post("/partitions/t/x/pause"), await post("/partitions/t/-1/pause")]).toEqual([
			404, 404, 404,
		]);
		expect((await fetch(`${url}/drain`)).status).toBe(405);
		expect(asked).toEqual(["pause t/9"]);
	});

	it("sets offsets: done, under way, refused, and nothing for what is no request", async () => {
		const wanted: unknown[] = [];
		const answers = [
			{ outcome: "set", offsets: [] },
			{ outcome: "asked" },
			{ outcome: "busy" },
			{ outcome: "refused", why: "offset 9 is outside" },
		] as const;
		const { url } = await start({
			setOffsets: async (id, offsets) => {
				wanted.push([id, offsets]);
				return answers[wanted.length - 1] as (typeof answers)[number];
			},
		});
		const post = async (body: unknown) => {
			const answer = await fetch(`${url}/offsets`, { method: "POST", body: JSON.stringify(body) });
			return [answer.status, ((await answer.json()) as { error?: { message: string } }).error?.message ?? null];
		};
		const offsets = [{ topic: "t", partition: 0, to: 9 }];
		const results = [];
		for (const _ of answers) results.push(await post({ id: "a", offsets }));
		expect(results).toEqual([
			[200, null],
			[202, null],
			[409, expect.stringContaining("somebody else")],
			[409, "offset 9 is outside"],
		]);
		expect(wanted[0]).toEqual(["a", offsets]);
		for (const body of [
			null,
			{ offsets },
			{ id: "", offsets },
			{ id: "a", offsets: [{ topic: "t", partition: 0, to: -1 }] },
			{ id: "a", offsets: [{ topic: "t", partition: 0.5, to: 1 }] },
			{ id: "a", offsets: [null] },
		])
			expect(await post(body)).toEqual([400, expect.stringContaining("send JSON")]);
		expect(wanted).toHaveLength(4);
	});

	it("says that a message can't be skipped yet, and what to do first where a person paused the partition", async () => {
		const answers = [
			{ outcome: "ahead", position: 5 },
			{ outcome: "ahead", position: 5, isPaused: true },
		] as const;
		let asked = 0;
		const { url } = await start({ skip: async () => answers[asked++] ?? null });
		const words = [];
		for (const _ of answers) {
			const body = JSON.stringify({ offset: 7, why: "ops" });
			const answer = await fetch(`${url}/partitions/t/0/skip`, { method: "POST", body });
			words.push([answer.status, ((await answer.json()) as { error: { message: string } }).error.message]);
		}
		expect(words).toEqual([
			[409, "t/0 offset 7 was not received yet: the next one is 5. Skip it when the partition stands at it"],
			[409, "t/0 offset 7 was not received yet, and the partition is paused: resume it, and skip the message when it stands at it"],
		]);
	});

	it("reads a body of 1 MiB at most, and answers whoever sends more, or no JSON", async () => {
		const { url } = await start({ setOffsets: async () => ({ outcome: "asked" }) });
		const offsets = [{ topic: "t", partition: 0, to: 9 }];
		const padded = (bytes: number) => {
			const text = JSON.stringify({ id: "a", offsets });
			return text + " ".repeat(bytes - text.length);
		};
		const statuses = [];
		for (const body of [padded(1024 * 1024), padded(1024 * 1024 + 1), padded(8 * 1024 * 1024), "{", "", "\ufeff[]"])
			statuses.push((await fetch(`${url}/offsets`, { method: "POST", body })).status);
		expect(statuses).toEqual([202, 400, 400, 400, 400, 400]);
	});

	it("knows no other path of a partition, and none that can't be decoded", async () => {
		const { post, asked } = await start({});
		const paths = ["/partitions/", "/partitions/t/0", "/partitions/t/0/pause/now", "/partitions/t/0/%zz", "/partitions/%E0%A4%A/0/pause"];
		const statuses = [];
		for (const path of paths) statuses.push(await post(path));
		expect(statuses).toEqual([404, 404, 404, 404, 404]);
		expect([await post("/drain?now"), await post("/drain/")]).toEqual([202, 405]);
		expect(asked).toEqual(["drain"]);
	});

	it("wants the token where one is set, and nothing from web pages", async () => {
		const { post, asked } = await start({}, { token: "s3cret" });
		expect([
			await post("/drain"),
			await post("/drain", { authorization: "Bearer wrong!" }),
			await post("/drain", { authorization: "s3cret" }),
		]).toEqual([401, 401, 401]);
		expect(await post("/drain", { authorization: "Bearer s3cret", origin: "http://evil.example" })).toBe(403);
		expect(asked).toEqual([]);
		expect(await post("/drain", { authorization: "Bearer s3cret" })).toBe(202);
		expect(await post("/drain", { authorization: "bearer  s3cret" })).toBe(202);
	});

	it("takes a token that is not ASCII", async () => {
		const { post } = await start({}, { token: "schlüssel-№1" });
		const bytes = (text: string) => Buffer.from(text).toString("latin1");
		expect(await post("/drain", { authorization: `Bearer ${bytes("schlüssel-№1")}` })).toBe(202);
		expect(await post("/drain", { authorization: `Bearer ${bytes("schlüssel-№2")}` })).toBe(401);
	});

	it("is refused where it listens beyond loopback without a token, whatever the name says", async () => {
		for (const host of ["0.0.0.0", "::"]) await expect(start({}, { host })).rejects.toMatchObject({ code: "http_host", exitCode: 2 });
		await expect(start({}, { host: "127.1" })).resolves.toBeDefined();
	});
});
