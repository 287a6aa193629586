export * from "../vendor-src/entries/codemirror.ts";
