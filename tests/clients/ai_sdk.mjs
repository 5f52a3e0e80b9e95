// The AI SDK, through its provider for OpenAI.

import fs from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_generateSpeech as generateSpeech, experimental_transcribe as transcribe } from "ai";
import {
  BASE_URL,
  RECORDING,
  STARTS,
  TEXT,
  TOKEN,
  VOICE,
  WORDS,
  call,
  errorOf,
  requireEqual,
  requireSound,
} from "./calls.mjs";

const openai = createOpenAI({ baseURL: BASE_URL, apiKey: TOKEN });
const hear = (options, model = "whisper-1", audio = fs.readFileSync(RECORDING), provider = openai) =>
  transcribe({ model: provider.transcription(model), audio, maxRetries: 0, providerOptions: { openai: options } });
const say = async (options) => {
  const speech = await generateSpeech({ model: openai.speech("tts-1"), text: TEXT, maxRetries: 0, ...options });
  return speech.audio.uint8Array;
};

await call("transcribe json", async () => requireEqual((await hear({}, "gpt-4o-transcribe")).text, WORDS));
await call("transcribe verbose_json", async () => {
  const heard = await hear({});
  requireEqual([heard.text, heard.language, heard.segments.length], [WORDS, "en", 1]);
});
await call("transcribe words", async () => {
  const heard = await hear({ timestampGranularities: ["word"], language: "en-GB", temperature: 0 });
  requireEqual(heard.segments.map((word) => word.text).join(" "), WORDS);
});
await call("generateSpeech in its default voice", async () => requireSound(await say({}), "mp3"));
for (const outputFormat of Object.keys(STARTS)) {
  await call(`generateSpeech ${outputFormat}`, async () =>
    requireSound(await say({ voice: VOICE, outputFormat, speed: 1.5, instructions: "Whisper." }), outputFormat),
  );
}
await call("wrong key", async () => {
  const stranger = createOpenAI({ baseURL: BASE_URL, apiKey: "vc_wrong" });
  const error = await errorOf(() => hear({}, "whisper-1", fs.readFileSync(RECORDING), stranger));
  requireEqual([error.name, error.statusCode, error.data.error.code], ["AI_APICallError", 401, "invalid_api_key"]);
});
await call("wrong voice", async () => {
  const error = await errorOf(() => say({ voice: "Nobody" }));
  requireEqual([error.statusCode, error.message], [404, error.data.error.message]);
});
await call("wrong file", async () => {
  const error = await errorOf(() => hear({}, "whisper-1", Buffer.from("no sound")));
  requireEqual([error.statusCode, error.data.error.param], [400, "file"]);
});
