// How web/js is linted: `make lint-js`. The scripts are served as they are, without a build.

import js from "@eslint/js"

const BROWSER = ["clearTimeout", "document", "ResizeObserver", "setTimeout", "window"]
const FRONTEND = ["LiteGraph"] // ComfyUI's page has it

export default [
  { files: ["web/js/*.js"], ...js.configs.recommended },
  {
    files: ["web/js/*.js"],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "module",
      globals: Object.fromEntries([...BROWSER, ...FRONTEND].map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "What a server or a user says is text: textContent." },
        { property: "outerHTML", message: "What a server or a user says is text: textContent." },
        { property: "insertAdjacentHTML", message: "Text is put in with append." },
      ],
      "no-shadow": "error",
      "no-unused-expressions": ["error", { allowTernary: true }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
]
