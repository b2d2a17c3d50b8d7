// What makes a cut-out useless is said as a toast, so that a run that ended does not look like
// success.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"

const LIFE = 15000 // milliseconds

let started // the prompt that this tab queued; ComfyUI tells only the tab that did

app.registerExtension({
  name: "rmbg-nodes.notices",

  setup() {
    api.addEventListener("execution_start", ({ detail }) => {
      started = detail.prompt_id
    })
    api.addEventListener("rmbg-nodes.notice", ({ detail }) => {
      const { prompt, node, words } = detail
      if (prompt !== started) return
      app.extensionManager.toast.add({ severity: "warn", summary: node, detail: words, life: LIFE })
    })
  },
})
