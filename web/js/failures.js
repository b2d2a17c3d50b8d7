// What fails in a run is said where the eyes are: the whole sentence over the graph and on the node,
// with what can be pressed.

import { app } from "../../../scripts/app.js"
import { api } from "../../../scripts/api.js"
import { row } from "./elements.js"
import { Line } from "./line.js"
import { LOAD, offers } from "./readiness.js"
import { toast } from "./toast.js"
import { say } from "./words.js"

const OURS = "rmbg_nodes." // in front of the name of each error

const lines = new Map() // node -> its line

function loaderOf(node) {
  if (node.type === LOAD) return node
  const input = node.inputs?.find((one) => one.name === "remover")
  const from = input?.link != null && node.graph?.getLink?.(input.link)
  const loader = from && node.graph.getNodeById(from.origin_id)
  return loader?.type === LOAD ? loader : undefined
}

function fail({ node_id: id, node_type: kind, exception_type: type, exception_message: message }) {
  // Another node may run what Load RMBG opened.
  if (!type?.startsWith(OURS) && !kind?.startsWith("RMBG_")) return
  const node = app.graph.getNodeById(id)
  const words = message.trim()
  const loader = node && loaderOf(node)
  const said = loader?.rmbgSaid
  const made = () => (said ? offers(loader, said, type.replace(OURS, "")) : [])
  toast(node?.title ?? say("failed"), words, ...made())
  if (!node) return // in a subgraph that is not open
  if (!lines.has(node)) lines.set(node, new Line(node, "failure"))
  lines.get(node).show("failed", words, row(...made()))
}

function forget() {
  for (const line of lines.values()) line.remove()
  lines.clear()
}

app.registerExtension({
  name: "rmbg-nodes.failures",

  setup() {
    api.addEventListener("execution_start", forget)
    api.addEventListener("execution_error", ({ detail }) => fail(detail))
  },
})
