/**
 * Makes web/vendor from the pinned packages, one readable ES module each, and checks it.
 *
 *   node build.mjs           write the modules and manifest.json (after `npm ci`)
 *   node build.mjs --check   make them again in memory and compare; says what differs and ends with 1
 *   node build.mjs --sums    compare the files with manifest.json only; needs no package and no network
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const VENDOR = join(HERE, '..', 'vendor');
const AXE = join(HERE, '..', '..', 'tests', 'web', 'vendor');
const MODULES = ['yaml', 'codemirror', 'dagre'];

/** @typedef {{ name: string, version: string, licence: string }} Package */
/** @typedef {{ file: string, sha256: string, packages: Package[] }} Entry */

/** @param {string} text */
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/**
 * What a package says of itself, with the text of its licence.
 * @param {string} name
 */
async function facts(name) {
  const folder = join(HERE, 'node_modules', name);
  const about = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = (await readdir(folder)).find((each) => /^licen[sc]e(\.|$)/i.test(each));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  const text = (await readFile(join(folder, file), 'utf8')).replace(/\r\n/g, '\n').trim();
  return { name, version: about.version, licence: about.license, text };
}

/**
 * The comment at the head of a module: which packages are in it, and the text of every licence once.
 * @param {Awaited<ReturnType<typeof facts>>[]} packages
 */
function banner(packages) {
  /** @type {Map<string, string[]>} */
  const texts = new Map();
  for (const each of packages) {
    const of = `${each.name} ${each.version} (${each.licence})`;
    texts.set(each.text, [...(texts.get(each.text) ?? []), of]);
  }
  const parts = [...texts].map(([text, of]) => `${of.join('\n')}\n\n${text}`);
  const made =
    'Made by web/vendor-src/build.mjs from published packages; what it changes in them, it says there. Do not edit.';
  return `/*!\n${[made, ...parts].join('\n\n----\n\n').replaceAll('*/', '* /')}\n*/\n`;
}

/** dagre's readable build, a script, as a module. */
const dagreReadable = {
  name: 'dagre-readable',
  /** @param {import("esbuild").PluginBuild} build */
  setup(build) {
    // no whole path: it is written into the module, which is to be the same wherever it is made
    const path = 'node_modules/@dagrejs/dagre/dist/dagre.js';
    build.onResolve({ filter: /^dagre-readable$/ }, () => ({ path, namespace: 'dagre-readable' }));
    build.onLoad({ filter: /.*/, namespace: 'dagre-readable' }, async () => {
      const script = await readFile(join(HERE, path), 'utf8');
      return {
        contents: `${script.replace(/^\/\/# sourceMappingURL.*$/m, '')}\nexport default dagre;\n`,
        loader: 'js',
      };
    });
  },
};

/**
 * style-mod writes CodeMirror's styles into a <style> element, which the page's content security policy forbids, unless it
 * is in a shadow root: there it makes a style sheet of its own. Let it do so everywhere.
 */
const constructedStyles = {
  name: 'constructed-styles',
  /** @param {import("esbuild").PluginBuild} build */
  setup(build) {
    build.onLoad({ filter: /style-mod[\\/]src[\\/]style-mod\.js$/ }, async ({ path }) => {
      const script = await readFile(path, 'utf8');
      const condition = 'if (!root.head && root.adoptedStyleSheets';
      if (script.split(condition).length !== 2) throw new Error('style-mod is not what it was; see constructedStyles');
      return { contents: script.replace(condition, 'if (root.adoptedStyleSheets'), loader: 'js' };
    });
  },
};

/**
 * The names of the packages whose files went into a bundle.
 * @param {string[]} inputs
 */
function packagesOf(inputs) {
  const found = new Set();
  for (const input of inputs) {
    const name = /node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(input)?.[1];
    if (name !== undefined) found.add(name.replaceAll('\\', '/'));
  }
  // dagre's builds hold graphlib already
  if (found.has('@dagrejs/dagre')) found.add('@dagrejs/graphlib');
  return [...found].sort();
}

/**
 * One module: its text and what is in it.
 * @param {string} name
 * @returns {Promise<{ folder: string, entry: Entry, text: string }>}
 */
async function bundle(name) {
  const { build } = await import('esbuild');
  const made = await build({
    absWorkingDir: HERE,
    entryPoints: [`entries/${name}.ts`],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    charset: 'utf8',
    legalComments: 'none', // the banner has them
    metafile: true,
    write: false,
    plugins: [dagreReadable, constructedStyles],
  });
  const packages = await Promise.all(packagesOf(Object.keys(made.metafile.inputs)).map(facts));
  const text = banner(packages) + made.outputFiles[0].text;
  return { folder: VENDOR, text, entry: entryOf(`${name}.js`, text, packages) };
}

/** axe-core as published: the tests of the canvas run it in their pages, and no user ever gets it. */
async function axe() {
  const text = await readFile(join(HERE, 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');
  return { folder: AXE, text, entry: entryOf('axe.min.js', text, [await facts('axe-core')]) };
}

/**
 * @param {string} file
 * @param {string} text
 * @param {Package[]} packages
 * @returns {Entry}
 */
function entryOf(file, text, packages) {
  return {
    file,
    sha256: sha256(text),
    packages: packages.map(({ name, version, licence }) => ({ name, version, licence })),
  };
}

/** Everything this script makes: path -> text. */
async function everything() {
  const made = [...(await Promise.all(MODULES.map(bundle))), await axe()];
  /** @type {Map<string, string>} */
  const files = new Map(made.map((each) => [join(each.folder, each.entry.file), each.text]));
  for (const folder of [VENDOR, AXE]) {
    const entries = made.filter((each) => each.folder === folder).map((each) => each.entry);
    files.set(join(folder, 'manifest.json'), `${JSON.stringify(entries, null, 2)}\n`);
  }
  files.set(join(AXE, 'LICENSE'), `${(await facts('axe-core')).text}\n`);
  return files;
}

async function write() {
  for (const [path, text] of await everything()) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
  return [];
}

async function compare() {
  const wrong = [];
  for (const [path, text] of await everything()) {
    const there = await readFile(path, 'utf8').catch(() => undefined);
    if (there !== text) wrong.push(`${path} is not what the pinned packages make; run node build.mjs`);
  }
  return wrong;
}

async function sums() {
  const wrong = [];
  for (const folder of [VENDOR, AXE]) {
    for (const { file, sha256: expected } of JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))) {
      const path = join(folder, file);
      if (sha256(await readFile(path, 'utf8')) !== expected) wrong.push(`${path} is not the file of manifest.json`);
    }
  }
  return wrong;
}

const jobs = new Map([
  [undefined, write],
  ['--check', compare],
  ['--sums', sums],
]);
const job = jobs.get(process.argv[2]);
if (job === undefined) {
  console.error(`unknown option ${process.argv[2]}; there are --check and --sums`);
  process.exit(2);
}
const wrong = await job();
for (const line of wrong) console.error(line);
process.exit(wrong.length > 0 ? 1 : 0);
