/** `npm run bench -- <name>`: one question a file; a table for people, `--json` for machines. */
import { runBenches } from "./program.ts";

process.exitCode = await runBenches(process.argv.slice(2));
// Clients that were closed may still hold the process for a while.
process.exit();
