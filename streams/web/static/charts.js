// Charts: each <figure data-chart="ID"> shows the Bokeh document in <script type="application/json" id="ID">.
//
// Bokeh is loaded only where there is a chart. It writes style sheets of its own into the page, and needs no eval.
// Colours follow the reader's scheme: the document has the light ones, and `dark` says what each becomes.

const own = document.querySelector("script[data-bokeh]");
const scheme = matchMedia("(prefers-color-scheme: dark)");

function loaded(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = () => reject(new Error("the charts' library did not load"));
    document.head.append(script);
  });
}

function recoloured(node, colours) {
  if (typeof node === "string") return colours[node] ?? node;
  if (Array.isArray(node)) return node.map((each) => recoloured(each, colours));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, recoloured(value, colours)]));
}

// A canvas keeps the width that it has on the screen: what is printed is its copy, which the style sheet fits to paper.
async function addPrint(view, figure) {
  const chart = view.model.document;
  if (!chart.is_idle) await new Promise((resolve) => chart.idle.connect(resolve));
  const print = document.createElement("div");
  print.className = "chart-print";
  print.setAttribute("aria-hidden", "true");
  print.append(...view.child_views.map((each) => each.export("png", true).canvas));
  figure.querySelector(".chart-print")?.remove();
  figure.querySelector(".chart-screen").after(print);
}

async function draw(figure) {
  const { item, dark } = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
  const screen = figure.querySelector(".chart-screen");
  const views = await Bokeh.embed.embed_item(scheme.matches ? recoloured(item, dark) : item, holder(screen));
  await addPrint([...views].find((view) => view.child_views), figure);
  leaveTabOrder(screen);
  figure.dataset.drawn = scheme.matches ? "dark" : "light";
}

// The table says the same to a keyboard; a canvas has nothing to operate by it.
function leaveTabOrder(root) {
  for (const element of root.querySelectorAll("*")) {
    if (element.tabIndex >= 0) element.tabIndex = -1;
    if (element.shadowRoot) leaveTabOrder(element.shadowRoot);
  }
}

function holder(screen) {
  const target = document.createElement("div");
  screen.replaceChildren(target);
  return target;
}

async function drawAll() {
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    try {
      await draw(figure);
    } catch (error) {
      figure.querySelector(".chart-screen").textContent = figure.dataset.failed;
      console.error(error);
    }
  }
}

if (own && document.querySelector("figure[data-chart]")) {
  await loaded(own.dataset.bokeh);
  await drawAll();
  scheme.addEventListener("change", drawAll);
}
