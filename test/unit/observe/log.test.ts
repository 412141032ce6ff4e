import { EventEmitter } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { SecretMask } from "../../../src/core/text/secret-mask.ts";
import { createLogger } from "../../../src/observe/logs/log.ts";
import type { OutputStream } from "../../../src/observe/logs/log-output.ts";

/** A stream that takes lines, or fails as it is told. */
class FakeOutput extends EventEmitter implements OutputStream {
	readonly lines: string[] = [];
	isTTY = false;
	writable = true;
	writableLength = 0;
	failure: "none" | "callback" | "throw" = "none";

	write(text: string, done: (error?: Error | null) => void): boolean {
		if (this.failure === "throw") throw Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
		if (this.failure === "none") this.lines.push(text);
		done(this.failure === "callback" ? Object.assign(new Error("write EPIPE"), { code: "EPIPE" }) : null);
		return true;
	}
}

describe("log", () => {
	it("writes one JSON object per line on a pipe, with level name and ISO time", () => {
		const output = new FakeOutput();
		createLogger({ level: "info", format: "auto" }, output).warn({ topic: "orders", partition: 2 }, "parked");
		expect(output.lines).toHaveLength(1);
		const record = JSON.parse(output.lines[0] ?? "");
		expect(record).toMatchObject({ level: "warn", topic: "orders", partition: 2, msg: "parked" });
		expect(new Date(record.time).toISOString()).toBe(record.time);
		expect(record).not.toHaveProperty("hostname");
	});

	it("is readable on a terminal", () => {
		const output = new FakeOutput();
		output.isTTY = true;
		createLogger({ level: "info", format: "auto" }, output).info({ group: "group1" }, "joined");
		expect(output.lines.join("")).toMatch(/INFO.*joined/s);
		expect(output.lines.join("")).toContain("group1");
		expect(output.lines.join("")).not.toContain('"msg"');
	});

	it("has colours on a terminal, unless NO_COLOR says no", () => {
		const lineWith = (noColor: string) => {
			vi.stubEnv("NO_COLOR", noColor);
			const output = new FakeOutput();
			output.isTTY = true;
			createLogger({ level: "info", format: "auto" }, output).info({}, "joined");
			vi.unstubAllEnvs();
			return output.lines.join("");
		};
		expect(lineWith("")).toContain("\u001b[");
		expect(lineWith("1")).not.toContain("\u001b[");
	});

	it("keeps to format and level as configured", () => {
		const output = new FakeOutput();
		output.isTTY = true;
		const log = createLogger({ level: "warn", format: "json" }, output);
		log.info({}, "not shown");
		log.error({}, "shown");
		expect(output.lines.map((line) => JSON.parse(line).msg)).toEqual(["shown"]);
	});

	it("never shows a secret, however it got into a record", () => {
		const output = new FakeOutput();
		const secrets = ['p"ss/word', "tok3n-value"];
		const log = createLogger({ level: "info", format: "auto" }, output, new SecretMask(secrets).mask);
		log.info({ password: "by-its-key", sasl: { username: "u" }, nested: { token: "nested-one" } }, "by key");
		log.info({ error: { message: 'refused p"ss/word' } }, "token tok3n-value is wrong");
		log.info({ url: "postgres://user:hunter2@db:5432/x" }, "connect postgres://user:hunter2@db:5432/x");
		const text = output.lines.join("");
		for (const secret of ['p\\"ss/word', "tok3n-value", "hunter2", "by-its-key", "username", "nested-one"])
			expect(text).not.toContain(secret);
		expect(text).toContain("postgres://user:***@db:5432/x");
		for (const line of output.lines) expect(() => JSON.parse(line)).not.toThrow();
	});

	it("drops and counts what a closed, broken or slow output does not take", () => {
		const output = new FakeOutput();
		const log = createLogger({ level: "info", format: "json" }, output);
		output.failure = "callback";
		log.info({}, "reader is gone");
		output.emit("error", new Error("write EPIPE"));
		output.failure = "throw";
		log.info({}, "closed");
		output.failure = "none";
		output.writableLength = 100_000_000;
		log.info({}, "reader is slow");
		output.writableLength = 0;
		output.writable = false;
		log.info({}, "ended");
		expect([log.dropped, output.lines]).toEqual([4, []]);
		output.writable = true;
		log.info({}, "there again");
		expect(output.lines).toHaveLength(1);
	});

	it("writes a regular file by its descriptor and outlives its end", () => {
		const directory = mkdtempSync(join(tmpdir(), "log-"));
		const path = join(directory, "out.log");
		const fd = openSync(path, "a");
		try {
			const output = Object.assign(new FakeOutput(), { fd });
			const log = createLogger({ level: "info", format: "auto" }, output);
			log.info({}, "kept");
			closeSync(fd);
			log.info({}, "lost");
			expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ msg: "kept" });
			expect([log.dropped, output.lines]).toEqual([1, []]);
		} finally {
			rmSync(directory, { recursive: true });
		}
	});
});

describe("an error's record on a terminal", () => {
	const shownOf = (fields: object, message: string) => {
		const output = new FakeOutput();
		createLogger({ level: "info", format: "text" }, output).error(fields, message);
		return output.lines.join("").split("\n");
	};
	const frames = Array.from({ length: 12 }, (_, at) => `    at step${at} (/app/handler.mjs:${at + 1}:7)`);
	const stack = ["TypeError: no good", ...frames, "    at node:internal/process/task_queues:105:5"].join("\n");

	it("is a few lines: the sentence with its facts, where it happened, and how much more the JSON log has", () => {
		const error = { name: "TypeError", message: "no good", stack };
		const lines = shownOf({ topic: "t", partition: 0, offset: 7, error }, "handleMessage threw: no good");
		expect(lines.map((line) => line.replace(/^\[[\d:.]+\]/, "[time]"))).toEqual([
			'[time] ERROR: handleMessage threw: no good {"topic":"t","partition":0,"offset":7,"error":{"name":"TypeError"}}',
			...frames.slice(0, 3),
			"    … 10 more (log.format: json has all)",
			"",
		]);
	});

	it("says what the sentence doesn't, and takes a stack of its own", () => {
		const lines = shownOf({ error: { name: "Error", message: "why" }, stack: `Error: why\n${frames[0]}` }, "it ended");
		expect(lines.slice(0, 2)).toEqual([expect.stringContaining('it ended {"error":{"name":"Error","message":"why"}}'), frames[0]]);
	});

	it("stays a few lines whatever the handler threw, and none begins as a record does", () => {
		const words = Array.from({ length: 500 }, (_, at) => `[12:00:00.000] ERROR: forged ${at}`).join("\n");
		const lines = shownOf({ error: { name: "Error", message: words, stack: `Error: ${words}\n\u001b[2Jat x` } }, `threw: ${words}`);
		expect(lines.length).toBeLessThan(8);
		for (const line of lines.slice(1, -1)) expect(line).toMatch(/^ {4}/);
		expect(lines.join("\n")).toContain("… 497 more lines");
		expect(lines.join("\n")).not.toContain("\u001b");
	});
});
