// What is asked once before something is fetched or kept: a licence, a key.

import { button, element, link, row } from "./elements.js"
import { ask } from "./server.js"
import { megabytes, say } from "./words.js"

// What a licence allows, the freest first: so models are offered.
const TERMS = ["commercial", "restricted", "nonCommercial", "notEstablished"]

function open(title, ...content) {
  const dialog = element("dialog", { className: "rmbg-dialog" })
  dialog.append(element("h3", { textContent: title }), ...content)
  // Keys that are typed here are not shortcuts of the graph.
  dialog.addEventListener("keydown", (event) => event.stopPropagation())
  dialog.addEventListener("close", () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

function secret(label) {
  const input = element("input", { type: "password", autocomplete: "off", spellcheck: false })
  return [element("label", {}, label, input), input]
}

// The models of this machine. wanted: the one that is chosen at first, or the first that asks for
// no account. take: told of the model that the user wants to have.
export async function chooseModel(usage, wanted, take) {
  const { models = [], error = "" } = await ask("models", { usage })
  const facts = element("div")
  const said = element("p", { textContent: error })
  const [tokenLabel, token] = secret(say("token"))
  const go = button("", () => fetchIt())
  const choices = element("div")
  let chosen

  for (const model of models) {
    const here = model.state === "ready"
    const about = [model.name, megabytes(model.size), here ? say("here") : model.licence]
    if (model.gated && !here) about.push(say("account"))
    const radio = element("input", { type: "radio", name: "rmbg-model", value: model.model })
    radio.addEventListener("change", () => choose(model))
    choices.append(element("label", {}, radio, ` ${about.join(", ")}`))
  }
  const dialog = open(
    say("modelTitle"),
    choices,
    facts,
    said,
    row(go, button(say("cancel"), () => dialog.close())),
  )
  const free = models.filter((model) => !model.gated)
  const first =
    models.find((model) => model.model === wanted) ??
    models.find((model) => model.state === "ready") ??
    TERMS.map((terms) => free.find((model) => model.terms === terms)).find(Boolean) ??
    models[0]
  go.hidden = !first
  if (first) {
    dialog.querySelector(`input[value="${first.model}"]`).checked = true
    choose(first)
  }
  go.focus()

  function choose(model) {
    chosen = model
    const here = model.state === "ready"
    const blocked = !here && model.state !== "weights"
    go.textContent = here ? say("use") : say("accept")
    go.disabled = blocked
    said.textContent = blocked ? model.why : ""
    facts.replaceChildren(
      element("p", { textContent: model.about }),
      element("p", {}, `${say("licence")}: ${model.licence}, `, link(model.licence_page)),
      element("p", { textContent: say(model.terms) }),
    )
    if (model.gated && !here) {
      facts.append(element("p", {}, `${say("termsPage")} `, link(model.page)), tokenLabel)
    }
  }

  async function fetchIt() {
    if (chosen.state !== "ready") {
      go.disabled = true
      const asked = { model: chosen.model, usage, accepted: true, token: token.value }
      const answer = await ask("download", asked)
      go.disabled = false
      const failed = answer.error || (answer.state === "failed" && answer.words)
      if (failed) {
        said.textContent = failed
        return
      }
      token.value = ""
    }
    dialog.close()
    take(chosen.model)
  }
}

// The key of a provider. offer: as readiness has it. done: called when it is kept.
export function setKey(offer, profile, done) {
  const [label, key] = secret(say("key"))
  const said = element("p")
  const keep = button(say("save"), async () => {
    keep.disabled = true
    const answer = await ask("key", { provider: offer.provider, profile, key: key.value })
    keep.disabled = false
    key.value = ""
    said.textContent = answer.error ?? answer.words
    if (!answer.kept) return
    keep.hidden = true
    leave.textContent = say("close")
    leave.focus()
    done()
  })
  const leave = button(say("cancel"), () => dialog.close())
  const form = element("form", {}, label)
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    keep.click()
  })
  const dialog = open(
    `${say("keyTitle")} ${offer.label}`,
    element("p", {}, `${say("keysAt")} `, link(offer.page)),
    form,
    said,
    row(keep, leave),
  )
  key.focus()
}
