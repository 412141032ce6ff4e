/** All hostile handlers by kind, a few lines each. Add yours to its kind; unit/handbook.test.ts says how the handbook learns of it. */
import type { HostileKind } from "./hostile-case.ts";
import { betweenCalls } from "./kinds/between-calls.ts";
import { builtIns } from "./kinds/built-ins.ts";
import { changedMessages } from "./kinds/changed-messages.ts";
import { endsProcess } from "./kinds/ends-process.ts";
import { fields } from "./kinds/fields.ts";
import { inherited } from "./kinds/inherited.ts";
import { jsonMessages } from "./kinds/json-messages.ts";
import { memory } from "./kinds/memory.ts";
import { notInterruptible } from "./kinds/not-interruptible.ts";
import { output } from "./kinds/output.ts";
import { ownResults } from "./kinds/own-results.ts";
import { plain } from "./kinds/plain.ts";

export const hostileKinds: readonly HostileKind[] = [
	plain,
	notInterruptible,
	betweenCalls,
	memory,
	endsProcess,
	builtIns,
	inherited,
	fields,
	ownResults,
	changedMessages,
	output,
	jsonMessages,
];
