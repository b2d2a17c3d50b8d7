// Load RMBG says before the run what it would do, with a button where one can be pressed; and what
// fails in a run is said where the eyes are.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { chooseModel, setKey } from "./dialogs.js"
import { addStyle, button, element } from "./elements.js"
import { Line } from "./line.js"
import { ask } from "./server.js"
import { toast } from "./toast.js"
import { megabytes, say } from "./words.js"

const LOAD = "RMBG_Load"
const LINE = "readiness"
const FAILURE = "failure"
const SETTLED = 250 // milliseconds after the last change of a widget
const PROGRESS = 700 // while a download is under way

const lines = new Map() // Load RMBG -> its line
const failures = new Map() // node -> the line of what went wrong
const hooked = new WeakSet()
let best = { backend: "keyer", model: "" }
let timer = 0
let downloading = false

function widget(node, name) {
  return node.widgets?.find((one) => one.name === name)
}

function put(node, name, value) {
  const one = widget(node, name)
  if (!one || !value) return
  one.value = value
  one.callback?.(value)
}

function valuesOf(node) {
  const values = {}
  for (const one of node.widgets ?? []) {
    if (one.name === "backend") values.backend = one.value
    else if (one.name.startsWith("backend.")) values[one.name.slice("backend.".length)] = one.value
  }
  return { usage: widget(node, "usage")?.value, backend: values }
}

function isLinked(node) {
  return (node.inputs ?? []).some((input) => input.widget && input.link != null)
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

function row(...made) {
  return element("div", { className: "rmbg-buttons" }, ...made)
}

function offers(node, said, failure = "") {
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
    made.push(button(say("setKey"), () => setKey(said.key, profile(), learn)))
  }
  return made
}

function getModel(node, wanted) {
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

function loaderOf(node) {
  if (node.type === LOAD) return node
  const input = node.inputs?.find((one) => one.name === "remover")
  const from = input?.link != null && node.graph?.getLink?.(input.link)
  const loader = from && node.graph.getNodeById(from.origin_id)
  return loader?.type === LOAD ? loader : undefined
}

function fail({ node_id: id, exception_type: type, exception_message: message }) {
  if (!type?.startsWith("rmbg_nodes.")) return
  const node = app.graph.getNodeById(id)
  const words = message.trim()
  const loader = node && loaderOf(node)
  const said = loader?.rmbgSaid
  const made = () => (said ? offers(loader, said, type.slice("rmbg_nodes.".length)) : [])
  toast(node?.title ?? say("failed"), words, ...made())
  if (!node) return // in a subgraph that is not open
  if (!failures.has(node)) failures.set(node, new Line(node, FAILURE))
  failures.get(node).show("failed", words, row(...made()))
}

function forget() {
  for (const line of failures.values()) line.remove()
  failures.clear()
}

app.registerExtension({
  name: "rmbg-nodes",

  async setup() {
    addStyle()
    api.addEventListener("execution_start", forget)
    api.addEventListener("execution_error", ({ detail }) => {
      fail(detail)
      later()
    })
    api.addEventListener("execution_success", () => later())
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
    for (const name of ["onConfigure", "onAdded", "onConnectionsChange"]) {
      const before = node[name]
      node[name] = function (...given) {
        const returned = before?.apply(this, given)
        later()
        return returned
      }
    }
    const removed = node.onRemoved
    node.onRemoved = function (...given) {
      lines.delete(node)
      return removed?.apply(this, given)
    }
  },
})
