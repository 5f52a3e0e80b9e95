/** The page's one AudioContext. Chrome on Android stops playing when a page makes several. */

/** @type {AudioContext | undefined} */
let context;

/** @type {AnalyserNode | undefined} */
let output;

/**
 * Return the context, running. Call this inside a click and before any await: browsers let a context start only there.
 * @returns {AudioContext}
 */
export function audioContext() {
  context ??= new AudioContext();
  if (context.state !== "running") context.resume();
  return context;
}

/**
 * Return the way to the loudspeaker for answers. It tells how loud they are.
 * @returns {AnalyserNode}
 */
export function answerOutput() {
  if (!output) {
    output = audioContext().createAnalyser();
    output.fftSize = 1024; // 21 ms at 48 kHz
    output.connect(output.context.destination);
  }
  return output;
}
