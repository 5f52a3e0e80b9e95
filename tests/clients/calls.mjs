// What the clients in JavaScript share: where the site is, and a line of JSON on the output for each call.

export const URL = process.env.SITE_URL;
export const BASE_URL = `${URL}/v1`;
export const TOKEN = process.env.SITE_TOKEN;
export const RECORDING = process.env.SITE_RECORDING;
export const WORDS = process.env.SITE_WORDS; // What the speech-to-text engine hears in any recording.
export const VOICE = process.env.SITE_VOICE; // The name of the only voice.

export const TEXT = "Good morning. It is a fine day today.";
// How a file of each format begins.
export const STARTS = { mp3: "ID3", opus: "OggS", aac: "ID3", flac: "fLaC", wav: "RIFF", pcm: "" };

/** Report a call: it failed if `work` throws an error. */
export async function call(name, work) {
  let problem = "";
  try {
    await work();
  } catch (error) {
    problem = `${error.name}: ${error.message}`;
  }
  console.log(JSON.stringify({ call: name, problem }));
}

export function requireEqual(found, expected) {
  const [is, should] = [JSON.stringify(found), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${is} instead of ${should}`);
}

export function requireSound(bytes, format) {
  const start = new TextDecoder("latin1").decode(bytes.slice(0, STARTS[format].length));
  requireEqual([start, bytes.length > 1000], [STARTS[format], true]);
}

/** Return the error that `work` throws. */
export async function errorOf(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("It was not refused");
}
