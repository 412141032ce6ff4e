/**
 * Chaos on the real thing: real Kafka, real Postgres, daemons as processes, faults by seed without a pause. Afterwards everything must
 * be there (a seed chooses the faults and their order; when they meet what is chance's): every offset committed, no row ever moved back,
 * `verify` without a difference, every rejected and poisoned message a letter.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerificationReport } from "../../src/audit/verification/verification-report.ts";
import { systemClock } from "../../src/core/clock.ts";
import { messageOf } from "../../src/core/errors.ts";
import { seededRandom } from "../../src/core/random.ts";
import { pockaffe } from "../support/daemons/command-line.ts";
import { groupOffsets } from "../support/kafka/group-offsets.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseFault } from "./faults.ts";
import { group, Scene, topic } from "./scene.ts";

/** What is wanted. `say` is told what happens, a line each. */
export interface ChaosOptions {
	readonly seconds: number;
	readonly seed: number;
	readonly perSecond: number;
	readonly say: (line: string) => void;
}

/** What came of it; without findings all is well. */
export interface ChaosResult {
	readonly seed: number;
	readonly seconds: number;
	readonly settings: string;
	readonly messages: number;
	readonly faults: Readonly<Record<string, number>>;
	readonly letters: Readonly<Record<string, number>>;
	readonly counts: VerificationReport["counts"] | null;
	readonly findings: readonly string[];
	/** Where the daemons' logs are, kept where there are findings. */
	readonly folder: string;
}

const DAEMONS = 3;
const AT_ONCE = 3;
const CATCH_UP_MS = 180_000;

/** Runs for `seconds` and looks at what came of it. */
export async function runChaos({ seconds, seed, perSecond, say }: ChaosOptions): Promise<ChaosResult> {
	const folder = await mkdtemp(join(tmpdir(), "pockaffe-chaos-"));
	const random = seededRandom(seed);
	const counts: Record<string, number> = {};
	const findings: string[] = [];
	const begunAt = performance.now();
	const elapsed = () => Math.round((performance.now() - begunAt) / 1000);
	const result = await (async () => {
		await using scene = await Scene.start(folder, random);
		say(`seed ${seed}: ${scene.settings}`);
		scene.produce(perSecond);
		for (let i = 0; i < DAEMONS; i++) scene.startDaemon();
		const running = new Set<Promise<void>>();
		while (elapsed() < seconds) {
			await systemClock.sleep(200 + random() * 3_000);
			if (running.size >= AT_ONCE || scene.daemons.length === 0) continue;
			const fault = chooseFault(random);
			counts[fault.name] = (counts[fault.name] ?? 0) + 1;
			say(`${elapsed()} s: ${fault.name}`);
			const done = fault.run(scene, random).catch((error) => void findings.push(`${elapsed()} s: ${fault.name}: ${messageOf(error)}`));
			running.add(done);
			void done.finally(() => running.delete(done));
		}
		await Promise.all(running);
		await scene.stopProducing();
		say(`${elapsed()} s: ${scene.produced.messages} messages produced; catching up`);
		return { settings: scene.settings, messages: scene.produced.messages, ...(await settleAndJudge(scene, findings)) };
	})();
	if (findings.length === 0) await rm(folder, { recursive: true, force: true });
	return { seed, seconds: elapsed(), faults: counts, findings, folder, ...result };
}

async function settleAndJudge(scene: Scene, findings: string[]): Promise<Pick<ChaosResult, "letters" | "counts">> {
	await waitFor("every offset to be committed", () => isAllCommitted(scene), CATCH_UP_MS).catch((error) => findings.push(messageOf(error)));
	const codes = await Promise.all([...scene.daemons].map((daemon) => daemon.end("SIGTERM")));
	scene.daemons.length = 0;
	if (codes.some((code) => code !== 0)) findings.push(`the last daemons ended with ${codes.join(", ")}`);
	const { code, stdout, stderr } = await pockaffe(["verify", "--json"], { cwd: scene.folder });
	const report = stdout ? (JSON.parse(stdout) as VerificationReport) : null;
	if (code !== 0) findings.push(`verify: exit ${code} ${stderr} ${JSON.stringify(report?.counts)} ${JSON.stringify(report?.differences)}`);
	if (report && report.messages < scene.produced.messages) findings.push(`verify read ${report.messages} messages`);
	return { counts: report?.counts ?? null, letters: await scene.withDatabase((database) => judgeTables(scene, database, findings)) };
}

async function judgeTables(
	{ produced }: Scene,
	database: Parameters<Parameters<Scene["withDatabase"]>[0]>[0],
	findings: string[],
): Promise<Record<string, number>> {
	const movedBack = await database.query("select * from moved_back limit 5");
	if (movedBack.length > 0) findings.push(`rows were moved back: ${JSON.stringify(movedBack)}`);
	const rows = await database.query("select reason, count(*)::int4 as count from pockaffe_dead_letters group by reason");
	const letters: Record<string, number> = Object.fromEntries(rows.map(({ reason, count }) => [String(reason), Number(count)]));
	if (letters.rejected !== produced.rejects) findings.push(`${produced.rejects} messages were to be rejected: ${JSON.stringify(letters)}`);
	if ((letters.poison ?? 0) < produced.poisons) findings.push(`${produced.poisons} messages were poison: ${JSON.stringify(letters)}`);
	return letters;
}

async function isAllCommitted({ kafka }: Scene): Promise<boolean> {
	return (await groupOffsets(kafka.brokers, group, topic)).every(({ committed, latest }) => committed === latest);
}
