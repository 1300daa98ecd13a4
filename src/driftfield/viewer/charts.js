"use strict";
// Drawing: maps and sections as coloured cells, profiles and series as lines with their ensemble.

const LAND = "#b8b8b8", BLUE = "#0072B2", SKY = "#56B4E9", GREEN = "#009E73", BLACK = "#000";
const DEPTHS = [0, 10, 50, 100, 250, 500, 1000, 2000, 3000, 4000, 5000, 6000];
const MARGIN = { left: 62, right: 84, top: 8, bottom: 34 };

function shortNumber(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= raw * 0.999);
  const all = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) all.push(Number((k * step).toPrecision(12)));
  return all;
}

function quantileRange(arrays, diverging) {
  const values = [];
  for (const array of arrays) for (const value of array) if (Number.isFinite(value)) values.push(value);
  if (!values.length) return [0, 1];
  values.sort((a, b) => a - b);
  const at = (p) => values[Math.round(p * (values.length - 1))];
  let [low, high] = [at(0.01), at(0.99)];
  if (diverging) { const top = Math.max(Math.abs(low), Math.abs(high)) || 1; return [-top, top]; }
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

function cellsImage(plane, scale) {
  const off = document.createElement("canvas");
  off.width = plane.columns; off.height = plane.rows;
  const image = new ImageData(plane.columns, plane.rows);
  const rgb = scale.colours.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  for (let row = 0; row < plane.rows; row += 1) {
    for (let column = 0; column < plane.columns; column += 1) {
      const from = row * plane.columns + column, to = 4 * ((plane.down ? row : plane.rows - 1 - row) * plane.columns + column);
      const value = plane.values[from];
      let colour = plane.inside[from] ? [255, 255, 255] : [184, 184, 184];
      if (Number.isFinite(value)) {
        const share = (value - scale.low) / (scale.high - scale.low || 1);
        colour = rgb[Math.max(0, Math.min(rgb.length - 1, Math.floor(share * rgb.length)))];
      }
      image.data.set([...colour, 255], to);
    }
  }
  off.getContext("2d").putImageData(image, 0, 0);
  return off;
}

function drawBar(context, canvas, scale) {
  const x = canvas.width - MARGIN.right + 14, top = MARGIN.top, height = canvas.height - MARGIN.top - MARGIN.bottom;
  scale.colours.forEach((colour, n) => {
    context.fillStyle = colour;
    context.fillRect(x, top + height * (1 - (n + 1) / scale.colours.length), 12, height / scale.colours.length + 1);
  });
  context.strokeStyle = BLACK; context.strokeRect(x, top, 12, height);
  context.fillStyle = BLACK; context.textAlign = "left"; context.textBaseline = "middle";
  for (const tick of ticks(scale.low, scale.high, 5)) {
    context.fillText(shortNumber(tick), x + 16, top + height * (1 - (tick - scale.low) / (scale.high - scale.low)));
  }
  context.textBaseline = "top";
  context.fillText(`[${scale.units}]`, Math.min(x, canvas.width - 2 - context.measureText(`[${scale.units}]`).width), top + height + 6);
}

// where the round numbers of an increasing axis lie among its cells, of which every step-th is drawn: [[position, text], ...]
function roundPlaces(values, text, step = 1) {
  if (values.length < 2 || !(values.at(-1) > values[0])) return [[0, text(values[0])]];
  return ticks(values[0], values.at(-1), 5).map((tick) => {
    let n = 0;
    while (n < values.length - 2 && values[n + 1] < tick) n += 1;
    return [(n + (tick - values[n]) / (values[n + 1] - values[n])) / step, text(tick)];
  });
}

// four cells of an axis without round numbers, or fewer
function evenPlaces(count, text) {
  const places = new Set([0, 1, 2, 3].map((n) => Math.round(((n + 0.5) / 4) * (count - 1))));
  return [...places].map((n) => [n, text(n)]);
}

// plane: rows, columns, values, inside, down; axes: {x: [[column, text], ...], y: [[row, text], ...]}
function drawCells(canvas, plane, scale, axes) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "12px system-ui, sans-serif";
  const width = canvas.width - MARGIN.left - MARGIN.right, height = canvas.height - MARGIN.top - MARGIN.bottom;
  context.imageSmoothingEnabled = false;
  context.drawImage(cellsImage(plane, scale), MARGIN.left, MARGIN.top, width, height);
  context.strokeStyle = BLACK; context.strokeRect(MARGIN.left, MARGIN.top, width, height);
  context.fillStyle = BLACK; context.textBaseline = "top"; context.textAlign = "center";
  for (const [column, text] of axes.x) {
    const at = MARGIN.left + ((column + 0.5) / plane.columns) * width;
    context.fillText(text, at, canvas.height - MARGIN.bottom + 6);
    context.fillRect(at - 0.5, MARGIN.top + height, 1, 4);
  }
  context.textAlign = "right"; context.textBaseline = "middle";
  for (const [row, text] of axes.y) {
    const share = (row + 0.5) / plane.rows, at = MARGIN.top + (plane.down ? share : 1 - share) * height;
    context.fillText(text, MARGIN.left - 6, at);
    context.fillRect(MARGIN.left - 4, at - 0.5, 4, 1);
  }
  drawBar(context, canvas, scale);
}

