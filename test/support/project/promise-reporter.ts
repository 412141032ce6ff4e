/**
 * Looks, behind a run of tests, whether the README's promises were held by tests that ran: a title in a file that is skipped holds nothing.
 * Of files that were not run nothing is said, nor of a run that picks tests by their names.
 */
import type { Reporter, TestModule, TestSpecification, Vitest } from "vitest/node";
import { kafkaMissing } from "../kafka/kafka-server.ts";
import { faultTests, type TestName } from "./fault-table.ts";
import { failurePromises, leadingPromises } from "./promises.ts";

/** A test that was run, or was not. */
export interface RunTest {
	/** With the titles around it. */
	readonly name: string;
	readonly state: string;
}

/** A promise, and one of the tests named for it that did not hold it. */
export interface UnheldPromise {
	readonly promise: string;
	readonly test: string;
	/** The test's state, or `missing`: its file has no such test. */
	readonly why: string;
}

/** The promises that no test of these files held; by file as the tests name it. */
export function unheldPromises(
	promises: Readonly<Record<string, readonly TestName[]>>,
	run: ReadonlyMap<string, readonly RunTest[]>,
): readonly UnheldPromise[] {
	return Object.entries(promises).flatMap(([promise, tests]) =>
		tests.flatMap(([file, title]) => {
			const found = run.get(file)?.filter(({ name }) => isTitled(name, title));
			if (!found || found.some(({ state }) => state === "passed")) return [];
			return [{ promise, test: `${file} > ${title}`, why: found[0]?.state ?? "missing" }];
		}),
	);
}

/** `%s` and its like stand for anything. */
function isTitled(name: string, title: string): boolean {
	const pieces = title.split(/%[sdijofp]/).map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
	return new RegExp(pieces.join(".*"), "s").test(name);
}

/** Goes before the reporter that sums the run up: the last lines are that one's. */
export default class PromiseReporter implements Reporter {
	#vitest: Vitest | null = null;
	#isKafkaMissing = false;

	onInit(vitest: Vitest): void {
		this.#vitest = vitest;
	}

	async onTestRunStart(specifications: readonly TestSpecification[]): Promise<void> {
		if (!specifications.some(({ project }) => project.name === "servers")) return;
		this.#isKafkaMissing = await kafkaMissing().then(Boolean, () => false);
	}

	/** Not async: what comes later would stand behind the summary. */
	onTestRunEnd(modules: readonly TestModule[], _errors: readonly unknown[], reason: string): void {
		if (!this.#vitest || this.#vitest.config.testNamePattern || reason === "interrupted") return;
		const unheld = unheldPromises({ ...leadingPromises, ...failurePromises, ...faultTests }, testsByFile(modules));
		if (unheld.length === 0) return;
		const which = this.#isKafkaMissing ? "Without Kafka these" : "These";
		const lines = unheld.map(({ promise, test, why }) => `  "${promise}"\n    ${test} (${why})`);
		this.#vitest.logger.log(`\n ${which} promises of the README were not held by a test that ran:\n${lines.join("\n")}`);
		// Who skips tests at his desk knows that he does.
		const isFailure = unheld.some(({ why }) => why === "missing" || (process.env.CI && !this.#isKafkaMissing));
		if (isFailure) process.exitCode = 1;
	}
}

/** A file may have been run by several projects. */
function testsByFile(modules: readonly TestModule[]): ReadonlyMap<string, readonly RunTest[]> {
	const run = new Map<string, RunTest[]>();
	for (const module of modules) {
		const tests = [...module.children.allTests()].map((test) => ({ name: test.fullName, state: test.result().state }));
		run.set(module.relativeModuleId, [...(run.get(module.relativeModuleId) ?? []), ...tests]);
	}
	return run;
}
