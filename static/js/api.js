/** The application's API: session cookie, CSRF token, one error shape. */

import { text } from "./page.js";

/** A refusal of the API, or no answer at all. Its message is fit for people. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, fields?: Record<string, string[]>, retryable?: boolean}} error */
  constructor({ code, message, fields = {}, retryable = false }) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.fields = fields;
    this.retryable = retryable;
  }
}

const unreachable = () => new ApiError({ code: "connection_lost", message: text("connection-lost"), retryable: true });

function refusal(status, body) {
  const retryable = status === 429 || status >= 500;
  try {
    return new ApiError({ ...JSON.parse(body).error, retryable });
  } catch {
    return new ApiError({ code: "answer_invalid", message: text("server-failed"), retryable });
  }
}

const csrfToken = () => document.querySelector("meta[name=csrf-token]").content;

/**
 * Send a request and return the answer, or throw an ApiError. An abort passes as the AbortError that it is.
 * @param {"POST" | "PATCH"} method
 * @param {string} url
 * @param {{body?: FormData | object, accept?: string, signal?: AbortSignal}} [options] a plain body goes as JSON
 * @returns {Promise<Response>}
 */
export async function request(method, url, { body = {}, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept, "X-CSRFToken": csrfToken() };
  const isForm = body instanceof FormData;
  if (!isForm) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, body: isForm ? body : JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

/**
 * Send a form and report how much of it has left; fetch can not tell.
 * @param {string} url
 * @param {FormData} form
 * @param {(share: number) => void} onProgress called with 0 to 1
 * @returns {Promise<object>} the JSON of the answer
 */
export function upload(url, form, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", url);
    sending.setRequestHeader("Accept", "application/json");
    sending.setRequestHeader("X-CSRFToken", csrfToken());
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    sending.addEventListener("error", () => reject(unreachable()));
    sending.addEventListener("load", () => {
      if (sending.status >= 400) reject(refusal(sending.status, sending.responseText));
      else resolve(JSON.parse(sending.responseText));
    });
    sending.send(form);
  });
}
