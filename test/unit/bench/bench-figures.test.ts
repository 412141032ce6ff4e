import { describe, expect, it } from "vitest";
import { type BenchResult, measures, pivot, shownFigure, Tally, timesOf } from "../../../bench/report/figures.ts";
import { htmlPage, plotted } from "../../../bench/report/html-page.ts";
import { markdown } from "../../../bench/report/markdown.ts";
import { shownResult } from "../../../bench/report/output.ts";

function tallied() {
	const tally = new Tally();
	for (const value of [100, 300, 200]) tally.note("a", measures.messagesPerSecond, value);
	tally.note("b", measures.messagesPerSecond, 12_345.6);
	tally.note("b", timesOf("a"), 61.728);
	tally.note("a", measures.databaseMicros, null);
	return tally.figures();
}

const result: BenchResult = {
	bench: "pipeline",
	question: "how fast is <it>?",
	broker: "real Kafka",
	database: "Postgres 18.4",
	options: { messages: 5, keys: ["uniform", "hot"] },
	figures: tallied(),
	courses: [{ title: "memory", x: "s", y: "MiB", lines: [{ name: "RSS", points: [[0, 1] as const, [1, 2] as const] }] }],
	notes: ["read | carefully"],
	findings: ["a row is wrong"],
};

describe("figures", () => {
	it("have one value per repeat, and their median and spread", () => {
		const [first] = tallied();
		expect(first).toMatchObject({
			subject: "a",
			label: "messages/s",
			unit: "1/s",
			values: [100, 300, 200],
			median: 200,
			min: 100,
			max: 300,
		});
	});

	it("are null, not zero, where nothing can be known", () => {
		const unknown = tallied().find(({ label }) => label === "database CPU µs/message");
		expect(unknown).toMatchObject({ subject: "a", values: [], median: null, min: null, max: null });
		expect(shownFigure(unknown as never)).toBe("–");
	});

	it("leave out what is no number", () => {
		const tally = new Tally();
		tally.note("a", timesOf("nobody"), Number.NaN);
		tally.note("a", timesOf("nobody"), Number.POSITIVE_INFINITY);
		expect(tally.figures()[0]).toMatchObject({ values: [], median: null });
	});

	it("stand in a table by subject and measure", () => {
		const { head, rows } = pivot(tallied());
		expect(head).toEqual(["", "messages/s", "× a", "database CPU µs/message"]);
		expect(rows).toEqual([
			["a", "200 (100–300)", "", "–"],
			["b", "12,346", "61.73", ""],
		]);
	});

	it("are told alike on the terminal, in Markdown and on the page", () => {
		const machine = [["CPU", "a <good> one"]] as const;
		for (const shown of [shownResult(result), markdown([result], machine), htmlPage([result], machine)]) {
			expect(shown).toContain("200 (100–300)");
			expect(shown).toContain("12,346");
			expect(shown).toContain("a row is wrong");
		}
	});
});

describe("the page", () => {
	const page = htmlPage([result], [["CPU", "a <good> one"]]);

	it("needs nothing from elsewhere", () => {
		expect(page).not.toMatch(/<script|<link|src=|url\(|@import|https?:/);
	});

	it("escapes what it is given", () => {
		expect(page).toContain("how fast is &lt;it&gt;?");
		expect(page).toContain("a &lt;good&gt; one");
		expect(page).not.toContain("<it>");
	});

	it("plots what can be compared, and every course", () => {
		expect(plotted(result.figures).map(([figure]) => figure?.label)).toEqual(["messages/s"]);
		expect(page.match(/<svg/g)).toHaveLength(2);
	});
});

describe("Markdown", () => {
	it("keeps cells apart, whatever they hold", () => {
		const odd = { ...result, figures: result.figures.map((figure) => ({ ...figure, subject: "a|b" })) };
		expect(markdown([odd], [])).toContain("| a\\|b |");
	});
});
