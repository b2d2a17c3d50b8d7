// What the menus of our nodes offer, in the user's language, with the word itself behind it: it is
// what graphs, tooltips and help pages have. ComfyUI translates names and tooltips alone.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"

let words = {} // choice -> the same in the user's language

function label(choice) {
  const translated = words[choice]
  return translated && translated !== choice ? `${translated} (${choice})` : choice
}

app.registerExtension({
  name: "rmbg-nodes.choices",

  async setup() {
    const answer = await api.fetchApi("/i18n")
    const languages = answer.ok ? await answer.json() : {}
    const language = app.extensionManager.setting.get("Comfy.Locale")
    words = languages[language]?.rmbgChoices ?? {}
  },

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("RMBG_")) return
    for (const widget of node.widgets ?? []) {
      if (widget.type === "combo") widget.options.getOptionLabel = label
    }
  },
})
