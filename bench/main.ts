/** `npm run bench -- <question>`: one question a file; a table for people, and as the last line JSON for machines. */
import { Command } from "commander";
import { registerCrashes } from "./crashes.ts";
import { registerPipeline } from "./pipeline.ts";
import { registerPoison } from "./poison.ts";
import { registerRolling } from "./rolling.ts";

const program = new Command("bench")
	.description("Measures, as ratios against a ceiling in the same run; asserts nothing")
	.helpCommand(false);
registerPipeline(program);
registerPoison(program);
registerCrashes(program);
registerRolling(program);
await program.parseAsync();
// Clients that were closed may still hold the process for a while.
process.exit(0);
