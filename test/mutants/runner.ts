/**
 * Runs tests in the copy of the work tree, one file after the other, in one vitest: what was transformed stays. A process of its own, for
 * a mutant that never ends takes it along.
 */
import { join } from "node:path";
import { createVitest, type TestSpecification } from "vitest/node";
import { type RunAnswer, type RunOrder, testLimitMs } from "./run-order.ts";

const root = process.cwd();
const vitest = await createVitest("test", {
	root,
	config: join(root, "config/vitest.config.ts"),
	project: ["alone", "threads"],
	// A file that another file's tests loaded before would be the one without the mutant.
	isolate: true,
	watch: false,
	bail: 1,
	maxWorkers: 1,
	reporters: [{}],
	// How long a test takes is not what it takes with a mutant.
	cache: false,
	testTimeout: testLimitMs,
	hookTimeout: testLimitMs,
});
await vitest.standalone();
const all: readonly TestSpecification[] = await vitest.globTestSpecifications();
const byFile = new Map(all.map((specification) => [specification.moduleId, specification]));

/** The one of the mutant before: it was put back. */
let before: string | null = null;

function failure(name: string, errors: readonly { readonly message: string }[] = []): { readonly name: string; readonly isLate: boolean } {
	return { name, isLate: errors.some(({ message }) => / timed out in \d+ms/.test(message)) };
}

process.on("message", async ({ changed, test }: RunOrder) => {
	for (const file of new Set([changed, before ?? changed])) vitest.invalidateFile(join(root, file));
	before = changed;
	for (const ofRunBefore of [vitest.state.filesMap, vitest.state.idMap]) ofRunBefore.clear();
	const begunAt = performance.now();
	const specification = byFile.get(join(root, test));
	if (!specification) throw new Error(`no test file ${test}`);
	const { testModules, unhandledErrors } = await vitest.runTestSpecifications([specification]);
	const failures = testModules.flatMap((module) => {
		const failed = [...module.children.allTests("failed")].map((one) => failure(`${test} > ${one.fullName}`, one.result().errors));
		return failed.length > 0 || module.ok() ? failed : [failure(test, module.errors())];
	});
	const first = [...failures, ...unhandledErrors.map((error) => failure(`${test}: ${error}`))][0];
	const answer: RunAnswer = {
		failed: first?.name ?? null,
		isLate: first?.isLate ?? false,
		longestMs: Math.max(
			0,
			...testModules.flatMap((module) => [...module.children.allTests()].map((one) => one.diagnostic()?.duration ?? 0)),
		),
		wholeMs: performance.now() - begunAt,
	};
	process.send?.(answer);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
