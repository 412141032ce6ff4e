/** Which tests reach a source file, by who imports whom; the nearest first. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** What tests of threads and of the command line run is built: they import it by no name. */
const built: readonly (readonly [importer: RegExp, entry: string])[] = [
	[/^test\/support\/fakes\/real-(?:thread|worker)\.ts$/, "src/worker/inside/thread-entry.ts"],
	[/^test\/support\/daemons\/(?:command-line|daemon-process)\.ts$/, "src/main.ts"],
];

/** See the file's header. `root` ends with a slash. */
export class RelatedTests {
	readonly #root: string;
	readonly #imports = new Map<string, readonly string[]>();
	readonly #distances: ReadonlyMap<string, ReadonlyMap<string, number>>;

	constructor(root: string, tests: readonly string[]) {
		this.#root = root;
		this.#distances = new Map(tests.map((test) => [test, this.#reach(test)]));
	}

	/** Tests that reach `file`, nearest first. */
	of(file: string): readonly { readonly test: string; readonly distance: number }[] {
		return [...this.#distances]
			.flatMap(([test, reached]) => {
				const distance = reached.get(file);
				return distance === undefined ? [] : [{ test, distance }];
			})
			.sort((left, right) => left.distance - right.distance);
	}

	/** Whether it runs `dist`. */
	runsBuilt(test: string): boolean {
		return [...(this.#distances.get(test)?.keys() ?? [])].some((file) => built.some(([importer]) => importer.test(file)));
	}

	#reach(test: string): ReadonlyMap<string, number> {
		const reached = new Map([[test, 0]]);
		for (const [file, distance] of reached)
			for (const imported of this.#importsOf(file)) if (!reached.has(imported)) reached.set(imported, distance + 1);
		return reached;
	}

	#importsOf(file: string): readonly string[] {
		const known = this.#imports.get(file);
		if (known) return known;
		const source = readFileSync(join(this.#root, file), "utf8");
		// No types: they are gone when it runs.
		const imports = [...source.matchAll(/^(?:import|export)(?! type\b)[^;"]*?"(\.[^"]+\.ts)"|\bimport\("(\.[^"]+\.ts)"\)/gm)].map(
			([, one, other]) => normalize(join(dirname(file), (one ?? other) as string)),
		);
		for (const [importer, entry] of built) if (importer.test(file)) imports.push(entry);
		this.#imports.set(file, imports);
		return imports;
	}
}

/** How many milliseconds each test file without servers took when vitest last ran it; of none that it never ran. */
export function knownDurations(root: string): ReadonlyMap<string, number> {
	const [known] = filesBelow(root, "node_modules/.vite/vitest", "results.json");
	const { results = [] } = known === undefined ? {} : (JSON.parse(readFileSync(join(root, known), "utf8")) as VitestResults);
	return new Map(results.map(([test, { duration }]) => [test.replace(/^(?:alone|threads):/, ""), duration]));
}

interface VitestResults {
	readonly results?: readonly (readonly [test: string, { readonly duration: number }])[];
}

/** Files below `folder`, as paths from the root. */
export function filesBelow(root: string, folder: string, end: string): readonly string[] {
	if (!existsSync(join(root, folder))) return [];
	return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(end))
		.map((name) => join(folder, name))
		.sort();
}