function cellOf(canvas, plane, x, y) {
  const width = canvas.width - MARGIN.left - MARGIN.right, height = canvas.height - MARGIN.top - MARGIN.bottom;
  const column = Math.floor(((x - MARGIN.left) / width) * plane.columns);
  const fromTop = Math.floor(((y - MARGIN.top) / height) * plane.rows);
  const inside = column >= 0 && column < plane.columns && fromTop >= 0 && fromTop < plane.rows;
  return inside ? { row: plane.rows - 1 - fromTop, column } : null;
}

function pointOf(canvas, plane, row, column) {
  const width = canvas.width - MARGIN.left - MARGIN.right, height = canvas.height - MARGIN.top - MARGIN.bottom;
  return [MARGIN.left + ((column + 0.5) / plane.columns) * width, MARGIN.top + (1 - (row + 0.5) / plane.rows) * height];
}

function drawCross(canvas, plane, row, column, colour) {
  const context = canvas.getContext("2d"), [x, y] = pointOf(canvas, plane, row, column);
  for (const [style, width] of [["#fff", 4], [colour, 2]]) {
    context.strokeStyle = style; context.lineWidth = width;
    context.beginPath(); context.moveTo(x - 9, y); context.lineTo(x + 9, y); context.moveTo(x, y - 9); context.lineTo(x, y + 9); context.stroke();
  }
  context.lineWidth = 1;
}

