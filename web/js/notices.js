// What makes a cut-out useless is said as a toast, so that a run that ended does not look like
// success; all that is worth a look is said on the node. ComfyUI sends both to the tab that queued
// the prompt, from its cache too.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { Line } from "./line.js"

const LIFE = 15000 // milliseconds
const OWN = "$$node-text-preview" // the frontend's own line, which newer ones take away at the end
const ENDED = 200 // milliseconds until they have

const said = new Map() // node -> what was said on it in this run
const lines = new Map() // node -> its line, where the frontend has none

function say(node, words) {
  if (!node) return // in a subgraph that is not open
  // A page that was loaded after the run has no line either.
  const line = { nodeId: node.id, text: words }
  api.dispatchEvent(new CustomEvent("progress_text", { detail: line }))
  said.set(node, words)
}

function keep() {
  for (const [node, words] of said) {
    if (node.widgets?.some((widget) => widget.name === OWN)) continue
    if (!lines.has(node)) lines.set(node, new Line(node, "notice"))
    lines.get(node).show("blocked", words)
  }
}

function forget() {
  for (const line of lines.values()) line.remove()
  lines.clear()
  said.clear()
}

app.registerExtension({
  name: "rmbg-nodes.notices",

  setup() {
    api.addEventListener("execution_start", forget)
    api.addEventListener("execution_success", () => setTimeout(keep, ENDED))
    api.addEventListener("executed", ({ detail }) => {
      const { output } = detail
      if (!output?.rmbg_urgent) return
      const node = app.graph.getNodeById(detail.node)
      say(node, output.text.join(" "))
      const summary = node?.title ?? "Remove Background (RMBG)"
      for (const words of output.rmbg_urgent) {
        app.extensionManager.toast.add({ severity: "warn", summary, detail: words, life: LIFE })
      }
    })
  },
})
