/**
 * Figures and courses as inline SVG: no script, no network, colours from the page's own style. Pure.
 * A figure is a bar to its median with a line from its least to its greatest repeat.
 */
import { type Axis, linearAxis, powerAxis, shownTick } from "./axis.ts";
import { type Course, type Figure, shownFigure } from "./figures.ts";

const BARS = { width: 560, label: 210, value: 150, bar: 16, row: 26, top: 26 };
const LINES = { width: 720, height: 320, left: 60, right: 190, top: 32, bottom: 40 };
/** So few points of a line are marked. */
const MARKED_POINTS = 20;
/** From how many times the least on values are shown by powers. */
const POWERS_FROM = 30;

/** One measure of several subjects. */
export function barPlot(figures: readonly Figure[]): string {
	const known = figures.filter(({ median }) => median !== null);
	const label = figures[0]?.label ?? "";
	const height = BARS.top + known.length * BARS.row + 6;
	const least = Math.min(0, ...known.map(({ min }) => min as number));
	const axis = linearAxis(least, Math.max(...known.map(({ max }) => max as number)), BARS.label, BARS.width - BARS.value);
	const bars = known.map((figure, index) => bar(figure, axis, BARS.top + index * BARS.row));
	return svg(BARS.width, height, label, [text(0, 14, label, "title"), ...bars]);
}

function bar(figure: Figure, axis: Axis, top: number): string {
	const { median, min, max, subject } = figure as Figure & { median: number; min: number; max: number };
	const [zero, end, middle] = [axis.at(0), axis.at(median), top + BARS.bar / 2];
	const [left, right] = [axis.at(min), axis.at(max)];
	return [
		text(BARS.label - 8, middle + 4, subject, "name"),
		`<rect class="bar" x="${px(Math.min(zero, end))}" y="${px(top)}" width="${px(Math.abs(end - zero))}" height="${BARS.bar}"/>`,
		`<line class="spread" x1="${px(left)}" x2="${px(right)}" y1="${px(middle)}" y2="${px(middle)}"/>`,
		text(Math.max(right, end, zero) + 6, middle + 4, shownFigure(figure), "value"),
	].join("");
}

/** Lines over time or size. */
export function linePlot({ title, x, y, lines }: Course): string {
	const points = lines.flatMap((line) => line.points);
	if (points.length === 0) return "";
	const { width, height, left, right, top, bottom } = LINES;
	const xs = points.map(([at]) => at);
	const [firstX, lastX] = [Math.min(...xs), Math.max(...xs)];
	const byPowers = firstX > 0 && lastX / firstX >= POWERS_FROM && new Set(xs).size < 20;
	const across = byPowers ? powerAxis(xs, left, width - right) : linearAxis(firstX, lastX, left, width - right);
	const ys = points.map(([, value]) => value);
	const up = linearAxis(Math.min(0, ...ys), Math.max(...ys), height - bottom, top);
	const grid = up.ticks.map(
		(tick) =>
			`<line class="grid" x1="${left}" x2="${width - right}" y1="${px(up.at(tick))}" y2="${px(up.at(tick))}"/>${text(left - 6, up.at(tick) + 4, shownTick(tick), "name")}`,
	);
	const marks = across.ticks.map((tick) => text(across.at(tick), height - bottom + 16, shownTick(tick), "tick"));
	const drawn = lines.map((line, index) => {
		const path = line.points.map(([at, value]) => `${px(across.at(at))},${px(up.at(value))}`).join(" ");
		const legend = text(width - right + 12, top + 12 + index * 18, line.name, `legend line-${index % 6}`);
		const dots = line.points.length > MARKED_POINTS ? [] : line.points;
		const marked = dots.map(
			([at, value]) => `<circle class="line line-${index % 6}" cx="${px(across.at(at))}" cy="${px(up.at(value))}" r="2.5"/>`,
		);
		return `<polyline class="line line-${index % 6}" points="${path}"/>${marked.join("")}${legend}`;
	});
	return svg(width, height, title, [
		text(0, 14, title, "title"),
		...grid,
		...marks,
		...drawn,
		text((left + width - right) / 2, height - 6, `${x} → ${y}`, "tick"),
	]);
}

/** Text for HTML and SVG. */
export function escaped(content: string): string {
	return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function svg(width: number, height: number, label: string, parts: readonly string[]): string {
	return `<svg viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${escaped(label)}">${parts.join("")}</svg>`;
}

function text(x: number, y: number, content: string, name: string): string {
	return `<text class="${name}" x="${px(x)}" y="${px(y)}">${escaped(content)}</text>`;
}

function px(value: number): string {
	return String(Math.round(value * 10) / 10);
}
