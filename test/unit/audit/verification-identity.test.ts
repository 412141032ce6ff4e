/** What an interrupted verification must be about to be continued. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { verificationIdentity } from "../../../src/audit/verification/verification-identity.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
	folder = await temporaryFolder();
	await writeFile(join(folder.path, "handler.mjs"), "export const handleMessage = () => null;");
	await writeFile(join(folder.path, "other.mjs"), "export const handleMessage = () => undefined;");
});
afterAll(() => folder[Symbol.asyncDispose]());

type Written = Record<string, Record<string, unknown>>;

async function identityOf(over: Written = {}, scope: Parameters<typeof verificationIdentity>[1] = undefined) {
	const written: Written = {
		kafka: { brokers: ["a:1"], group: "g", topics: ["orders"], ...over.kafka },
		handler: { module: join(folder.path, "handler.mjs"), ...over.handler },
		database: { url: "postgres://u:secret@h/d", ...over.database },
		tables: over.tables ?? { events: { columns: { name: "text" } } },
		deadLetters: over.deadLetters ?? {},
		offsets: over.offsets ?? {},
	};
	return verificationIdentity(loadConfig({ written, environment: {}, cwd: folder.path }).config, scope);
}

const scopeOf = (...ids: string[]) => ({ ids: new Set(ids) }) as never;

it.each<[what: string, over: Written]>([
	["group or list of topics", { kafka: { group: "h" } }],
	["group or list of topics", { kafka: { topics: ["orders", "payments"] } }],
	["handler", { handler: { module: "other.mjs" } }],
	["handler", { handler: { module: "pockaffe:json" } }],
	["definition of tables", { tables: { events: { columns: { name: "bigint" } } } }],
	["database", { database: { url: "postgres://u:secret@h/other" } }],
	["place of dead letters", { deadLetters: { table: "letters" } }],
	["place of dead letters", { deadLetters: { target: "topic", topic: "letters" } }],
	["store of offsets", { offsets: { store: "postgres" } }],
	["store of offsets", { offsets: { table: "o" } }],
])("another %s is another verification: %j", async (what, over) => {
	const [was, is] = [await identityOf(), await identityOf(over)];
	expect(Object.keys(was).filter((name) => was[name as keyof typeof was] !== is[name as keyof typeof is])).toEqual([what]);
});

it("other brokers and another password make no difference", async () => {
	expect(await identityOf({ kafka: { brokers: ["b:1"] }, database: { url: "postgres://u:renewed@h/d" } })).toEqual(await identityOf());
});

it("ids make a difference, their order does not", async () => {
	const [none, some, same] = [await identityOf(), await identityOf({}, scopeOf("a", "b")), await identityOf({}, scopeOf("b", "a"))];
	expect(some).toEqual(same);
	expect(some).not.toEqual(none);
});

it("is hashes alone: a handler's options may hold secrets", async () => {
	const identity = await identityOf({ handler: { options: { token: "s3cret" } } });
	for (const hash of Object.values(identity)) expect(hash).toMatch(/^[\w-]{22}$/);
});
