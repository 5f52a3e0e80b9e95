/** The page's one live session. Loaded only when it is used. */

import { byId } from "../elements.js";
import { audioContext } from "../sound.js";
import { LiveSession } from "./session.js";

const START_MILLISECONDS = 1500; // Without a loudspeaker, some browsers never start the clock of sound.

/**
 * @typedef {{maxSeconds: number, onLevel: (level: import("../recorder.js").Level) => void,
 *   onMicrophoneLost: () => void, onGivenUp: (take: import("../recorder.js").Take | null) => void}} Options
 *   `onGivenUp` is called in hands-free mode when there will be no socket any more, with a question that was not asked
 *   yet
 */

/** @param {AudioContext} context */
async function loadWorklets(context) {
  const { captureWorklet, playbackWorklet } = byId("talk").dataset;
  const isLate = new Promise((_resolve, reject) => setTimeout(reject, START_MILLISECONDS));
  await Promise.race([context.resume(), isLate]);
  for (const url of [captureWorklet, playbackWorklet]) await context.audioWorklet.addModule(String(url));
}

/** @type {LiveSession | null | undefined} null where it is impossible */
let session;

/**
 * Return the page's session, or null where questions have to be uploaded.
 * @param {Options} options
 */
export async function liveSession(options) {
  if (session === undefined) {
    const context = audioContext();
    session = await loadWorklets(context).then(
      () => new LiveSession(context, options),
      () => null,
    );
  }
  return session?.isGivenUp ? null : session;
}
