/** The first meeting with a new voice: it says hello by itself, beside the recording that it was made from. */

import { request } from "./api.js";
import { byId } from "./elements.js";
import { report, showStep } from "./guide.js";
import { text } from "./page.js";
import { load } from "./voice-cards.js";
import { drawWaveform } from "./waveform.js";

const you = byId("hello-you", "audio");
const clone = byId("hello-clone", "audio");
const again = byId("hello-again");

/** Call this inside a click: Safari lets a sound start later only if its element was touched there. */
export function unlockHello() {
  clone.load();
}

/**
 * @param {{id: string, name: string}} voice
 * @param {Blob} sample a recording that it was made from
 */
export async function meet(voice, sample) {
  const talk = byId("meet-talk", "a");
  talk.search = String(new URLSearchParams({ voice: voice.id }));
  byId("meet-title").textContent = text("meet", { name: voice.name });
  load(you, sample);
  drawWaveform(byId("wave-you", "svg"), sample, you);
  again.onclick = () => sayHello(voice.id);
  showStep("meet");
  await sayHello(voice.id);
}

/** @param {string} id of the voice */
async function sayHello(id) {
  again.hidden = true;
  note(text("hello-coming"));
  try {
    const body = { text: text("hello") };
    const response = await request("POST", `/api/v1/voices/${id}/preview`, { body, accept: "audio/mpeg" });
    const sound = await response.blob();
    load(clone, sound);
    drawWaveform(byId("wave-clone", "svg"), sound, clone);
  } catch (error) {
    note("");
    report(/** @type {Error} */ (error).message, "error");
    again.hidden = false;
    return;
  }
  try {
    await clone.play();
    note(text("hello-playing"));
  } catch {
    note(text("hello-press-play")); // This browser allows no sound without a click.
  }
}

/** @param {string} message */
function note(message) {
  byId("meet-note").textContent = message;
  report(message);
}

// One at a time: they are compared.
you.addEventListener("play", () => clone.pause());
clone.addEventListener("play", () => you.pause());
