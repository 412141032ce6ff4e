/** Results as one HTML page that needs nothing else: plots, tables, the machine. Pure. */

import type { MachineFacts } from "../measuring/machine.ts";
import { type BenchResult, type Figure, pivot } from "./figures.ts";
import { barPlot, escaped, linePlot } from "./plots.ts";

const style = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --rule: #d9d9e0; --ground: #fff; --bar: #4c7bd9;
	--c0: #3b6fd4; --c1: #c2571a; --c2: #2b8a3e; --c3: #9333ea; --c4: #b8860b; --c5: #d6336c; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --rule: #363a3f; --ground: #111113; --bar: #5b8def;
	--c0: #7aa2f7; --c1: #ff9e64; --c2: #7ec699; --c3: #c4a2ff; --c4: #e0c060; --c5: #ff8fab; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto; max-width: 1180px; padding: 0 1rem; }
h2 { margin: 2.5rem 0 0; } .question, .note { color: var(--soft); margin: .2rem 0; } .wrong { color: var(--c5); font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .facts td { text-align: left; } .plots { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
.title { font-weight: 600; } .name { text-anchor: end; } .tick { text-anchor: middle; } .value { fill: var(--soft); }
.bar { fill: var(--bar); } .spread { stroke: var(--ink); stroke-width: 1.5; } .grid { stroke: var(--rule); } .line { fill: none; stroke-width: 1.8; }
${[0, 1, 2, 3, 4, 5].map((index) => `.line-${index} { stroke: var(--c${index}); } svg text.line-${index} { fill: var(--c${index}); stroke: none; }`).join("\n")}`;

/** The page. */
export function htmlPage(results: readonly BenchResult[], machine: MachineFacts): string {
	const facts = machine.map(([name, value]) => `<tr><td>${escaped(name)}</td><td>${escaped(value)}</td></tr>`);
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>PocKaffe: benches</title>
<style>${style}</style></head><body>
<h1>PocKaffe: how fast, on this machine</h1>
<p class="question">Medians of the repeats, in brackets the least and the greatest; the lines on the bars show the same. Ratios are of the same round.</p>
<div class="scroll"><table class="facts">${facts.join("\n")}</table></div>
${results.map(section).join("\n")}
</body></html>
`;
}

function section({ bench, question, options, figures, courses, notes, findings }: BenchResult): string {
	const { head, rows } = pivot(figures);
	const given = Object.entries(options).map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(",") : value}`);
	const cells = (tag: string, row: readonly string[]) => `<tr>${row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
	const paragraphs = (name: string, lines: readonly string[]) => lines.map((line) => `<p class="${name}">${escaped(line)}</p>`).join("\n");
	return `<section><h2 id="${escaped(bench)}">${escaped(bench)}</h2>
${paragraphs("question", [question, given.join(" · ")])}
${paragraphs("wrong", findings)}
<div class="plots">${[...plotted(figures).map(barPlot), ...courses.map(linePlot)].join("\n")}</div>
<div class="scroll"><table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("\n")}</table></div>
${paragraphs("note", notes)}</section>`;
}

/** Figures by measure, where there is something to compare. */
export function plotted(figures: readonly Figure[]): Figure[][] {
	const byLabel = new Map<string, Figure[]>();
	for (const figure of figures) if (figure.median !== null) byLabel.set(figure.label, [...(byLabel.get(figure.label) ?? []), figure]);
	return [...byLabel.values()].filter((group) => group.length > 1);
}
