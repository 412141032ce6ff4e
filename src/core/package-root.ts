/** The folder that PocKaffe is in. From src/core, from dist/core, and from dist/bundle, where this file is part of another. */
export const packageRoot = new URL("../../", import.meta.url);
