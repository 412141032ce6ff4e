import { everyWay, type HostileKind } from "../hostile-case.ts";

const rowOf = "const { n } = JSON.parse(value); const id = String(key);";

/** A message is as it came, each time. */
export const changedMessages: HostileKind = {
	title: "modifies its messages",
	happens:
		"a later attempt, a halved batch and the dead letter have the bytes of the log, whatever an earlier call did to its copy; which calls may overlap is decided by the key as it came",
	costs: "nothing; but a write through `value.buffer` into other messages of the same run is not noticed",
	cases: [
		{
			what: "writes into its key while calls overlap",
			act: "const row = ROW(message); message.key.fill(120); return Promise.resolve(row);",
			culprit: "row",
			way: "overlapping calls",
		},
		{
			what: "writes into every key while calls overlap",
			source: `
			export async function handleMessage({ key, value }) { ${rowOf} await null; key.fill(0); value.fill(0); return { id, fields: { n, doc: [n] } }; }`,
			culprit: "row",
			way: "overlapping calls",
		},
		{
			what: "writes into a value, and fails once",
			// Of two attempts the last is made in a new thread.
			top: 'import { writeFileSync } from "node:fs"; const flag = new URL("./failed", import.meta.url);',
			act: "let isFirst = true; try { writeFileSync(flag, '', { flag: 'wx' }); } catch { isFirst = false; } if (isFirst) { message.value.fill(57); throw new Error('once'); }",
			culprit: "row",
			// It handles each message once.
			verify: false,
			also: everyWay,
		},
		{
			what: "writes into a key and a value, and fails",
			act: "message.key.fill(57); message.value.fill(57); throw new Error('always');",
			culprit: "letter",
			also: everyWay,
			short: true,
		},
		{
			what: "writes into the values of a batch, and fails",
			source: `
			export function handleMessages(batch) {
				return batch.map((message) => {
					const { n } = JSON.parse(message.value.toString());
					message.value.fill(57);
					if (message.partition === 0 && message.offset === 5) throw new Error("no");
					return { id: message.key.toString(), fields: { n, doc: [n] } };
				});
			}`,
			culprit: "letter",
			way: "batches",
		},
		{
			what: "transfers the bytes away",
			top: 'import { MessageChannel } from "node:worker_threads"; const { port1 } = new MessageChannel();',
			act: "const row = ROW(message); try { port1.postMessage(null, [message.value.buffer]); } catch {} return row;",
			culprit: "row or letter",
			also: everyWay,
		},
		{
			what: "changes the batch's list",
			source: `
			export function handleMessages(batch) {
				const rows = batch.map(({ key, value }) => { ${rowOf} return { id, fields: { n, doc: [n] } }; });
				batch.length = 0; return rows;
			}`,
			culprit: "row",
			way: "batches",
		},
		{ what: "freezes its message", act: "Object.freeze(message); Object.freeze(message.headers);", culprit: "row" },
		{
			what: "gives its message other coordinates",
			act: "const row = ROW(message); message.offset = 3; message.partition = 1; message.topic = 'x'; message.ts = 0; return row;",
			culprit: "row",
			also: everyWay,
		},
		{
			what: "keeps its messages and reads them later",
			source: `
			const kept = [];
			export function handleMessage(message) {
				kept.push(message);
				for (const { key, value } of kept) { ${rowOf} if (!id.endsWith("-" + n)) throw new Error("another's bytes"); }
				const { key, value } = message; ${rowOf} return { id, fields: { n, doc: [n] } };
			}`,
			culprit: "row",
		},
	],
};
