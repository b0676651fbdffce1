// Draws the charts in the reader's colours and lets one node type be looked at alone. Fetches nothing.
const data = JSON.parse(document.getElementById("charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const choice = document.getElementById("node-type");
const views = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const axis = { labelColor: of("--soft-ink"), titleColor: of("--soft-ink"), gridColor: of("--line"), domainColor: of("--line"),
    tickColor: of("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400 };
  return { background: null, view: { stroke: null }, axis, font: "system-ui, sans-serif" };
}

async function draw() {
  for (const [name, specification] of Object.entries(data)) {
    const { view } = await vegaEmbed(`#chart-${name}`, { ...specification, config: colours() }, {
      ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true }, loader: { http: {} },
    });
    views.get(name)?.finalize();
    views.set(name, view);
  }
  await choose();
}

async function choose() {
  const type = choice ? choice.value : "";
  let shown = 0;
  for (const element of document.querySelectorAll("[data-type]")) {
    element.hidden = type !== "" && element.dataset.type !== type;
    if (!element.hidden && element.tagName === "FIGURE") shown += 1;
  }
  for (const view of views.values()) await view.signal("node_type", type).runAsync();
  const count = document.getElementById("shown"); // last: whoever waits for the count finds the charts drawn too
  if (count && (!choice || choice.value === type)) count.textContent = String(shown);
}

choice?.addEventListener("change", choose);
dark.addEventListener("change", draw);
await draw();
document.documentElement.dataset.drawn = "true";
