"use strict";
// The page: what is chosen is the address (after #), what is drawn comes from the server, a plane or a line at a time.

const token = new URLSearchParams(location.search).get("token") || "";
const $ = (id) => document.getElementById(id);
const KEYS = ["file", "beside", "observations", "variable", "kind", "number", "time", "depth", "low", "high", "row", "column", "to_row", "to_column", "departures"];
let state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
let abouts = {}, drawn = [], cursor = null, turn = 0;

async function ask(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== ""));
  const answer = await fetch(`${path}?${query}`, { headers: { "X-Driftfield-Token": token } });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}
const askJSON = async (path, parameters) => (await ask(path, parameters)).json();

async function about(file) {
  if (!abouts[file]) abouts[file] = await askJSON("/api/about", { file });
  return abouts[file];
}

async function plane(file, changes = {}) {
  const { variable, kind, number, time, depth } = { ...state, ...changes };
  const answer = await ask("/api/plane", { file, variable, kind, number, time, depth });
  const [rows, columns, step] = ["X-Rows", "X-Columns", "X-Step"].map((name) => Number(answer.headers.get(name)));
  const bytes = await answer.arrayBuffer();
  return { rows, columns, step, values: new Float32Array(bytes, 0, rows * columns), inside: new Uint8Array(bytes, 4 * rows * columns) };
}

function fillSelect(select, items, value, text = (item) => item) {
  select.replaceChildren(...items.map((item) => new Option(text(item), item, false, String(item) === String(value))));
}

const degrees = (value, plus, minus) => `${Number(Math.abs(value).toFixed(2))}°${value > 0 ? plus : value < 0 ? minus : ""}`;
const latitude = (value) => degrees(value, "N", "S");
const longitude = (value) => degrees(((value + 540) % 360) - 180, "E", "W");

function axesOf(info, cells) {
  const { step } = cells;
  if (!info.lat) return { x: evenPlaces(cells.columns, (n) => `column ${n * step}`), y: evenPlaces(cells.rows, (n) => `row ${n * step}`) };
  return { x: roundPlaces(info.lon, longitude, step), y: roundPlaces(info.lat, latitude, step) };
}

function mapSize(info) {
  const width = 560, inner = width - MARGIN.left - MARGIN.right;
  let tall = info.rows / info.columns;
  if (info.lat && info.rows > 1 && info.columns > 1) {
    const middle = (info.lat[0] + info.lat.at(-1)) / 2;
    tall = (info.lat.at(-1) - info.lat[0]) / Math.abs((info.lon.at(-1) - info.lon[0]) * Math.max(0.1, Math.cos((middle * Math.PI) / 180)));
  }
  return [width, Math.round(Math.min(620, Math.max(60, inner * Math.min(3, Math.max(0.12, tall)))) + MARGIN.top + MARGIN.bottom)];
}

// the controls that a variable of a file has
function showControls(info) {
  const variable = info.variables[state.variable], label = (id, on) => { $(id).hidden = !on; };
  fillSelect($("variable"), Object.keys(info.variables), state.variable);
  fillSelect($("kind"), variable.kinds, state.kind);
  const labels = state.kind === "member" ? variable.members : state.kind === "quantile" ? variable.quantiles : [];
  fillSelect($("number"), labels.map((_, n) => n), state.number, (n) => labels[n]);
  label("number-label", labels.length > 0);
  $("time").max = Math.max(0, info.times.length - 1);
  $("time").value = Math.max(0, info.times.indexOf(state.time));
  $("time-text").value = (state.time || "").replace("T00:00:00", "").replace("T", " ");
  label("time-label", variable.dated && info.times.length > 1);
  $("depth").max = Math.max(0, variable.depths.length - 1);
  $("depth").value = Math.max(0, variable.depths.indexOf(Number(state.depth)));
  $("depth-text").value = state.depth === undefined ? "" : `${Number(Number(state.depth).toFixed(2))} m`;
  label("depth-label", variable.depths.length > 1);
  $("departures").checked = state.departures === "1";
  $("title").textContent = `${variable.long_name} [${variable.units}]`;
}

// what is not in the state yet, or not in the file, becomes its first
function complete(info) {
  if (!info.variables[state.variable]) [state.variable] = Object.keys(info.variables);
  const variable = info.variables[state.variable];
  if (!variable.kinds.includes(state.kind)) state.kind = "mean";
  const count = { member: variable.members.length, quantile: variable.quantiles.length }[state.kind];
  if (!count) delete state.number; else if (!(Number(state.number) < count)) state.number = "0";
  if (!info.times.length) delete state.time; else if (!info.times.includes(state.time)) [state.time] = info.times;
  if (!variable.depths.length) delete state.depth;
  else if (!variable.depths.includes(Number(state.depth))) state.depth = String(variable.depths[0]);
}

