export * from "../vendor-src/entries/dagre.ts";
