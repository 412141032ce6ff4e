/**
 * `npm run mutants -- --folder src/core --count 40 --seed 1 [--nearest 12] [--slowest 4000]`: small careless changes, one at a time, in a copy
 * of the work tree. `--folder` takes several folders or files. Does a test notice? Prints the changes that none noticed, and the score by
 * folder; the exit code is 0 whatever the score. See docs/testing.md.
 * `--skip 12` goes on with a sample after its first twelve. `--list FILE` tries the changes of a JSON file instead: [{file, from, to}],
 * where `from` is a text that the file has once.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/core/random.ts";
import { scriptOptions } from "../support/script-options.ts";
import { equivalents } from "./equivalents.ts";
import { type Mutant, mutantsOf } from "./mutators.ts";
import { filesBelow, knownDurations, RelatedTests } from "./related-tests.ts";
import { type TestFile, type Verdict, WorkCopy } from "./work-copy.ts";

const usage = `type: npm run mutants -- --folder src/core[,src/kafka] --count 40 --seed 1 [--skip 0] [--nearest 12] [--slowest 4000] [--kinds a,b], or --list FILE
Changes the code carelessly, one place at a time, in a copy, and says which changes no test noticed (docs/testing.md).
--count: how many places. --skip: leave out this many of the sample's first. --nearest: at most this many test files for a change.
--slowest: no test files that took longer, ms. --kinds: only these kinds of changes. --list: the changes of a JSON file, [{file, from, to}].`;
const values = scriptOptions(usage, {
	folder: { type: "string", default: "src" },
	count: { type: "string", default: "40" },
	skip: { type: "string", default: "0" },
	seed: { type: "string", default: "1" },
	nearest: { type: "string", default: "12" },
	slowest: { type: "string", default: "4000" },
	kinds: { type: "string" },
	list: { type: "string" },
});
const project = new URL("../../", import.meta.url).pathname;
const sources = new Map([...filesBelow(project, "src", ".ts")].map((file) => [file, readFileSync(join(project, file), "utf8")] as const));
const tests = ["unit", "contract", "native", "thread", "simulation"]
	.flatMap((folder) => filesBelow(project, `test/${folder}`, ".test.ts"))
	.filter((test) => !/\.(?:kafka|postgres)\.test|simulation\/(?:simulation|mutations|letters)\.test|unit\/project/.test(test));
const related = new RelatedTests(project, tests);
const durations = knownDurations(project);

/** What stands in the line before and after. */
function linesOf({ file, from, to, text }: Mutant): readonly [string, string] {
	const source = sources.get(file) as string;
	const begin = source.lastIndexOf("\n", from - 1) + 1;
	const end = source.indexOf("\n", to);
	return [source.slice(begin, end).trim(), (source.slice(begin, from) + text + source.slice(to, end)).trim()];
}

function listed(path: string): readonly Mutant[] {
	const changes = JSON.parse(readFileSync(path, "utf8")) as readonly { file: string; from: string; to: string }[];
	return changes.map(({ file, from, to }) => {
		const [before = "", ...after] = sources.get(file)?.split(from) ?? [];
		if (after.length !== 1) throw new Error(`${file} holds ${after.length} times: ${from}`);
		return { file, line: before.split("\n").length, kind: "listed", from: before.length, to: before.length + from.length, text: to };
	});
}

/** So many of all, each as likely as the other. */
function sampled(): readonly Mutant[] {
	const folders = values.folder.split(",");
	const inFolder = (file: string) => folders.some((folder) => `${file}/`.startsWith(`${folder.replace(/\/$/, "")}/`));
	const kinds = values.kinds?.split(",");
	const all = [...sources]
		.filter(([file]) => inFolder(file))
		.flatMap(([file, source]) => mutantsOf(file, source))
		.filter(({ kind }) => kinds?.includes(kind) ?? true);
	const random = seededRandom(Number(values.seed));
	for (let last = all.length - 1; last > 0; last--) {
		const other = Math.floor(random() * (last + 1));
		[all[last], all[other]] = [all[other] as Mutant, all[last] as Mutant];
	}
	console.log(
		`${all.length} places to change in ${values.folder}, of which ${Math.min(all.length, Number(values.count))} are tried${values.skip === "0" ? "" : `, without the first ${values.skip}`}`,
	);
	return all.slice(Number(values.skip), Number(values.count));
}

/** The nearest: those that import the file first, of each kind the shortest first. */
function testsOf(file: string): readonly TestFile[] {
	const durationOf = ({ test }: { test: string }) => durations.get(test) ?? 0;
	const [direct, others] = [true, false].map((isDirect) =>
		related
			.of(file)
			.filter((test) => durationOf(test) <= Number(values.slowest))
			.slice(0, Number(values.nearest))
			.filter(({ distance }) => (distance === 1) === isDirect)
			.sort((left, right) => durationOf(left) - durationOf(right)),
	);
	return [...(direct ?? []), ...(others ?? [])].map(({ test }) => ({ test, runsBuilt: related.runsBuilt(test) }));
}

const why = new Map(equivalents.map(({ file, line, why }) => [`${file}: ${line}`, why]));
const scores = new Map<string, Record<Verdict["kind"] | "equivalent", number>>();
await using copy = await WorkCopy.make();
for (const mutant of values.list === undefined ? sampled() : listed(values.list)) {
	const [before, after] = linesOf(mutant);
	const folder = mutant.file.split("/").slice(0, 2).join("/");
	const score = scores.get(folder) ?? { killed: 0, survived: 0, "timed out": 0, equivalent: 0 };
	scores.set(folder, score);
	const begunAt = performance.now();
	const reason = why.get(`${mutant.file}: ${after}`);
	const verdict = reason === undefined ? await copy.try(mutant, testsOf(mutant.file)) : null;
	const seconds = ((performance.now() - begunAt) / 1_000).toFixed(1);
	const what = `${mutant.file}:${mutant.line} (${mutant.kind})`;
	const change = `\n    - ${before}\n    + ${after}`;
	if (verdict === null) {
		if (reason !== undefined) score.equivalent++;
		console.log(reason === undefined ? `NO CODE    ${what}${change}` : `EQUIVALENT ${what}${change}\n    ${reason}`);
		continue;
	}
	score[verdict.kind]++;
	if (verdict.kind === "killed") console.log(`killed     ${what} in ${seconds} s by ${verdict.by}`);
	else console.log(`${verdict.kind.toUpperCase().padEnd(10)} ${what} in ${seconds} s${change}`);
}
for (const [folder, { killed, survived, "timed out": timedOut, equivalent }] of scores) {
	const share = Math.round((100 * killed) / Math.max(1, killed + survived));
	const counts = `${killed} killed, ${survived} survived; not counted: ${timedOut} timed out, ${equivalent} equivalent`;
	console.log(`${folder}: ${share} % noticed (${counts})`);
}
