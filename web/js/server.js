// Questions to the pack's own routes. Every answer is an object; `error` in it is a sentence.

import { api } from "../../../scripts/api.js"

export async function ask(name, asked = {}) {
  try {
    const response = await api.fetchApi(`/rmbg/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    })
    return await response.json()
  } catch (error) {
    // The server is gone or answers with a page: the user sees that anyway.
    return { error: `ComfyUI does not answer (${error.message}).` }
  }
}