function remember() {
  for (const key of Object.keys(state)) if (!KEYS.includes(key) || state[key] === undefined || state[key] === "") delete state[key];
  const hash = `#${new URLSearchParams(state)}`;
  history.replaceState(null, "", location.pathname + location.search + hash);
  $("link").href = hash;
}

async function draw() {
  const mine = (turn += 1);
  $("message").textContent = "";
  try {
    const info = await about(state.file);
    complete(info); showControls(info); remember();
    const panels = [{ name: state.file, info, plane: await plane(state.file) }];
    if (state.beside) {
      try {
        const other = await about(state.beside);
        // members and quantiles are compared with the mean of a file without them; a spread is no value
        if (state.kind === "spread" && !other.variables[state.variable]?.kinds.includes("spread")) throw new Error("has no spread to set beside this one");
        const second = await plane(state.beside, other.variables[state.variable]?.kinds.includes(state.kind) ? {} : { kind: "mean", number: undefined });
        panels.push({ name: state.beside, info: other, plane: second });
        if (second.rows === panels[0].plane.rows && second.columns === panels[0].plane.columns) panels.push(difference(panels));
      } catch (error) { $("message").textContent = `${state.beside}: ${error.message}`; }
    }
    if (state.observations && state.kind === "spread") $("message").textContent += " Observations are not laid over a spread.";
    const seen = state.observations && state.kind !== "spread" ? await plane(state.observations, { kind: "mean", number: undefined }).catch((error) => { $("message").textContent = error.message; return null; }) : null;
    if (mine !== turn) return;
    if (!seen) $("departure-text").value = "";
    paint(info, panels, seen);
    if (state.row !== undefined) await showPlace(info);
    if (state.to_row !== undefined) await showSection(info);
  } catch (error) { $("message").textContent = error.message; }
  if (mine === turn) document.body.dataset.ready = String(mine);
}

function difference([first, second]) {
  const values = first.plane.values.map((value, n) => value - second.plane.values[n]);
  return { name: `${first.name} minus ${second.name}`, info: first.info, plane: { ...first.plane, values }, away: true };
}

function scaleOf(info, panels) {
  const variable = info.variables[state.variable], spread = state.kind === "spread";
  let [low, high] = quantileRange(panels.filter((panel) => !panel.away).map((panel) => panel.plane.values), variable.diverging && !spread);
  if (spread) low = 0;
  if (state.low !== undefined && state.high !== undefined) [low, high] = [Number(state.low), Number(state.high)];
  if (document.activeElement !== $("low")) $("low").value = shortNumber(low);
  if (document.activeElement !== $("high")) $("high").value = shortNumber(high);
  $("fixed").checked = state.low !== undefined;
  return { colours: spread ? info.spread_colours : variable.colours, low, high, units: variable.units };
}

