/**
 * Runs tests in the copy of the work tree, one list after the other, in one vitest: what was transformed stays. A process of its own, for
 * a mutant that never ends takes it along.
 */
import { join } from "node:path";
import { createVitest, type TestSpecification } from "vitest/node";

/** What is run: these tests, on the file as it is now. */
export interface RunOrder {
	readonly changed: string;
	readonly tests: readonly string[];
}

/** The first test that failed, by its full name; null where all passed. */
export interface RunAnswer {
	readonly failed: string | null;
}

const root = process.cwd();
const vitest = await createVitest("test", {
	root,
	config: join(root, "config/vitest.config.ts"),
	project: ["alone"],
	watch: false,
	bail: 1,
	maxWorkers: 1,
	reporters: [{}],
	testTimeout: 20_000,
	hookTimeout: 20_000,
});
await vitest.standalone();
const all: readonly TestSpecification[] = await vitest.globTestSpecifications();
const byFile = new Map(all.map((specification) => [specification.moduleId, specification]));

/** The one of the mutant before: it was put back. */
let before: string | null = null;

process.on("message", async ({ changed, tests }: RunOrder) => {
	for (const file of new Set([changed, before ?? changed])) vitest.invalidateFile(join(root, file));
	before = changed;
	const specifications = tests.flatMap((test) => byFile.get(join(root, test)) ?? []);
	for (const ofRunBefore of [vitest.state.filesMap, vitest.state.idMap]) ofRunBefore.clear();
	const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications as TestSpecification[]);
	const failed = testModules.flatMap((module) => {
		const [test] = [...module.children.allTests("failed")];
		if (test) return `${module.relativeModuleId} > ${test.fullName}`;
		return module.ok() ? [] : `${module.relativeModuleId}: ${module.errors()[0]?.message}`;
	})[0];
	process.send?.({ failed: failed ?? (unhandledErrors.length > 0 ? String(unhandledErrors[0]) : null) } satisfies RunAnswer);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
