// Draws the map: dagre says where boxes and lines go, and this makes them SVG. What it shows is in the tables, too.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 48, LOOP = 20, LABEL = 100, ROW = 60, NARROW = 640;
  const SHRUNK = 0.85; // a drawing is made smaller down to this; a wider one scrolls in its box
  const URGENT = { bad: 3, warn: 2, good: 1, off: 0 };
  let drawn = "";

  const make = (name, attributes, parent, text) => {
    const one = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    if (text !== undefined) one.textContent = text;
    parent.append(one);
    return one;
  };

  const pen = document.createElement("canvas").getContext("2d");
  const written = (text, font) => {
    pen.font = `${font} system-ui, sans-serif`;
    return Math.ceil(pen.measureText(text).width);
  };
  const width = (node) => Math.max(written(node.name, "600 14px"), 84) + 44;

  // One line for two that ask each other: of services and engines that is the one to the engine.
  const linesOf = (graph) => {
    const kinds = new Map(graph.nodes.map((node) => [node.name, node.kind])), lines = new Map();
    for (const edge of graph.edges) {
      const back = lines.get(`${edge.callee} ${edge.caller}`);
      if (back && edge.caller !== edge.callee) back.edges.push(edge);
      else lines.set(`${edge.caller} ${edge.callee}`, { from: edge.caller, to: edge.callee, edges: [edge] });
    }
    for (const line of lines.values()) {
      line.tone = line.edges.map((edge) => edge.tone).sort((a, b) => URGENT[b] - URGENT[a])[0];
      const turned = kinds.get(line.from) === "engine" && kinds.get(line.to) !== "engine";
      if (turned) [line.from, line.to] = [line.to, line.from];
      line.forth = line.edges.some((edge) => edge.caller === line.from);
      line.back = line.edges.some((edge) => edge.caller !== line.from);
    }
    return [...lines.values()];
  };

  const laidOut = (graph, lines) => {
    const layout = new dagre.graphlib.Graph().setGraph({ rankdir: "LR", nodesep: 28, edgesep: 8, ranksep: 44, marginx: 4, marginy: LOOP + 4 });
    for (const node of graph.nodes) layout.setNode(node.name, { width: width(node), height: HEIGHT });
    // Each line has room for a label, also one without: boxes stay where they are when calls begin and end.
    for (const { from, to } of lines) if (from !== to) layout.setEdge(from, to, { width: LABEL, height: 16, labelpos: "c" });
    dagre.layout(layout);
    return layout;
  };

  const curve = (points) => {
    const [first, ...rest] = points;
    let path = `M${first.x},${first.y}`;
    for (let at = 0; at < rest.length - 1; at += 1) {
      const here = rest[at], next = rest[at + 1];
      path += ` Q${here.x},${here.y} ${(here.x + next.x) / 2},${(here.y + next.y) / 2}`;
    }
    const last = rest[rest.length - 1];
    return `${path} L${last.x},${last.y}`;
  };

  // What a service calls of itself leaves its box on top, and comes back to it.
  const loop = ({ x, y, width: wide }) => {
    const top = y - HEIGHT / 2, from = x + wide / 2 - 46, to = x + wide / 2 - 18;
    return { path: `M${from},${top} C${from},${top - LOOP} ${to},${top - LOOP} ${to},${top}`, middle: { x: (from + to) / 2, y: top - LOOP + 4 } };
  };

  // Where a line leaves a box: at the side that faces the other one, so that it runs behind no box of the same column.
  const side = (box, other, next) => ({ x: box.x + (Math.sign(other.x - box.x) * box.width) / 2, y: box.y + Math.max(-16, Math.min(16, (next.y - box.y) * 0.15)) });

  // From the left to the right, callers before those that they call.
  const wide = (graph, lines) => {
    const layout = laidOut(graph, lines);
    const way = ({ from, to }) => {
      if (from === to) return loop(layout.node(from));
      const edge = layout.edge(from, to), points = edge.points.slice(1, -1);
      return { path: curve([side(layout.node(from), layout.node(to), points[0]), ...points, side(layout.node(to), layout.node(from), points.at(-1))]), middle: edge };
    };
    return { ...layout.graph(), boxes: new Map(graph.nodes.map((node) => [node.name, layout.node(node.name)])), way, labels: lines };
  };

  // Boxes below each other in the same order, and calls as arcs beside them: as wide as a small screen.
  const narrow = (graph, lines, room) => {
    const layout = laidOut(graph, lines), size = Math.max(...graph.nodes.map(width));
    const order = graph.nodes.map((node) => node.name).sort((a, b) => layout.node(a).x - layout.node(b).x || layout.node(a).y - layout.node(b).y);
    const boxes = new Map(order.map((name, at) => [name, { x: 4 + size / 2, y: LOOP + HEIGHT / 2 + at * ROW, width: size, at }]));
    const far = Math.max(room - size - 12, 60);
    const way = ({ from, to }) => {
      if (from === to) return loop(boxes.get(from));
      const start = boxes.get(from), end = boxes.get(to), edge = 4 + size, down = Math.sign(end.at - start.at) * 9;
      const out = edge + (24 + (far - 24) * (Math.abs(end.at - start.at) / order.length)) / 0.75;
      const [first, last] = [start.y + down, end.y - down];
      return { path: `M${edge},${first} C${out},${first} ${out},${last} ${edge},${last}`, middle: { x: edge + (out - edge) * 0.75 - 8, y: (first + last) / 2 } };
    };
    return { width: room, height: LOOP + order.length * ROW, boxes, way, labels: lines.filter((line) => URGENT[line.tone] > 1) };
  };

  const box = (node, where, parent) => {
    const group = make("g", { class: `node ${node.tone} ${node.kind}`, transform: `translate(${where.x - where.width / 2},${where.y - HEIGHT / 2})` }, parent);
    group.dataset.node = node.name;
    make("title", {}, group, [node.name, ...node.notes].join("\n"));
    make("rect", { width: where.width, height: HEIGHT, rx: 8 }, group);
    make("circle", { cx: 16, cy: HEIGHT / 2, r: 5 }, group);
    make("text", { x: 30, y: 21, class: "name" }, group, node.name);
    make("text", { x: 30, y: 38, class: "kind" }, group, node.instances > 1 ? `${node.ready} of ${node.instances} ready` : node.kind);
  };

  const about = (edge) =>
    [`${edge.caller} → ${edge.callee}`, `${edge.rate.toFixed(2)} calls/s in the last minute, ${edge.failures.toFixed(2)} failed/s${edge.engine ? ", of kept traces" : ""}`, ...edge.open, ...edge.notes].join("\n");
  const words = (line) => {
    const edge = line.edges.reduce((most, one) => (URGENT[one.tone] > URGENT[most.tone] || (one.tone === most.tone && one.rate > most.rate) ? one : most));
    if (edge.open.length) return edge.tone === "bad" ? "open" : "half open";
    if (!edge.rate) return "";
    const late = edge.p99 === null ? "" : edge.p99 < 1 ? ` · ${Math.round(edge.p99 * 1000)} ms` : ` · ${edge.p99.toFixed(1)} s`;
    return `${edge.rate.toFixed(edge.rate < 0.1 ? 2 : edge.rate < 10 ? 1 : 0)}/s${late}`;
  };

  const arrows = (svg) => {
    const defs = make("defs", {}, svg);
    for (const tone of ["good", "warn", "bad"]) {
      const marker = make("marker", { id: `arrow-${tone}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" }, defs);
      make("path", { d: "M0,0 L8,4 L0,8 z", class: `arrow ${tone}` }, marker);
    }
  };

  const draw = () => {
    const map = document.getElementById("map");
    if (!map || !window.dagre) return;
    if (!map.firstChild) make("svg", {}, map); // an empty box is not shown, and has no width
    const style = getComputedStyle(map), room = map.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const state = room + map.dataset.graph;
    if (state === drawn) return;
    drawn = state;
    const graph = JSON.parse(map.dataset.graph);
    if (graph.nodes.some((node) => node.kind === "system")) graph.nodes = graph.nodes.filter((node) => node.kind !== "system");
    map.hidden = !graph.nodes.length;
    if (map.hidden) return;
    const lines = linesOf(graph), plan = (room < NARROW ? narrow : wide)(graph, lines, room);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
    svg.setAttribute("width", Math.max(Math.min(plan.width, room), plan.width * SHRUNK));
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Services, engines and who calls whom: the tables below say the same");
    arrows(svg);
    const ways = new Map(lines.map((line) => [line, plan.way(line)]));
    for (const line of lines) {
      const ends = { ...(line.forth && { "marker-end": `url(#arrow-${line.tone})` }), ...(line.back && { "marker-start": `url(#arrow-${line.tone})` }) };
      const kind = (line.edges.every((edge) => edge.events) ? " events" : "") + (line.edges.some((edge) => edge.rate) ? "" : " idle");
      const path = make("path", { d: ways.get(line).path, class: `edge ${line.tone}${kind}`, ...ends }, svg);
      Object.assign(path.dataset, { from: line.from, to: line.to });
      make("title", {}, path, line.edges.map(about).join("\n\n"));
    }
    for (const node of graph.nodes) box(node, plan.boxes.get(node.name), svg);
    // Over everything: no line and no box hides a number.
    for (const line of plan.labels) {
      const { middle } = ways.get(line), text = words(line);
      if (!text) continue;
      const long = written(text, "700 12px") + 6, group = make("g", { class: `label ${line.tone}`, transform: `translate(${middle.x},${middle.y})` }, svg);
      make("rect", { x: -long / 2, y: -8, width: long, height: 16 }, group);
      make("text", { y: 4 }, group, text);
      Object.assign(group.dataset, { from: line.from, to: line.to });
    }
    map.replaceChildren(svg);
  };

  // Of the box under the pointer only its own lines stay.
  const shine = (event) => {
    const svg = document.querySelector("#map svg"), node = event.target.closest?.("#map .node");
    if (!svg) return;
    svg.classList.toggle("one", Boolean(node));
    for (const one of svg.querySelectorAll("[data-from]")) one.classList.toggle("on", Boolean(node) && [one.dataset.from, one.dataset.to].includes(node.dataset.node));
  };

  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:after:swap", draw);
  document.addEventListener("pointerover", shine);
  window.addEventListener("resize", draw);
})();
