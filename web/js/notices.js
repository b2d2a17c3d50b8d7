// What makes a cut-out useless is said as a toast, so that a run that ended does not look like
// success. ComfyUI sends what a node says to the tab that queued the prompt, from its cache too; the
// line on the node it sends only when the node runs, so that a reloaded page would have none.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"

const LIFE = 15000 // milliseconds

app.registerExtension({
  name: "rmbg-nodes.notices",

  setup() {
    api.addEventListener("executed", ({ detail }) => {
      const { node, output } = detail
      if (!output?.rmbg_urgent) return
      const line = { nodeId: node, text: output.text.join(" ") }
      api.dispatchEvent(new CustomEvent("progress_text", { detail: line }))
      const summary = app.graph.getNodeById(node)?.title ?? "Remove Background (RMBG)"
      for (const words of output.rmbg_urgent) {
        app.extensionManager.toast.add({ severity: "warn", summary, detail: words, life: LIFE })
      }
    })
  },
})
