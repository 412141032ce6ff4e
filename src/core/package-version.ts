/** The version, from package.json. */
import { readFileSync } from "node:fs";
import { packageRoot } from "./package-root.ts";

const { version } = JSON.parse(readFileSync(new URL("package.json", packageRoot), "utf8")) as { version: string };

/** PocKaffe's. */
export const packageVersion = version;
