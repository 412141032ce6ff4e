/** The folder of PocKaffe's package, seen from src/core, from dist/core, or from dist/bundle, which contains this file. */
export const packageRoot = new URL("../../", import.meta.url);
