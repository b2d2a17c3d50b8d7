// Remove Background that is not connected yet says what it lacks, and adds it.

import { app } from "../../../scripts/app.js"
import { button, row } from "./elements.js"
import { CONNECTED, after } from "./hooks.js"
import { Line } from "./line.js"
import { LOAD, getModel, hasModel } from "./readiness.js"
import { say } from "./words.js"

const REMOVE = "RMBG_RemoveBackground"
const SAVE = "RMBG_SaveCutout"
const GAP = 60
const SETTLED = 250 // milliseconds after the last link

const lines = new Map() // node -> its line
const timers = new WeakMap()

function add(type, beside, left) {
  const { graph } = beside
  const made = LiteGraph.createNode(type)
  const x = left ? beside.pos[0] - made.size[0] - GAP : beside.pos[0] + beside.size[0] + GAP
  let y = beside.pos[1]
  const isInTheWay = ({ pos, size }) =>
    pos[0] < x + made.size[0] &&
    x < pos[0] + size[0] &&
    pos[1] < y + made.size[1] + GAP &&
    y < pos[1] + size[1] + GAP
  for (let other; (other = graph.nodes.find(isInTheWay)); ) y = other.pos[1] + other.size[1] + GAP
  made.pos = [x, y]
  graph.add(made)
  return made
}

function addLoader(node) {
  const made = add(LOAD, node, true)
  made.connect(0, node, node.findInputSlot("remover"))
  return made
}

function addSaver(node) {
  const made = add(SAVE, node, false)
  for (const name of ["image", "report"]) {
    node.connect(node.findOutputSlot(name), made, made.findInputSlot(name))
  }
}

function title(type) {
  return LiteGraph.registered_node_types[type].title
}

function look(node) {
  if (!node.graph) return
  const words = []
  const made = []
  if (node.inputs?.find((input) => input.name === "remover")?.link == null) {
    words.push(say("needsRemover"))
    made.push(button(`${say("add")} ${title(LOAD)}`, () => addLoader(node)))
    if (!hasModel()) made.push(button(say("getModel"), () => getModel(addLoader(node))))
  }
  if (!node.outputs?.some((output) => output.links?.length)) {
    words.push(say("needsTaker"))
    made.push(button(`${say("add")} ${title(SAVE)}`, () => addSaver(node)))
  }
  if (!words.length) {
    lines.get(node)?.remove()
    lines.delete(node)
    return
  }
  if (!lines.has(node)) lines.set(node, new Line(node, "beginning"))
  lines.get(node).show("", words.join(" "), row(...made))
}

function later(node) {
  clearTimeout(timers.get(node))
  timers.set(
    node,
    setTimeout(() => look(node), SETTLED),
  )
}

app.registerExtension({
  name: "rmbg-nodes.beginning",

  nodeCreated(node) {
    if (node.comfyClass !== REMOVE) return
    after(node, CONNECTED, () => later(node))
    after(node, ["onRemoved"], () => lines.delete(node))
  },
})
