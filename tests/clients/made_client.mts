// Talks to the site with openapi-fetch and the types made from the API's description. openapi_typescript.mjs compiles it.

import fs from "node:fs";
import createClient from "openapi-fetch";
import * as site from "./calls.mjs";
import { TEXT, WORDS, call, requireEqual, requireSound } from "./calls.mjs";
import type { components, paths } from "./schema.js";

type Turn = components["schemas"]["Turn"];

const RECORDING = site.RECORDING!;
const VOICE = site.VOICE!;

const client = createClient<paths>({ baseUrl: site.URL!, headers: { Authorization: `Bearer ${site.TOKEN}` } });
const recording = new Blob([new Uint8Array(fs.readFileSync(RECORDING))]);

/** Return what is there; fail with the error of the site if it is not. */
function present<Data>({ data, error }: { data?: Data | undefined; error?: unknown }): Data {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

/** Make a form of the fields of a body; a file is a string to openapi-typescript, and is sent as the recording. */
function form(fields: Record<string, unknown>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === RECORDING) data.append(name, recording, "question.wav");
    else data.append(name, String(value));
  }
  return data;
}

async function bytesOf(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

let voice = "";
let conversation = "";

await call("voices_list", async () => {
  const [first] = present(await client.GET("/api/v1/voices", { params: { query: { limit: 1 } } })).results;
  requireEqual(first?.name, VOICE);
  voice = first?.id ?? "";
});
await call("conversations_create", async () => {
  const body = { voice, title: "Capitals" };
  conversation = present(await client.POST("/api/v1/conversations", { body })).id;
});

const params = () => ({ path: { conversation_pk: conversation } });
const turns = "/api/v1/conversations/{conversation_pk}/turns";

await call("conversations_turns_create", async () => {
  const turn = present(await client.POST(turns, { params: params(), body: { text: TEXT } })) as Turn;
  requireEqual([turn.status, turn.transcript], ["spoken", TEXT]);
});
await call("conversations_turns_create, a recording", async () => {
  const options = { params: params(), body: { audio: RECORDING }, bodySerializer: form };
  const turn = present(await client.POST(turns, options)) as Turn;
  requireEqual([turn.status, turn.transcript], ["spoken", WORDS]);
});
await call("conversations_turns_create, streamed", async () => {
  const headers = { Accept: "text/event-stream" };
  const stream = present(
    await client.POST(turns, { params: params(), body: { text: TEXT }, headers, parseAs: "stream" }),
  );
  const names: string[] = [];
  const decoder = new TextDecoderStream();
  for await (const text of stream!.pipeThrough(decoder as unknown as TransformStream<Uint8Array, string>)) {
    names.push(...[...text.matchAll(/^event: (\w+)$/gm)].map((match) => match[1] ?? ""));
  }
  requireEqual([names[0], names.at(-1), names.includes("spoken")], ["heard", "done", true]);
});
await call("conversations_retrieve", async () => {
  const found = present(await client.GET("/api/v1/conversations/{conversation_pk}", { params: params() }));
  requireEqual(found.turns.length, 3);
});
await call("full_interaction_create", async () => {
  const [mine] = present(await client.GET("/api/v1/voices")).results;
  const body = { voice_id: mine?.voice_id ?? "", audio_file: RECORDING };
  const answer = await client.POST("/full-interaction", { body, bodySerializer: form, parseAs: "stream" });
  requireSound(await bytesOf(present(answer)), "mp3");
  requireEqual(answer.response.headers.get("X-Transcript"), WORDS);
});
await call("transcriptions_create", async () => {
  const body = { audio: RECORDING, language: "en" };
  requireEqual(present(await client.POST("/api/v1/transcriptions", { body, bodySerializer: form })).text, WORDS);
});
await call("speech_create", async () => {
  const body = { text: TEXT, voice: VOICE, format: "wav" as const };
  const sound = present(await client.POST("/api/v1/speech", { body, parseAs: "arrayBuffer" }));
  requireSound(new Uint8Array(sound), "wav");
});
await call("voices_retrieve, an error", async () => {
  const path = { voice_pk: "00000000-0000-4000-8000-000000000000" };
  const { error } = await client.GET("/api/v1/voices/{voice_pk}", { params: { path } });
  requireEqual(error?.error.code, "not_found");
});
await call("conversations_destroy", async () => {
  const { response } = await client.DELETE("/api/v1/conversations/{conversation_pk}", { params: params() });
  requireEqual(response.status, 204);
});
