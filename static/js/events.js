/**
 * Server-sent events read from the body of a response, because EventSource cannot POST.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/**
 * Split the body into lines. A CR at the end of a chunk waits, because its LF may be in the next chunk.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @returns {AsyncGenerator<string, void>}
 */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const complete = (rest + chunk.value).split(/\r\n|\n|\r(?!$)/);
      rest = complete.pop() ?? "";
      yield* complete;
    }
  } finally {
    reader.cancel().catch(() => {}); // This closes the connection; after an error there is nothing to close.
  }
}

/**
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @returns {AsyncGenerator<{event: string, data: any}, void>} the events, their data parsed as JSON
 */
export async function* serverEvents(body) {
  let event = "message";
  /** @type {string[]} */
  let data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
      event = "message";
      data = [];
      continue;
    }
    const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
}