function paint(info, panels, seen) {
  const scale = scaleOf(info, panels);
  const away = panels.find((panel) => panel.away);
  const awayRange = away ? quantileRange([away.plane.values], true) : [];
  drawn = panels.map((panel) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = mapSize(panel.info);
    canvas.tabIndex = 0; canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Map of ${panel.name}; arrow keys move the cursor, Enter chooses the place`);
    const used = panel.away ? { colours: info.difference_colours, low: awayRange[0], high: awayRange[1], units: scale.units } : scale;
    const one = { ...panel, canvas, scale: used, seen: panel.away ? null : seen };
    listen(one);
    return one;
  });
  const focused = document.activeElement?.closest?.(".map");
  const index = focused ? [...$("maps").children].indexOf(focused) : -1;
  $("maps").replaceChildren(...drawn.map((panel) => {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    figure.className = "map";
    caption.textContent = panel.plane.step > 1 ? `${panel.name} (every ${panel.plane.step}th cell is drawn)` : panel.name;
    figure.append(caption, panel.canvas);
    return figure;
  }));
  drawn.forEach(repaint);
  if (index >= 0) drawn[Math.min(index, drawn.length - 1)].canvas.focus();
}

function repaint(panel) {
  const { canvas, plane: cells } = panel;
  drawCells(canvas, cells, panel.scale, axesOf(panel.info, cells));
  if (panel.seen) drawObservations(panel);
  const at = (row, column, colour) => drawCross(canvas, cells, Math.floor(row / cells.step), Math.floor(column / cells.step), colour);
  if (state.to_row !== undefined) {
    const context = canvas.getContext("2d"), point = (row, column) => pointOf(canvas, cells, row / cells.step, column / cells.step);
    context.strokeStyle = BLACK; context.lineWidth = 2; context.beginPath();
    context.moveTo(...point(Number(state.row), Number(state.column))); context.lineTo(...point(Number(state.to_row), Number(state.to_column)));
    context.stroke(); context.lineWidth = 1;
  }
  if (state.row !== undefined) at(Number(state.row), Number(state.column), "#D55E00");
  if (cursor) at(cursor.row, cursor.column, BLACK);
}

function drawObservations(panel) {
  const { canvas, plane: cells, seen, info } = panel, context = canvas.getContext("2d");
  if (seen.rows !== cells.rows || seen.columns !== cells.columns) { $("message").textContent = `${state.observations} lies on other cells`; return; }
  const departures = state.departures === "1", away = seen.values.map((value, n) => value - cells.values[n]);
  const [low, high] = departures ? quantileRange([away], true) : [panel.scale.low, panel.scale.high];
  // the darkest ends look alike on a dark map
  const colours = departures ? info.difference_colours.slice(16, -16) : panel.scale.colours;
  let count = 0, squares = 0;
  seen.values.forEach((value, n) => {
    if (!Number.isFinite(value)) return;
    const shown = departures ? away[n] : value, [x, y] = pointOf(canvas, cells, Math.floor(n / cells.columns), n % cells.columns);
    if (Number.isFinite(away[n])) { count += 1; squares += away[n] ** 2; }
    context.fillStyle = colours[Math.max(0, Math.min(colours.length - 1, Math.floor(((shown - low) / (high - low || 1)) * colours.length)))];
    context.beginPath(); context.arc(x, y, 4, 0, 7); context.fill();
    for (const [colour, width, radius] of [["#fff", 1.6, 4.6], [BLACK, 0.6, 5.4]]) { context.strokeStyle = colour; context.lineWidth = width; context.beginPath(); context.arc(x, y, radius, 0, 7); context.stroke(); }
  });
  context.lineWidth = 1;
  if (panel === drawn[0]) $("departure-text").value = `${count} observed cells; observation minus ${state.kind}: rms ${shortNumber(Math.sqrt(squares / count))} ${panel.scale.units}${departures ? `; dots from blue (${shortNumber(low)}, observed less) over white to red (${shortNumber(high)}, observed more)` : ""}`;
}

function choose(panel, row, column) {
  const cell = { row: row * panel.plane.step, column: column * panel.plane.step };
  if ($("cutting").checked && state.row !== undefined && state.to_row === undefined) {
    state.to_row = String(cell.row); state.to_column = String(cell.column);
  } else {
    state.row = String(cell.row); state.column = String(cell.column);
    delete state.to_row; delete state.to_column;
    $("section-figure").hidden = true;
  }
  draw();
}

function listen(panel) {
  panel.canvas.addEventListener("click", (event) => {
    const box = panel.canvas.getBoundingClientRect(), ratio = panel.canvas.width / box.width;
    const cell = cellOf(panel.canvas, panel.plane, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
    if (cell) choose(panel, cell.row, cell.column);
  });
  panel.canvas.addEventListener("keydown", (event) => {
    const step = panel.plane.step, move = { ArrowUp: [step, 0], ArrowDown: [-step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[event.key];
    if (event.key === "Enter" && cursor) choose(panel, Math.floor(cursor.row / step), Math.floor(cursor.column / step));
    if (!move) return;
    event.preventDefault();
    cursor ||= { row: Number(state.row ?? Math.floor(panel.info.rows / 2)), column: Number(state.column ?? Math.floor(panel.info.columns / 2)) };
    cursor.row = Math.max(0, Math.min(panel.info.rows - 1, cursor.row + move[0]));
    cursor.column = Math.max(0, Math.min(panel.info.columns - 1, cursor.column + move[1]));
    drawn.forEach(repaint);
  });
}

async function linesAlong(along, files) {
  const { variable, time, depth, row, column } = state, lines = [];
  for (const [n, file] of files.entries()) {
    try {
      const line = await askJSON("/api/line", { file, variable, time, depth, row, column, along });
      lines.push({ ...line, label: file, colour: n ? BLACK : BLUE, dash: n ? [7, 4] : [] });
    } catch (error) { if (!n) throw error; $("message").textContent = error.message; }
  }
  return lines;
}

async function showPlace(info) {
  const variable = info.variables[state.variable], text = `${variable.long_name} [${variable.units}]`, files = [state.file, state.beside].filter(Boolean);
  const rows = [], known = (lines) => lines.some((line) => line.mean.some((value) => value !== null));
  let where = null;
  if (variable.depths.length < 2) $("profile-figure").hidden = true;
  if (!(variable.dated && info.times.length > 1)) $("series-figure").hidden = true;
  if (variable.depths.length > 1) {
    const lines = await linesAlong("depth", files);
    $("profile-figure").hidden = !known(lines);
    drawLines($("profile"), lines, "depth", text);
    where = lines[0].place;
    lines[0].places.forEach((depth, n) => rows.push(["depth [m]", depth, lines[0].mean[n], lines[0].sd?.[n]]));
  }
  if (variable.dated && info.times.length > 1) {
    const lines = await linesAlong("time", files);
    $("series-figure").hidden = !known(lines);
    drawLines($("series"), lines, "time", text);
    where = lines[0].place;
    $("series-caption").textContent = lines[0].places.length < lines[0].of ? `time series: the ${lines[0].places.length} dates around the one that is shown, of ${lines[0].of}` : "time series";
    lines[0].places.forEach((date, n) => rows.push(["date", date, lines[0].mean[n], lines[0].sd?.[n]]));
  }
  showNumbers(rows, variable.units);
  const cells = drawn[0].plane, row = Math.floor(state.row / cells.step), column = Math.floor(state.column / cells.step);
  const value = cells.values[row * cells.columns + column];
  const place = where ? `${latitude(where.lat)} ${longitude(where.lon)}` : `row ${state.row}, column ${state.column}`;
  const said = Number.isFinite(value) ? `${state.kind} ${shortNumber(value)} ${variable.units}` : cells.inside[row * cells.columns + column] ? "no value here" : "the field does not exist here";
  $("reading").value = `${place} (row ${state.row}, column ${state.column}): ${said}`;
}

function showNumbers(rows, units) {
  const cell = (tag, text) => { const made = document.createElement(tag); made.textContent = text; return made; };
  const line = (tag, texts) => { const made = document.createElement("tr"); made.append(...texts.map((text) => cell(tag, text))); return made; };
  $("numbers").tHead.replaceChildren(line("th", ["along", "at", `mean [${units}]`, `sd [${units}]`]));
  $("numbers").tBodies[0].replaceChildren(...rows.map((row) => line("td", row.map((value) => value ?? ""))));
}

async function showSection(info) {
  const { file, variable, kind, number, time, row, column, to_row, to_column } = state;
  if (info.variables[variable].depths.length < 2) { $("message").textContent = "a section needs a variable with depth"; return; }
  const cut = await askJSON("/api/section", { file, variable, kind, number, time, row, column, to_row, to_column });
  const values = Float32Array.from(cut.values.flat().map((value) => value ?? NaN));
  const cells = { rows: cut.depth.length, columns: cut.distance.length, down: true, values, inside: Uint8Array.from(values, (value) => Number(Number.isFinite(value))) };
  const whole = drawn[0].scale, [low, high] = state.low === undefined ? quantileRange([values], info.variables[variable].diverging && kind !== "spread") : [whole.low, whole.high];
  $("section-figure").hidden = false;
  drawCells($("section"), cells, { ...whole, low: kind === "spread" ? 0 : low, high }, { x: roundPlaces(cut.distance, (km) => `${shortNumber(km)} km`), y: evenPlaces(cut.depth.length, (n) => `${shortNumber(cut.depth[n])} m`) });
}

function change(changes) {
  state = { ...state, ...changes };
  draw();
}

function listenToControls() {
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const key of ["file", "beside", "observations", "variable", "kind", "number"]) {
    $(key).addEventListener("change", () => change({ [key]: $(key).value, ...(key === "variable" || key === "kind" ? { low: undefined, high: undefined } : {}) }));
  }
  $("time").addEventListener("input", async () => change({ time: (await about(state.file)).times[$("time").value] }));
  $("depth").addEventListener("input", async () => change({ depth: String((await about(state.file)).variables[state.variable].depths[$("depth").value]) }));
  for (const key of ["low", "high"]) $(key).addEventListener("change", () => { if ($("low").value !== "" && $("high").value !== "") change({ low: $("low").value, high: $("high").value }); });
  $("fixed").addEventListener("change", () => change($("fixed").checked ? { low: $("low").value, high: $("high").value } : { low: undefined, high: undefined }));
  $("departures").addEventListener("change", () => change({ departures: $("departures").checked ? "1" : undefined }));
  $("cutting").addEventListener("change", () => change({ to_row: undefined, to_column: undefined }));
  $("link").addEventListener("click", (event) => { event.preventDefault(); navigator.clipboard?.writeText(location.href); $("message").textContent = "The address of this view is copied."; });
  window.addEventListener("hashchange", () => { state = Object.fromEntries(new URLSearchParams(location.hash.slice(1))); start(); });
}

async function start() {
  try {
    const { files } = await askJSON("/api/files", {});
    if (!files.includes(state.file)) [state.file] = files;
    fillSelect($("file"), files, state.file);
    for (const key of ["beside", "observations"]) fillSelect($(key), ["", ...files], state[key], (name) => name || "none");
    await draw();
  } catch (error) { $("message").textContent = error.message; }
}

listenToControls();
start();
