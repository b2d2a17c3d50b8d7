// Load RMBG says before the run what it would do, with a button where one can be pressed.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { chooseModel, setKey } from "./dialogs.js"
import { addStyle, button, element, row } from "./elements.js"
import { CONNECTED, after } from "./hooks.js"
import { Line } from "./line.js"
import { ask } from "./server.js"
import { isLinked, put, valuesOf } from "./widgets.js"
import { megabytes, say } from "./words.js"

export const LOAD = "RMBG_Load"

const LINE = "readiness"
const SETTLED = 250 // milliseconds after the last change of a widget
const PROGRESS = 700 // while a download is under way

const lines = new Map() // Load RMBG -> its line
const hooked = new WeakSet()
let best = { backend: "keyer", model: "" }
let timer = 0
let downloading = false

// Whether a fresh Load RMBG starts with a model of this machine.
export function hasModel() {
  return best.backend === "local"
}

function later(milliseconds = SETTLED) {
  clearTimeout(timer)
  timer = setTimeout(look, milliseconds)
}

// Settings below the menu are made anew when it turns.
function follow(node) {
  for (const one of node.widgets ?? []) {
    if (hooked.has(one) || one.name === LINE) continue
    hooked.add(one)
    const before = one.callback
    one.callback = function (...given) {
      const returned = before?.apply(this, given)
      later()
      return returned
    }
  }
}

async function look() {
  const nodes = [...lines.keys()]
  nodes.forEach(follow)
  const asked = nodes.filter((node) => !isLinked(node))
  for (const node of nodes) if (isLinked(node)) lines.get(node).show("", say("linked"))
  if (!asked.length) return
  const before = asked.map((node) => JSON.stringify(valuesOf(node)))
  const answer = await ask("readiness", { nodes: asked.map(valuesOf) })
  if (answer.error) {
    for (const node of asked) lines.get(node)?.show("blocked", answer.error)
    return
  }
  asked.forEach((node, index) => {
    // What was changed meanwhile is asked for again.
    if (lines.has(node) && before[index] === JSON.stringify(valuesOf(node))) {
      show(node, answer.nodes[index])
    }
  })
  const running = answer.nodes.some((one) => one.download?.state === "running")
  if (running) later(PROGRESS)
  else if (downloading) learn()
  downloading = running
}

function show(node, said) {
  node.rmbgSaid = said
  const line = lines.get(node)
  const download = said.download
  if (download?.state === "running") {
    const percent = Math.floor((100 * download.arrived) / download.size)
    const words =
      `${say("downloading")} ${said.weights.name}: ${percent}%, ${megabytes(download.arrived)} / ` +
      `${megabytes(download.size)}, ${megabytes(download.speed)}/s`
    const bar = element("progress", { value: download.arrived, max: download.size })
    line.show("blocked", words, bar, row(button(say("cancel"), () => stop(download.model))))
    return
  }
  const state = said.state === "ready" ? "ready" : "blocked"
  const failed = download?.state === "failed" ? download.words : ""
  const stopped = download?.state === "stopped" ? `${say("stopped")} ` : ""
  line.show(failed ? "failed" : state, failed || stopped + said.words, row(...offers(node, said)))
}

// What can be pressed. failure: the name of the error that a run ended with.
export function offers(node, said, failure = "") {
  const made = []
  const wanted = said.weights?.model
  if (said.weights) made.push(button(say("download"), () => getModel(node, wanted)))
  if (said.backend === "keyer") {
    const label = failure === "NoPlainBackdrop" ? "useModel" : "getModel"
    made.push(button(say(label), () => getModel(node)))
  }
  const refused = ["KeyMissing", "AccountRefused"].includes(failure)
  if (said.key && (said.state === "key" || refused)) {
    const profile = () => valuesOf(node).backend.profile ?? ""
    const use = () => {
      put(node, "backend.account", "key") // where there is that choice
      learn()
    }
    made.push(button(say("setKey"), () => setKey(said.key, profile(), use)))
  }
  return made
}

export function getModel(node, wanted) {
  chooseModel(valuesOf(node).usage, wanted, (model) => {
    put(node, "backend", "local")
    put(node, "backend.model", model)
    downloading = true
    learn()
  })
}

async function stop(model) {
  await ask("cancel", { model })
  later(0)
}

// Something on the disk may be another.
async function learn() {
  later(0)
  const answer = await ask("best")
  if (!answer.error) best = answer
}

app.registerExtension({
  name: "rmbg-nodes.readiness",

  async setup() {
    addStyle()
    for (const event of ["execution_start", "execution_error", "execution_success"]) {
      api.addEventListener(event, () => later())
    }
    window.addEventListener("focus", () => later())
    await learn()
  },

  nodeCreated(node) {
    if (node.comfyClass !== LOAD) return
    lines.set(node, new Line(node, LINE))
    lines.get(node).show("", say("checking"))
    // Before anything saved is put into it, and so only what a fresh node starts with.
    if (!app.configuringGraph) {
      put(node, "backend", best.backend)
      put(node, "backend.model", best.model)
    }
    after(node, CONNECTED, () => later())
    after(node, ["onRemoved"], () => lines.delete(node))
  },
})
