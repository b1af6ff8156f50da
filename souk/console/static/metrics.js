// Draws charts from the data of the page, with uPlot. What they show is in the tables below them, too.
"use strict";
(() => {
  const drawn = new Map();
  // Once every colour is used, they come again with other dashes.
  const DASHES = [[], [8, 4], [2, 3]];
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return Array.from({ length: 7 }, (_, at) => style.getPropertyValue(`--c${at + 1}`).trim());
  };
  const shown = (unit) => (plot, value) => {
    if (value === null || value === undefined) return "–";
    if (unit === "s") return `${(value * 1000).toLocaleString("en", { maximumFractionDigits: 1 })} ms`;
    return `${value.toLocaleString("en", { maximumFractionDigits: 2 })}${unit}`;
  };
  const draw = () => {
    if (!window.uPlot) return;
    for (const place of document.querySelectorAll("[data-chart]")) {
      const known = drawn.get(place.id), state = `${place.clientWidth} ${place.dataset.chart}`;
      if (known && known.state === state && place.contains(known.plot.root)) continue;
      if (known) known.plot.destroy();
      const data = JSON.parse(place.dataset.chart), palette = colours(), format = shown(data.unit);
      const quiet = getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();
      const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
      const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
      const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
      const series = data.lines.map((one, at) => ({
        label: one.name, stroke: palette[at % palette.length], dash: DASHES[Math.floor(at / palette.length) % DASHES.length], width: 2, value: format, spanGaps: false,
      }));
      const plot = new uPlot({
        width: Math.max(place.clientWidth - 34, 240), height: 220, series: [{ value: (u, at) => (at ? clock(at) : "–") }, ...series], scales: { y: { range: (u, low, high) => [0, (high || 1) * 1.1] } },
        axes: [{ ...axis, space: 90, values: (u, ticks) => ticks.map(clock) }, { ...axis, size: 70, values: (u, ticks) => ticks.map((one) => format(u, one)) }],
      }, [data.times, ...data.lines.map((one) => one.values)], place);
      drawn.set(place.id, { plot, state });
    }
  };
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:after:swap", draw);
  window.addEventListener("resize", draw);
})();
