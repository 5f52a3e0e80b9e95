// The linters of OpenAPI descriptions: Redocly's recommended rules and Spectral's.

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { URL, call } from "./calls.mjs";

const folder = import.meta.dirname;
const bin = (name) => path.join(folder, "node_modules", ".bin", name);

function lint(name, ...options) {
  const done = spawnSync(bin(name), ["lint", ...options, "schema.json"], { cwd: folder, encoding: "utf8" });
  if (done.status) throw new Error(done.stdout + done.stderr);
}

const schema = await fetch(`${URL}/api/schema/`, { headers: { Accept: "application/json" } });
fs.writeFileSync(path.join(folder, "schema.json"), JSON.stringify(await schema.json()));
fs.writeFileSync(path.join(folder, "spectral.json"), '{"extends": ["spectral:oas"]}');
await call("redocly lint", () => lint("redocly", "--extends", "recommended"));
await call("spectral lint", () => lint("spectral", "--ruleset", "spectral.json"));
