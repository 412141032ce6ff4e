/**
 * Who may import whom: one list for all of `src`. A room that is not in it, an arrow that is not in it, and a package outside its home are
 * red.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const src = fileURLToPath(new URL("../../../src/", import.meta.url));

/** Siblings never import each other: each declares what it needs beside its user, and `daemon` hands it in. */
const rooms: Readonly<Record<string, readonly string[]>> = {
	core: [],
	config: ["core"],
	kafka: ["core", "config"],
	supervisor: ["core", "config"],
	worker: ["core", "config"],
	sink: ["core", "config"],
	observe: ["core", "config"],
	embedded: ["core", "config"],
	daemon: ["core", "config", "kafka", "supervisor", "worker", "sink", "observe", "embedded"],
	audit: ["core", "config", "kafka", "supervisor", "worker", "sink", "daemon"],
	library: ["core", "config", "kafka", "observe", "embedded", "daemon"],
	commands: ["core", "config", "kafka", "worker", "sink", "observe", "embedded", "daemon", "audit", "library"],
};

/** Packages that one room alone knows. */
const homes: Readonly<Record<string, string>> = {
	"node-rdkafka": "kafka",
	piscina: "worker",
	postgres: "sink",
	"prom-client": "observe",
	pino: "observe",
	commander: "commands",
};

/** What runs in a handler's thread, and what of the main thread's folders it shares: words, memory, and what only reads. */
const inside = "worker/inside/";
const shared = ["thread-protocol.ts", "handler-thread.ts", "handler-output.ts", "handler-version.ts"].map(
	(file) => `worker/thread/${file}`,
);

interface Import {
	readonly file: string;
	/** Path within `src`, or a package's name. */
	readonly target: string;
	readonly own: boolean;
}

const imports = readdirSync(src, { recursive: true, encoding: "utf8" })
	.map((file) => file.replaceAll("\\", "/"))
	.filter((file) => /\.c?ts$/.test(file))
	.flatMap((file) => importsOf(file, readFileSync(join(src, file), "utf8")));

/** Static and dynamic imports, and paths of modules in strings: a module that is loaded by its path is imported too. */
function importsOf(file: string, text: string): Import[] {
	const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
	const named = [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] as string);
	const byPath = [...code.matchAll(/"(\.{1,2}\/[^"]+\.c?js)"/g)].map((match) => (match[1] as string).replace(/js$/, "ts"));
	return [...named, ...byPath]
		.filter((name) => !name.startsWith("node:"))
		.map((name) => {
			const own = name.startsWith(".");
			return { file, own, target: own ? posix.join(dirname(file), name) : name };
		});
}

const roomOf = (file: string) => (file.includes("/") ? (file.split("/")[0] as string) : "");

describe("imports of src", () => {
	it("are found, and lead to files that are there", () => {
		const own = imports.filter((each) => each.own && !each.target.startsWith(".."));
		expect(own.length).toBeGreaterThan(1000);
		expect(own.filter(({ target }) => !existsSync(join(src, target)))).toEqual([]);
		// By its path in a string, which no other check would follow.
		expect(own).toContainEqual({ file: "worker/inside/handler-loader.ts", own: true, target: "embedded/example-handler.ts" });
	});

	it("know every room", () => {
		const there = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
		expect(there.map(({ name }) => name).sort()).toEqual(Object.keys(rooms).sort());
	});

	it("go from a room to those below it only", () => {
		const forbidden = imports
			.filter(({ own, file, target }) => own && !target.startsWith("..") && roomOf(file) !== "" && roomOf(target) !== roomOf(file))
			.filter(({ file, target }) => target !== "handler-api.ts" && !rooms[roomOf(file)]?.includes(roomOf(target)))
			// The one handler of another room that a thread loads, for the embedded run.
			.filter(({ file, target }) => !(file === "worker/inside/handler-loader.ts" && target === "embedded/example-handler.ts"));
		expect(forbidden).toEqual([]);
	});

	it("leave each package in its home", () => {
		const packageOf = (name: string) => name.split("/")[0] as string;
		const astray = imports.filter(({ own, file, target }) => !own && (homes[packageOf(target)] ?? roomOf(file)) !== roomOf(file));
		expect(astray).toEqual([]);
	});

	it("of a handler's thread stay inside it, but for what both threads share", () => {
		const out = imports
			.filter(({ own, file, target }) => own && file.startsWith(inside) && roomOf(target) === "worker" && !target.startsWith(inside))
			.filter(({ target }) => !shared.includes(target));
		expect(out).toEqual([]);
	});
});
