/** Options of the scripts in `test/` (`npm run chaos`, `simulate`, `fuzz`, `mutants`). */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>["values"];

/** Reads the command line. `--help` prints `usage` and ends with exit code 0; an unknown option ends with 2. */
export function scriptOptions<const T extends Options>(usage: string, options: T): Values<T> {
	if (process.argv.includes("--help")) {
		console.log(usage);
		process.exit(0);
	}
	try {
		return parseArgs({ options }).values;
	} catch (error) {
		console.error(`${(error as Error).message}\n${usage}`);
		process.exit(2);
	}
}
