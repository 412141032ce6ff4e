/** An operation, and how it is played: load, the event, quiet, and the judgement. */
import { expect } from "vitest";
import { OperationScene, type Sections } from "./scene.ts";
import type { OwnServers } from "./servers.ts";

/** A case of the catalogue. Lost may be nothing, in any of them. */
export interface Operation {
	readonly name: string;
	/** It is in the short form, which takes half a minute with its servers: those that go through most of the code in the least time. */
	readonly isShort?: boolean;
	/** Codes that `/readyz` has to say. */
	readonly says?: readonly string[];
	/** Codes that it may say beside them. */
	readonly may?: readonly string[];
	/** What goes over the scene's configuration, of its daemons and its commands. */
	readonly config?: Sections;
	/** The topic's own settings. */
	readonly topic?: Readonly<Record<string, string>>;
	/** Rows of messages that were in no log at the end may stay, and `verify` says so. */
	readonly leavesExtra?: boolean;
	/** The event; resolves when it is over. */
	readonly run: (scene: OperationScene) => Promise<void>;
}

/** What any daemon may say that has just been started, or stops. */
const ALWAYS: readonly string[] = ["starting", "draining"];

/** Rejects where anything is not as it should be; resolves with what `/readyz` said, and when. */
export async function play(
	{ run, says = [], may = [], config, topic, leavesExtra = false }: Operation,
	servers: OwnServers,
): Promise<string> {
	await using scene = await OperationScene.open(servers, { config, topic });
	await run(scene);
	await scene.progress();
	await scene.load.stop();
	await scene.converged();
	await scene.ready();
	const { codes, said } = scene.watch;
	expect(codes, JSON.stringify(said, null, 1)).toEqual(expect.arrayContaining([...says]));
	const unexpected = said.filter(({ code }) => ![...says, ...may, ...ALWAYS].includes(code));
	expect(unexpected, "what /readyz said beside that").toEqual([]);
	await scene.stop();
	await scene.expectVerified(leavesExtra);
	return scene.watch.summary;
}
