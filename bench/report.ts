import type { BenchResult } from "./figures.ts";
export async function writeReport(_out: string, _results: readonly BenchResult[]): Promise<string[]> {
	return [];
}
