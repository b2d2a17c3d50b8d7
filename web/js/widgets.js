// Widgets of a node: what they say, and what is put into them.

function widget(node, name) {
  return node.widgets?.find((one) => one.name === name)
}

export function put(node, name, value) {
  const one = widget(node, name)
  if (!one || !value) return
  one.value = value
  one.callback?.(value)
}

// Of Load RMBG, as its routes want them.
export function valuesOf(node) {
  const values = {}
  for (const one of node.widgets ?? []) {
    if (one.name === "backend") values.backend = one.value
    else if (one.name.startsWith("backend.")) values[one.name.slice("backend.".length)] = one.value
  }
  return { usage: widget(node, "usage")?.value, backend: values }
}

// Whether another node says what one of them is.
export function isLinked(node) {
  return (node.inputs ?? []).some((input) => input.widget && input.link != null)
}
