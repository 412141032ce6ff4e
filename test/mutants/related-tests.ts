/** Which tests reach a source file, by who imports whom; the nearest first. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** What tests of threads run is the built entry: they import it by no name. */
const threadEntry = "src/worker/inside/thread-entry.ts";
const startsThreads = /^test\/support\/fakes\/real-(?:thread|worker)\.ts$/;

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
		if (startsThreads.test(file) || /dist\/worker\/inside/.test(source)) imports.push(threadEntry);
		this.#imports.set(file, imports);
		return imports;
	}
}

/** Files below `folder`, as paths from the root. */
export function filesBelow(root: string, folder: string, end: string): readonly string[] {
	return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(end))
		.map((name) => join(folder, name))
		.sort();
}
