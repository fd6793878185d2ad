// Makes blocks.schema.json from the types that Slack publishes for TypeScript. README.md says how.
//
// The types close each object, so a field that Slack does not know is an error. Left out are blocks
// that filterd does not use; name one in SURFACES to have it.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const SURFACES = `
import type {
  ActionsBlock, ContextBlock, DividerBlock, HeaderBlock, HomeView, ImageBlock, InputBlock, ModalView,
  RichTextBlock, SectionBlock,
} from "@slack/types";

export type Blocks = (
  ActionsBlock | ContextBlock | DividerBlock | HeaderBlock | ImageBlock | InputBlock | RichTextBlock
  | SectionBlock
)[];
export type Modal = Omit<ModalView, "blocks"> & { blocks: Blocks };
export type Home = Omit<HomeView, "blocks"> & { blocks: Blocks };
`;
const WANTED = ["Blocks", "Home", "Modal"];

const packages = resolve(process.argv[2] ?? ".venv/slack");
const require = createRequire(join(packages, "package.json"));
const { createGenerator } = require("ts-json-schema-generator");
const version = JSON.parse(
  readFileSync(join(packages, "node_modules/@slack/types/package.json"), "utf8"),
).version;

const { definitions } = generated(SURFACES);
const used = reachable(definitions, WANTED);
const lines = used.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(definitions[name])}`);
writeFileSync(
  new URL("blocks.schema.json", import.meta.url),
  `{"$schema": "http://json-schema.org/draft-07/schema#",\n` +
    `"$comment": "made by make.mjs from @slack/types ${version} (MIT, Slack Technologies)",\n` +
    `"definitions": {\n${lines.join(",\n")}\n}}\n`,
);

function generated(source) {
  // Beside the packages, or the compiler does not find them.
  const folder = join(packages, "schema");
  mkdirSync(folder, { recursive: true });
  try {
    const path = join(folder, "surfaces.ts");
    const tsconfig = join(folder, "tsconfig.json");
    writeFileSync(path, source);
    const compilerOptions = { strict: true, moduleResolution: "node", types: [], skipLibCheck: true };
    writeFileSync(tsconfig, JSON.stringify({ compilerOptions, files: ["surfaces.ts"] }));
    const options = { path, tsconfig, type: "*", expose: "all", jsDoc: "none", sortProps: true };
    return createGenerator({ ...options, additionalProperties: false }).createSchema("*");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// The definitions that the wanted ones refer to, by name.
function reachable(all, wanted) {
  const found = new Set();
  const left = [...wanted];
  while (left.length > 0) {
    const name = left.pop();
    if (found.has(name)) continue;
    found.add(name);
    for (const [, each] of JSON.stringify(all[name]).matchAll(/"#\/definitions\/([^"]+)"/g)) {
      left.push(decodeURIComponent(each));
    }
  }
  return [...found].sort();
}
