// Joins the modules of this folder into ../widgets.js, the one file that users have; --check: fails when that is stale.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** SHA-256 over the modules, by name: so that Python, too, can tell whether the file is stale. */
async function digest() {
  const names = (await readdir(here("."), { recursive: true })).map((name) => name.replaceAll("\\", "/"));
  const hash = createHash("sha256");
  for (const name of names.filter((each) => each.endsWith(".js")).sort()) hash.update(await readFile(here(name)));
  return hash.digest("hex");
}

const note = [
  "/* latentfit: split views, a workbench, a table editor and a step scrubber. One ES module, no imports, no network.",
  "   Made by `make js` from latentfit/compare/widgets/js: change those; the data contract is types.d.ts there.",
  `   Modules: sha256 ${await digest()} */`,
].join("\n");
const { outputFiles } = await build({
  absWorkingDir: here("../../../.."),
  entryPoints: [here("index.js")],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: { js: note },
});
const made = outputFiles[0].text;
const path = here("../widgets.js");
if (process.argv.includes("--check")) {
  if ((await readFile(path, "utf8")) !== made) {
    console.error("latentfit/compare/widgets/widgets.js is older than its modules in js/: run `make js`");
    process.exit(1);
  }
} else await writeFile(path, made);
