/** Reading Prometheus text: figures of one scrape by name. Pure. */

/** The sum over a metric's series; null where the text has none. */
export function metricOf(text: string, name: string): number | null {
	let sum: number | null = null;
	for (const line of text.split("\n")) {
		if (!line.startsWith(name) || !/^[{ ]/.test(line.slice(name.length))) continue;
		sum = (sum ?? 0) + Number(line.slice(line.lastIndexOf(" ") + 1));
	}
	return sum;
}
