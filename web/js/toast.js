// A sentence over the graph, with buttons, which the frontend's own toasts cannot hold; and beside
// them, because they lie over the error overlay's button.

import { button, element, row } from "./elements.js"
import { say } from "./words.js"

const LIFE = 30_000 // milliseconds

let current = null

export function toast(title, words, ...made) {
  current?.remove()
  const shown = element("div", { className: "rmbg-toast", role: "alert" })
  const gone = () => shown.remove()
  // Whatever is pressed, it has done its work.
  for (const one of made) one.addEventListener("click", gone)
  shown.append(
    element("strong", { textContent: title }),
    element("p", { textContent: words }),
    row(...made, button(say("close"), gone)),
  )
  document.body.append(shown)
  setTimeout(gone, LIFE)
  current = shown
}