// lines: [{places, mean, sd, members, quantiles, label, colour}]; along "depth" (downwards, square root) or "time"
function drawLines(canvas, lines, along, text) {
  const context = canvas.getContext("2d"), left = 70, right = 16, top = 42, bottom = 40;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "12px system-ui, sans-serif";
  const width = canvas.width - left - right, height = canvas.height - top - bottom, deep = along === "depth";
  const place = (p) => (deep ? p : Date.parse(`${p}Z`));
  const bent = (p) => (deep ? Math.sqrt(Math.max(p, 0)) : p);
  const places = lines.flatMap((line) => line.places.map((p) => bent(place(p)))).filter(Number.isFinite);
  const values = lines.flatMap((line) => [
    ...line.mean, ...(line.members || []).flat(), ...(line.quantiles || []).flat(),
    ...(line.sd ? line.mean.flatMap((m, n) => [m - 1.645 * line.sd[n], m + 1.645 * line.sd[n]]) : []),
  ]).filter((v) => v !== null && Number.isFinite(v));
  if (!places.length || !values.length) return;
  let [low, high, first, last] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
  for (const p of places) { first = Math.min(first, p); last = Math.max(last, p); }
  const margin = 0.04 * (high - low) || 0.5, edge = 0.03 * (last - first) || 1;
  [low, high, first, last] = [low - margin, high + margin, first - edge, last + edge];
  const across = (share) => left + share * width, downwards = (share) => top + share * height;
  const x = (p, v) => across(deep ? (v - low) / (high - low) : (bent(place(p)) - first) / (last - first));
  const y = (p, v) => downwards(deep ? (bent(place(p)) - first) / (last - first) : 1 - (v - low) / (high - low));
  const path = (line, row) => {
    let pen = false;
    context.beginPath();
    row.forEach((v, n) => {
      if (v === null || !Number.isFinite(v)) { pen = false; return; }
      const to = [x(line.places[n], v), y(line.places[n], v)];
      if (pen) context.lineTo(...to); else context.moveTo(...to);
      pen = true;
    });
    context.stroke();
  };
  context.strokeStyle = "#ddd"; context.fillStyle = BLACK; context.textAlign = "center"; context.textBaseline = "top";
  for (const tick of ticks(low, high, 5)) {
    const at = deep ? across((tick - low) / (high - low)) : downwards(1 - (tick - low) / (high - low));
    context.beginPath();
    if (deep) { context.moveTo(at, top); context.lineTo(at, top + height); } else { context.moveTo(left, at); context.lineTo(left + width, at); }
    context.stroke();
    if (deep) context.fillText(shortNumber(tick), at, top + height + 4);
    else { context.save(); context.textAlign = "right"; context.textBaseline = "middle"; context.fillText(shortNumber(tick), left - 5, at); context.restore(); }
  }
  const several = lines[0].places.length > 1;
  if (deep) {
    let above = -Infinity;
    context.save(); context.textAlign = "right"; context.textBaseline = "middle";
    for (const depth of DEPTHS) {
      const at = downwards((bent(depth) - first) / (last - first));
      if (at < top || at > top + height || at - above < 18) continue;
      context.fillText(String(depth), left - 5, at); above = at;
      context.beginPath(); context.moveTo(left, at); context.lineTo(left + width, at); context.stroke();
    }
    context.restore();
  } else if (several) {
    for (let n = 0; n < 5; n += 1) {
      const share = (n + 0.5) / 5;
      context.fillText(new Date(first + share * (last - first)).toISOString().slice(0, 10), across(share), top + height + 4);
    }
  }
  context.strokeStyle = BLACK; context.strokeRect(left, top, width, height);
  context.save(); context.textAlign = "center"; context.textBaseline = "bottom";
  if (deep) context.fillText(text, left + width / 2, canvas.height - 2);
  context.translate(13, top + height / 2); context.rotate(-Math.PI / 2);
  context.fillText(deep ? "depth [m]" : text, 0, 0);
  context.restore();
  for (const line of lines) {
    if (line.sd) {
      context.fillStyle = line.colour; context.globalAlpha = 0.16; context.beginPath();
      const known = line.mean.map((m, n) => n).filter((n) => line.mean[n] !== null && line.sd[n] !== null);
      known.forEach((n, k) => { const v = line.mean[n] - 1.645 * line.sd[n]; context[k ? "lineTo" : "moveTo"](x(line.places[n], v), y(line.places[n], v)); });
      known.reverse().forEach((n) => { const v = line.mean[n] + 1.645 * line.sd[n]; context.lineTo(x(line.places[n], v), y(line.places[n], v)); });
      context.fill(); context.globalAlpha = 1;
    }
    context.lineWidth = 0.7; context.strokeStyle = SKY;
    for (const member of line.members || []) path(line, member);
    context.strokeStyle = GREEN; context.lineWidth = 1; context.setLineDash([5, 4]);
    for (const values of line.quantiles || []) path(line, values);
    context.setLineDash(line.dash || []);
    context.strokeStyle = line.colour; context.lineWidth = 2; path(line, line.mean);
    context.setLineDash([]); context.fillStyle = line.colour;
    if (line.places.length < 120) line.mean.forEach((v, n) => { if (v !== null) { context.beginPath(); context.arc(x(line.places[n], v), y(line.places[n], v), 2.6, 0, 7); context.fill(); } });
  }
  context.lineWidth = 1; context.textAlign = "left"; context.textBaseline = "middle";
  let at = left;
  // as they are drawn: thick, dashed, thin or wide and pale; colour alone tells nobody everything
  const legend = lines.map((line) => [line.label, line.colour, 2.5, line.dash || [], 1]);
  if (lines.some((line) => line.sd)) legend.push(["mean ± 1.645 sd (90 %)", lines[0].colour, 11, [], 0.16]);
  if (lines.some((line) => line.members)) legend.push(["members", SKY, 1, [], 1]);
  if (lines.some((line) => line.quantiles)) legend.push(["quantiles", GREEN, 1.5, [5, 4], 1]);
  let down = 12;
  for (const [label, colour, thick, dash, alpha] of legend) {
    const wide = 44 + context.measureText(label).width;
    if (at + wide > canvas.width && at > left) { at = left; down += 17; }
    context.strokeStyle = colour; context.lineWidth = thick; context.globalAlpha = alpha; context.setLineDash(dash);
    context.beginPath(); context.moveTo(at, down); context.lineTo(at + 24, down); context.stroke();
    context.globalAlpha = 1; context.setLineDash([]); context.fillStyle = BLACK;
    context.fillText(label, at + 28, down); at += wide;
  }
  context.lineWidth = 1;
}
