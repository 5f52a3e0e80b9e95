/**
 * Server-sent events out of the body of an answer: EventSource can not POST.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** Cut what has arrived into lines; a CR at the very end waits, as its LF may still be on the way. */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const pieces = (rest + part.value).split(/\r\n|\n|\r(?!$)/);
      rest = pieces.pop();
      yield* pieces;
    }
  } finally {
    reader.cancel().catch(() => {}); // Leaving early closes the connection; after an error there is nothing to close.
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @yields {{event: string, data: object}} each event, its data read as JSON
 */
export async function* serverEvents(body) {
  let event = "message";
  let data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
      event = "message";
      data = [];
      continue;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
}
