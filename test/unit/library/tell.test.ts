/** A listener of the library's user that throws. */
import { afterEach, expect, it, vi } from "vitest";
import { createDaemon } from "../../../src/library/create-daemon.ts";
import { tell } from "../../../src/library/tell.ts";

afterEach(() => vi.restoreAllMocks());

it("a listener that throws does not throw at who tells it, and is heard by the process", () => {
	const later = vi.spyOn(globalThis, "setImmediate").mockReturnValue({} as NodeJS.Immediate);
	const failure = new Error("mine");
	expect(() =>
		tell(() => {
			throw failure;
		}),
	).not.toThrow();
	expect(later.mock.calls[0]?.[0]).toThrow(failure);
});

it("a listener of a daemon's event that throws does not throw at the daemon", () => {
	const later = vi.spyOn(globalThis, "setImmediate").mockReturnValue({} as NodeJS.Immediate);
	const daemon = createDaemon({
		kafka: { brokers: ["127.0.0.1:1"], group: "g", topics: ["t"] },
		handler: { module: "pockaffe:json" },
		database: { url: "postgres://127.0.0.1:1/d" },
		tables: { events: {} },
		log: { level: "silent" },
	});
	daemon.on("started", () => {
		throw new Error("mine");
	});
	expect(() => daemon.emit("started")).not.toThrow();
	expect(later).toHaveBeenCalledOnce();
});
