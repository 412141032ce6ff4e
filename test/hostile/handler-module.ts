/** The handler's module of a scene: a case's own, or one that hands each topic's messages to the case that is played on it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HostileCase, Way } from "./hostile-case.ts";

/** Offset, in partition 0, of the message that the handler misbehaves at. */
export const CULPRIT = 5;

/** Writes the modules of cases by topic; gives what `handler.module` must be. */
export async function writeHandler(folder: string, cases: ReadonlyMap<string, HostileCase>, way: Way): Promise<string> {
	const [[, first] = []] = cases;
	if (first?.message) return "pockaffe:json";
	if (cases.size === 1) await writeFile(join(folder, "handler.mjs"), sourceOf(first as HostileCase, way));
	else {
		const files: Record<string, string> = {};
		for (const [topic, hostile] of cases) {
			files[topic] = `./${topic}.mjs`;
			await writeFile(join(folder, `${topic}.mjs`), sourceOf(hostile, way));
		}
		await writeFile(join(folder, "handler.mjs"), oneForEach(files));
	}
	return "./handler.mjs";
}

function sourceOf({ source, top = "", act = "" }: HostileCase, way: Way): string {
	if (source) return source;
	return `
const parse = JSON.parse;
const ROW = ({ key, value }) => { const { n } = parse(value.toString()); return { id: key.toString(), fields: { n, doc: [n] } }; };
const CULPRIT = ({ partition, offset }) => partition === 0 && offset === ${CULPRIT};
${top}
${way === "batches" ? "" : "export "}function handleMessage(message, state) {
	if (CULPRIT(message)) {
		${act}
	}
	return ROW(message);
}
${way === "batches" ? inBatches : ""}`;
}

/** By index: what the act does to lists must be found by the daemon, not here. */
const inBatches = `
export async function handleMessages(batch, state) {
	const outcomes = [];
	for (let i = 0; i < batch.length; i++) outcomes[i] = await handleMessage(batch[i], state);
	return outcomes;
}`;

function oneForEach(files: Readonly<Record<string, string>>): string {
	return `
const files = ${JSON.stringify(files, null, "\t")};
export async function init(partition, options) {
	const handler = await import(files[partition.topic]);
	return { handler, state: await handler.init?.(partition, options) };
}
export const handleMessage = (message, { handler, state }) => handler.handleMessage(message, state);
export const terminate = (reason, { handler, state }) => handler.terminate?.(reason, state);
`;
}
