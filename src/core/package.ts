/** PocKaffe's own package. */
import { readFileSync } from "node:fs";

/** Its folder, seen from src/core, from dist/core, or from dist/bundle, which contains this file. */
export const packageRoot = new URL("../../", import.meta.url);

const { version } = JSON.parse(readFileSync(new URL("package.json", packageRoot), "utf8")) as { version: string };

/** The version in its package.json. */
export const packageVersion = version;
