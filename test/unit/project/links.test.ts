/** Links between the pages of the documentation lead somewhere: to a file that is there, and to a heading of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const project = new URL("../../../", import.meta.url);
const pages = [
	"README.md",
	"CHANGELOG.md",
	"binding.gyp-notes.md",
	...readdirSync(new URL("docs/", project)).map((name) => `docs/${name}`),
];
const textOf = (page: string | URL) => readFileSync(new URL(page, project), "utf8").replaceAll(/```[\s\S]*?```/g, "");

/** As GitHub makes them: words and hyphens. */
function anchorsOf(text: string): string[] {
	return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
		heading
			.toLowerCase()
			.replaceAll(/[^\p{L}\p{N}_\- ]/gu, "")
			.replaceAll(" ", "-"),
	);
}

it.each(pages)("the links of %s", (page) => {
	const dead = [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].filter(([, path = "", anchor]) => {
		const target = path === "" ? new URL(page, project) : new URL(path, new URL(page, project));
		return !existsSync(target) || (anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor));
	});
	expect(dead.map(([link]) => link)).toEqual([]);
});

it("the README names every page of the handbook", () => {
	const readme = textOf("README.md");
	expect(pages.filter((page) => page.startsWith("docs/") && !readme.includes(`(${page})`))).toEqual([]);
});

it("the README is one page", () => {
	expect(textOf("README.md").split("\n").length).toBeLessThanOrEqual(200);
});
