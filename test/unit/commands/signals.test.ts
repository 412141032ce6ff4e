import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listenToSignals, onIgnoredSignals, signalActions } from "../../../src/commands/process/signals.ts";

class FakeProcess extends EventEmitter {
	readonly pid = 7;
	readonly killed: string[] = [];
	nowMs = 10_000;
	readonly interrupted = new AbortController();

	kill(pid: number, signal: string): void {
		this.killed.push(`${pid} ${signal}`);
	}

	static listening(): FakeProcess {
		const target = new FakeProcess();
		listenToSignals(target as never, target.interrupted, () => target.nowMs);
		return target;
	}
}

const named = (wanted: (action: (typeof signalActions)[keyof typeof signalActions]) => boolean) =>
	Object.entries(signalActions).flatMap(([signal, action]) => (wanted(action) ? [signal] : []));

describe("signals", () => {
	it.each(named(({ action }) => action === "drain"))("%s drains, with its name as the reason", (signal) => {
		const target = FakeProcess.listening();
		target.emit(signal);
		expect(String(target.interrupted.signal.reason)).toBe(`Error: ${signal}`);
		expect(target.killed).toEqual([]);
	});

	it.each(named(({ action }) => action === "ignore"))("%s does nothing but tell whoever asks, at any time", (signal) => {
		const target = FakeProcess.listening();
		const ignored: string[] = [];
		onIgnoredSignals(target as never, (each) => ignored.push(each));
		target.emit(signal);
		expect(target.interrupted.signal.aborted).toBe(false);
		target.emit("SIGTERM");
		target.nowMs += 60_000;
		target.emit(signal);
		expect(target.killed).toEqual([]);
		expect(ignored).toEqual([signal, signal]);
	});

	it.each(named(({ hurries }) => hurries))("%s kills a process that is draining, but not within the moment of the first", (signal) => {
		const target = FakeProcess.listening();
		target.emit("SIGTERM");
		target.nowMs += 500;
		target.emit(signal);
		expect(target.killed).toEqual([]);
		target.nowMs += 1;
		target.emit(signal);
		expect(target.killed).toEqual(["7 SIGKILL"]);
	});

	it("that come twice without anybody asking twice never kill: a closed terminal, a limit that is told every second", () => {
		const target = FakeProcess.listening();
		target.emit("SIGTERM");
		target.nowMs += 60_000;
		for (const signal of named(({ action, hurries }) => action === "drain" && !hurries)) target.emit(signal);
		expect(target.killed).toEqual([]);
	});

	it("are those of the handbook's table", () => {
		const readme = readFileSync(new URL("../../../docs/operating.md", import.meta.url), "utf8");
		const [, table = ""] = /<!-- signals -->\n([\s\S]*?)<!-- \/signals -->/.exec(readme) ?? [];
		const rows = table
			.trim()
			.split("\n")
			.slice(2)
			.map((row) => row.split(" | ")[0]?.match(/SIG\w+/g));
		expect(rows).toEqual([
			named(({ hurries }) => hurries),
			named(({ action, hurries }) => action === "drain" && !hurries),
			named(({ action }) => action === "ignore"),
			["SIGPIPE"],
			["SIGKILL"],
		]);
	});
});
