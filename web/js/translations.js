// Our menus and the notes of our templates in the user's language; ComfyUI translates names and
// tooltips alone. A menu shows the word itself behind its translation: it is what graphs, tooltips
// and help pages have.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"

let choices = {} // word in a menu -> the same in the user's language
let notes = new Map() // English text of a note -> { title, text } in the user's language

function label(choice) {
  const translated = choices[choice]
  return translated && translated !== choice ? `${translated} (${choice})` : choice
}

app.registerExtension({
  name: "rmbg-nodes.translations",

  async setup() {
    const answer = await api.fetchApi("/i18n")
    const languages = answer.ok ? await answer.json() : {}
    const ours = languages[app.extensionManager.setting.get("Comfy.Locale")] ?? {}
    choices = ours.rmbgChoices ?? {}
    const english = Object.entries(languages.en?.rmbgNotes ?? {})
    notes = new Map(english.map(([name, { text }]) => [text, ours.rmbgNotes?.[name]]))
  },

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("RMBG_")) return
    for (const widget of node.widgets ?? []) {
      if (widget.type === "combo") widget.options.getOptionLabel = label
    }
  },

  // Only what stands there as the template has it: what somebody wrote stays.
  loadedGraphNode(node) {
    const [written] = node.type === "MarkdownNote" ? node.widgets : []
    const note = notes.get(written?.value)
    if (!note) return
    node.title = note.title
    written.value = note.text
  },
})
