// OpenAI's own package for Node.js.

import fs from "node:fs";
import OpenAI, { toFile } from "openai";
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

const client = new OpenAI({ baseURL: BASE_URL, apiKey: TOKEN, maxRetries: 0 });
const file = () => toFile(fs.readFileSync(RECORDING), "question.wav");
const transcribe = async (options = {}) =>
  client.audio.transcriptions.create({ model: "whisper-1", file: await file(), ...options });
const speak = async (options = {}) => {
  const speech = await client.audio.speech.create({ model: "tts-1", voice: VOICE, input: TEXT, ...options });
  return new Uint8Array(await speech.arrayBuffer());
};

await call("models.list", async () => requireEqual((await client.models.list()).data.length > 0, true));
for (const name of ["tts-1", "Systran/faster-whisper-small"]) {
  await call(`models.retrieve ${name}`, async () => requireEqual((await client.models.retrieve(name)).id, name));
}
await call("transcription json", async () => requireEqual((await transcribe()).text, WORDS));
await call("transcription of fs.createReadStream", async () =>
  requireEqual((await transcribe({ file: fs.createReadStream(RECORDING) })).text, WORDS),
);
await call("transcription verbose_json", async () => {
  const heard = await transcribe({ response_format: "verbose_json" });
  requireEqual([heard.segments.length, heard.segments[0].text], [1, WORDS]);
});
await call("transcription srt", async () =>
  requireEqual((await transcribe({ response_format: "srt" })).includes("-->"), true),
);
await call("transcription words", async () => {
  const heard = await transcribe({ response_format: "verbose_json", timestamp_granularities: ["word"] });
  requireEqual(heard.words.map((word) => word.word).join(" "), WORDS);
});
await call("transcription stream", async () => {
  const types = [];
  for await (const event of await transcribe({ stream: true })) types.push(event.type);
  requireEqual(types.at(-1), "transcript.text.done");
});
for (const format of Object.keys(STARTS)) {
  await call(`speech ${format}`, async () => requireSound(await speak({ response_format: format }), format));
}
await call("speech in a voice of OpenAI's, null for what is not set", async () =>
  requireSound(await speak({ voice: "alloy", speed: null, instructions: null, response_format: null }), "mp3"),
);
await call("speech streamed", async () => {
  const speech = await client.audio.speech.create({ model: "tts-1", voice: VOICE, input: TEXT });
  let size = 0;
  for await (const chunk of speech.body) size += chunk.length;
  requireEqual(size > 1000, true);
});
await call("speech sse", async () => {
  const events = new TextDecoder().decode(await speak({ stream_format: "sse" }));
  const types = events
    .trim()
    .split("\n\n")
    .map((event) => JSON.parse(event.slice("data: ".length)).type);
  requireEqual([types[0], types.at(-1)], ["speech.audio.delta", "speech.audio.done"]);
});
await call("wrong key", async () => {
  const stranger = client.withOptions({ apiKey: "vc_wrong" });
  const error = await errorOf(() => stranger.models.list());
  requireEqual([error instanceof OpenAI.AuthenticationError, error.code], [true, "invalid_api_key"]);
});
await call("wrong voice", async () => {
  const error = await errorOf(() => speak({ voice: "Nobody" }));
  requireEqual([error instanceof OpenAI.NotFoundError, error.param], [true, "voice"]);
});
await call("wrong file", async () => {
  const error = await errorOf(async () => transcribe({ file: await toFile(Buffer.from("no sound"), "a.wav") }));
  requireEqual([error instanceof OpenAI.BadRequestError, error.param], [true, "file"]);
});
