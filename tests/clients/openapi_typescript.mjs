// A client in TypeScript, with types that openapi-typescript makes from the API's description: made_client.mts.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { URL, call } from "./calls.mjs";

const folder = import.meta.dirname;
const STRICT = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck", "false"];
const PLATFORM = ["--target", "es2022", "--module", "nodenext", "--allowJs", "--types", "node"];

function run(name, ...options) {
  try {
    execFileSync(path.join(folder, "node_modules", ".bin", name), options, { cwd: folder, encoding: "utf8" });
  } catch (error) {
    throw new Error(error.stdout || error.message);
  }
}

fs.copyFileSync(path.join("tests", "clients", "made_client.mts"), path.join(folder, "made_client.mts"));
const schema = await fetch(`${URL}/api/schema/`, { headers: { Accept: "application/json" } });
fs.writeFileSync(path.join(folder, "schema.json"), JSON.stringify(await schema.json()));
await call("openapi-typescript", () => run("openapi-typescript", "schema.json", "-o", "schema.d.ts"));
await call("tsc --strict", () => run("tsc", ...STRICT, ...PLATFORM, "--outDir", "made", "made_client.mts"));
await import(path.join(folder, "made", "made_client.mjs"));
