export * from "../vendor-src/entries/yaml.ts";
