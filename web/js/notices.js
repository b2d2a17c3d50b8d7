// What is worth a look is said on the node until it runs again; what makes a cut-out useless is a
// toast, too, so that a run that ended does not look like success. ComfyUI sends both to the tab
// that queued the prompt, from its cache too.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { Line } from "./line.js"

const LIFE = 15000 // milliseconds

const lines = new Map() // node -> its line

// Without a warning the place of a file that the page cannot show is said alone.
function say(node, warnings, place) {
  const words = [...warnings, ...place].join(" ")
  if (!words) return
  if (!lines.has(node)) lines.set(node, new Line(node, "notice"))
  lines.get(node).show(warnings.length ? "blocked" : "", words)
}

function forget(node) {
  lines.get(node)?.remove()
  lines.delete(node)
}

app.registerExtension({
  name: "rmbg-nodes.notices",

  setup() {
    api.addEventListener("executing", ({ detail: id }) => {
      if (id != null) forget(app.graph.getNodeById(id))
    })
    api.addEventListener("executed", ({ detail }) => {
      const { output } = detail
      if (!output?.rmbg_urgent) return // not of ours
      const node = app.graph.getNodeById(detail.node)
      if (node) say(node, output.text, output.rmbg_place ?? []) // else it is in a subgraph that is not open
      const summary = node?.title ?? "RMBG"
      for (const words of output.rmbg_urgent) {
        app.extensionManager.toast.add({ severity: "warn", summary, detail: words, life: LIFE })
      }
    })
  },
})
