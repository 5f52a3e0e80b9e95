// The preview of a voice in the admin: plays it on the page. Without this, the form opens the sound in a tab of its own.

const form = document.getElementById("preview");

/** @param {HTMLFormElement} form */
async function speak(form) {
  const audio = /** @type {HTMLAudioElement} */ (form.querySelector("audio"));
  const problem = /** @type {HTMLElement} */ (form.querySelector("[role=alert]"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
  button.disabled = true;
  problem.hidden = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!answer.ok) {
      throw new Error(await answer.text());
    }
    URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(await answer.blob());
    audio.hidden = false;
    await audio.play();
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}

if (form instanceof HTMLFormElement) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void speak(form);
  });
}
