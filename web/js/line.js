// A line of words below a node's widgets, with buttons. It is in no workflow and no prompt.

import { element } from "./elements.js"

const MARGINS = 22 // what the canvas leaves above and below an element

export class Line {
  constructor(node, name) {
    this.node = node
    this.height = 40
    this.element = element("div", { className: "rmbg-line" })
    this.inner = element("div")
    this.element.append(this.inner)
    this.widget = node.addDOMWidget(name, "rmbg-line", this.element, {
      serialize: false,
      hideOnZoom: false,
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => this.height,
      getMaxHeight: () => this.height,
    })
    this.widget.serialize = false
    new ResizeObserver(() => this.fit()).observe(this.inner)
  }

  // state: ready, blocked, failed or "". buttons and others are elements below the words.
  show(state, words, ...below) {
    const said = JSON.stringify([state, words])
    this.element.dataset.state = state
    if (said === this.said && !below.length && !this.below?.length) return
    this.said = said
    this.below = below
    this.inner.replaceChildren(element("p", { textContent: words }), ...below)
  }

  remove() {
    const { node, widget } = this
    const index = node.widgets?.indexOf(widget) ?? -1
    if (index < 0) return
    node.removeWidget ? node.removeWidget(widget) : node.widgets.splice(index, 1)
    node.setSize([node.size[0], Math.max(node.size[1] - this.height, node.computeSize()[1])])
  }

  // On the canvas the node grows with the words, and shrinks by as much as it grew. Elsewhere the
  // page does that.
  fit() {
    if (LiteGraph.vueNodesMode) return
    const wanted = this.inner.offsetHeight + MARGINS
    if (!this.inner.offsetHeight || Math.abs(wanted - this.height) < 2) return
    const [width, height] = this.node.size
    const grown = height + wanted - this.height
    this.height = wanted
    this.node.setSize([width, Math.max(grown, this.node.computeSize()[1])])
    this.node.graph?.setDirtyCanvas(true, true)
  }
}
