// What fails is said where the eyes are, with what can be pressed: the whole sentence over the graph,
// and on the node. ComfyUI's own message has three lines for what it refuses to run.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { row } from "./elements.js"
import { Line } from "./line.js"
import { LOAD, offers } from "./readiness.js"
import { toast } from "./toast.js"
import { say } from "./words.js"

const OURS = "rmbg_nodes." // in front of the name of each error
const PAUSE = 200 // milliseconds
const PATIENCE = 30_000

const lines = new Map() // node -> its line
let timer = 0

function loaderOf(node) {
  if (node.type === LOAD) return node
  const input = node.inputs?.find((one) => one.name === "remover")
  const from = input?.link != null && node.graph?.getLink?.(input.link)
  const loader = from && node.graph.getNodeById(from.origin_id)
  return loader?.type === LOAD ? loader : undefined
}

function buttons(node, type) {
  const loader = node && loaderOf(node)
  return loader?.rmbgSaid ? offers(loader, loader.rmbgSaid, type.replace(OURS, "")) : []
}

function fail({ node_id: id, node_type: kind, exception_type: type, exception_message: message }) {
  // Another node may run what Load RMBG opened.
  if (!type?.startsWith(OURS) && !kind?.startsWith("RMBG_")) return
  const node = app.graph.getNodeById(id)
  const words = message.trim()
  toast(node?.title ?? say("failed"), words, ...buttons(node, type))
  if (!node) return // in a subgraph that is not open
  if (!lines.has(node)) lines.set(node, new Line(node, "failure"))
  lines.get(node).show("failed", words, row(...buttons(node, type)))
}

// What was refused before the run; Load RMBG's line says the same.
function refuse(errors) {
  for (const [id, { errors: all }] of Object.entries(errors)) {
    for (const { details, extra_info: { exception_type: type } = {} } of all) {
      if (!type?.startsWith(OURS)) continue
      const node = app.graph.getNodeById(id)
      toast(node?.title ?? say("failed"), details, ...buttons(node, type))
    }
  }
}

// The frontend tells nobody that a prompt was refused: it forgets the errors of the one before when
// a prompt is queued, and then has those of this one.
function watch(until) {
  clearTimeout(timer)
  timer = setTimeout(() => {
    const errors = app.extensionManager.lastNodeErrors ?? app.lastNodeErrors
    if (errors) refuse(errors)
    else if (Date.now() < until) watch(until)
  }, PAUSE)
}

function forget() {
  for (const line of lines.values()) line.remove()
  lines.clear()
}

app.registerExtension({
  name: "rmbg-nodes.failures",

  setup() {
    api.addEventListener("promptQueueing", () => watch(Date.now() + PATIENCE))
    api.addEventListener("promptQueued", () => clearTimeout(timer))
    api.addEventListener("execution_start", forget)
    api.addEventListener("execution_error", ({ detail }) => fail(detail))
  },
})
