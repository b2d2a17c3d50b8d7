// What litegraph calls on a node, listened to without taking it from the frontend or another pack.

export function after(node, names, then) {
  for (const name of names) {
    const before = node[name]
    node[name] = function (...given) {
      const returned = before?.apply(this, given)
      then()
      return returned
    }
  }
}

// Whatever may change what a node is connected to.
export const CONNECTED = ["onConfigure", "onAdded", "onConnectionsChange"]
