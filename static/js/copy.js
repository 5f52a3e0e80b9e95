/** Buttons that copy what an element shows: data-copy names the element, data-copied is said afterwards. */

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.innerText.trim());
  const label = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => {
    button.textContent = label;
  }, 2000);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard; // It is there on HTTPS and on localhost alone.
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => copy(button));
}
