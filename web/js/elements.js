// Small pieces of the page, and how they look: in the colours of the frontend's theme.

const STYLE = `
.rmbg-line { box-sizing: border-box; width: 100%; overflow: hidden; font: 12px/1.35 sans-serif;
  color: var(--input-text, #ddd); }
.rmbg-line > div { padding: 4px 8px 6px; border-left: 3px solid #8888; border-radius: 3px;
  background: var(--comfy-input-bg, #222); }
.rmbg-line[data-state=ready] > div { border-left-color: #4a9; }
.rmbg-line[data-state=blocked] > div { border-left-color: #d94; }
.rmbg-line[data-state=failed] > div { border-left-color: #d55; }
.rmbg-line p { margin: 0; overflow-wrap: anywhere; user-select: text; }
.rmbg-line progress { width: 100%; height: 8px; }
.rmbg-buttons { display: flex; gap: 6px; flex-wrap: wrap; margin-top: 4px; }
.rmbg-buttons:empty { display: none; }
.rmbg-toast { position: fixed; z-index: 1000; top: 56px; left: 50%; transform: translateX(-50%);
  box-sizing: border-box; width: min(34em, 60vw); max-height: 80vh; overflow-y: auto;
  padding: 12px 16px;
  border: 1px solid var(--border-color, #666); border-left: 4px solid #d55; border-radius: 8px;
  font: 13px/1.4 sans-serif; background: var(--comfy-menu-bg, #2a2a2a);
  color: var(--input-text, #ddd); box-shadow: 0 4px 16px #0008; }
.rmbg-toast p { margin: 4px 0; overflow-wrap: anywhere; user-select: text; }
:is(.rmbg-line, .rmbg-dialog, .rmbg-toast) button { font: inherit; padding: 3px 10px; cursor: pointer;
  border: 1px solid var(--border-color, #666); border-radius: 4px;
  background: var(--comfy-menu-bg, #333); color: var(--input-text, #ddd); }
:is(.rmbg-line, .rmbg-dialog, .rmbg-toast) button:hover { filter: brightness(1.3); }
.rmbg-dialog { max-width: 34em; padding: 18px 22px; font: 14px/1.45 sans-serif;
  border: 1px solid var(--border-color, #666); border-radius: 8px;
  background: var(--comfy-menu-bg, #2a2a2a); color: var(--input-text, #ddd); }
.rmbg-dialog::backdrop { background: #0008; }
.rmbg-dialog h3 { margin: 0 0 10px; font-size: 16px; }
.rmbg-dialog p { margin: 8px 0; overflow-wrap: anywhere; }
.rmbg-dialog label { display: block; margin: 6px 0; }
.rmbg-dialog input[type=password] { display: block; width: 100%; box-sizing: border-box;
  margin-top: 4px; padding: 6px; border: 1px solid var(--border-color, #666); border-radius: 4px;
  background: var(--comfy-input-bg, #222); color: inherit; }
.rmbg-dialog a { color: #6af; }
`

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

export function link(address) {
  return element("a", { href: address, target: "_blank", rel: "noreferrer", textContent: address })
}

export function button(label, press) {
  const made = element("button", { type: "button", textContent: label })
  made.addEventListener("click", press)
  return made
}

export function row(...made) {
  return element("div", { className: "rmbg-buttons" }, ...made)
}

export function addStyle() {
  document.head.append(element("style", { textContent: STYLE }))
}
