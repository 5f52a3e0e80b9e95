// Live conversations: OpenAI's own package for Node.js, and its agents.

import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket } from "@openai/agents/realtime";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { RECORDING, TOKEN, URL, VOICE, WORDS, call, requireEqual } from "./calls.mjs";

const MODEL = "gpt-realtime";
const SECONDS = 30;
const RATE = 24000;
const PIECE_MILLISECONDS = 40;
const SILENCE = new Uint8Array(2 * RATE);

/** Return the sound of the recording, mono of 16 bits and 16 kHz behind a header of 44 bytes, at RATE. */
function spoken() {
  const file = fs.readFileSync(RECORDING).subarray(44);
  const samples = new Int16Array(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
  const wider = Int16Array.from({ length: Math.floor((samples.length * 3) / 2) - 2 }, (_none, index) => {
    const [before, share] = [Math.floor((index * 2) / 3), ((index * 2) % 3) / 3];
    return samples[before] * (1 - share) + samples[before + 1] * share;
  });
  return new Uint8Array(wider.buffer);
}

/** Serve the site by TLS, without which OpenAI's package opens no socket, and return the address. */
async function behindTls() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "clients-"));
  const [keyFile, certFile] = ["key.pem", "cert.pem"].map((name) => path.join(folder, name));
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", keyFile, "-out", certFile, ...subject];
  execFileSync("openssl", ["req", ...made], { stdio: "ignore" });
  const [key, cert] = [keyFile, certFile].map((file) => fs.readFileSync(file));
  fs.rmSync(folder, { recursive: true });
  const { hostname: host, port } = new globalThis.URL(URL);
  const server = tls.createServer({ key, cert }, (outside) => {
    const inside = net.connect({ host, port });
    for (const socket of [outside, inside]) socket.on("error", () => {});
    outside.pipe(inside).pipe(outside);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  server.unref();
  return [`https://localhost:${server.address().port}/v1`, cert];
}

const [SECURE_URL, CERTIFICATE] = await behindTls();

/** Return a promise of `event`, or of an error where it does not come in time. */
function once(source, event) {
  const missing = sleep(SECONDS * 1000, undefined, { ref: false }).then(() => {
    throw new Error(`no ${event}`);
  });
  return Promise.race([new Promise((resolve) => source.on(event, resolve)), missing]);
}

/** Let a microphone in real time hear the recording, and then silence. */
async function speak(send) {
  const size = (2 * RATE * PIECE_MILLISECONDS) / 1000;
  for (const sound of [spoken(), SILENCE]) {
    for (let start = 0; start < sound.length; start += size) {
      send(sound.slice(start, start + size));
      await sleep(PIECE_MILLISECONDS);
    }
  }
}

function connect(apiKey) {
  const options = { ca: CERTIFICATE };
  return new OpenAIRealtimeWS({ model: MODEL, options }, new OpenAI({ baseURL: SECURE_URL, apiKey }));
}

/** Hold a session in the voice, with `input` as the settings of its microphone. */
async function withSocket(input, work) {
  const socket = connect(TOKEN);
  const refused = new Promise((_resolve, reject) => socket.on("error", reject));
  const talk = async () => {
    await once(socket, "session.created");
    socket.send({ type: "session.update", session: { type: "realtime", audio: { input, output: { voice: VOICE } } } });
    await once(socket, "session.updated");
    await work(socket);
  };
  try {
    await Promise.race([talk(), refused]);
  } finally {
    socket.close();
  }
}

const append = (socket) => (sound) =>
  socket.send({ type: "input_audio_buffer.append", audio: Buffer.from(sound).toString("base64") });
const said = (done) => done.response.output[0].content[0].transcript;

await call("openai: typed", () =>
  withSocket({}, async (socket) => {
    const [sound, done] = [once(socket, "response.output_audio.delta"), once(socket, "response.done")];
    const content = [{ type: "input_text", text: "What is the capital of France?" }];
    socket.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    socket.send({ type: "response.create" });
    requireEqual((await sound).delta.length > 0, true);
    requireEqual(said(await done).length > 0, true);
  }),
);
await call("openai: spoken, push-to-talk", () =>
  withSocket({ turn_detection: null }, async (socket) => {
    const transcribed = "conversation.item.input_audio_transcription.completed";
    const [heard, done] = [once(socket, transcribed), once(socket, "response.done")];
    await speak(append(socket));
    socket.send({ type: "input_audio_buffer.commit" });
    socket.send({ type: "response.create" });
    requireEqual((await heard).transcript, WORDS);
    requireEqual(said(await done).length > 0, true);
  }),
);
for (const type of ["server_vad", "semantic_vad"]) {
  await call(`openai: spoken, ${type}`, () =>
    withSocket({ turn_detection: { type } }, async (socket) => {
      const done = once(socket, "response.done");
      await speak(append(socket));
      requireEqual(said(await done).length > 0, true);
    }),
  );
}
await call("openai: wrong key", async () => {
  requireEqual((await once(connect("vc_wrong"), "error")).message.includes("401"), true);
});

/** Hold a conversation as OpenAI's agents do it. */
async function withAgent(work) {
  const agent = new RealtimeAgent({ name: "Friend", instructions: "Answer in one sentence.", voice: VOICE });
  const url = `${URL.replace("http", "ws")}/v1/realtime?model=${MODEL}`;
  const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
  const session = new RealtimeSession(agent, { transport, model: MODEL });
  const errors = [];
  session.on("error", (error) => errors.push(error));
  await session.connect({ apiKey: TOKEN, url });
  try {
    await work(session);
  } finally {
    session.close();
  }
  requireEqual(errors, []);
}

const lastSaid = (history) => history.findLast((item) => item.role === "assistant")?.content[0].transcript;

await call("agents: typed", () =>
  withAgent(async (session) => {
    const [sound, ended] = [once(session, "audio"), once(session, "agent_end")];
    session.sendMessage("What is the capital of France?");
    requireEqual((await sound).data.byteLength > 0, true);
    await ended;
    requireEqual(lastSaid(session.history)?.length > 0, true);
  }),
);
await call("agents: spoken, and interrupted by speech", () =>
  withAgent(async (session) => {
    const [sound, interrupted] = [once(session, "audio"), once(session, "audio_interrupted")];
    await speak((piece) => session.sendAudio(piece.buffer));
    await sound;
    const asked = (item) => item.role === "user" && item.content[0].transcript === WORDS;
    requireEqual(session.history.some(asked), true);
    await Promise.all([speak((piece) => session.sendAudio(piece.buffer)), interrupted]);
  }),
);
