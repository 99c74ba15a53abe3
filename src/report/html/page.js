// Shows the values under the pointer, or under a line that the arrow keys move. Without this script, the
// page shows the same curves.
"use strict";
for (const figure of document.querySelectorAll("figure.plot")) {
  const area = figure.querySelector("svg.area");
  const readout = figure.querySelector(".readout");
  const [start, end, low, high, factor] =
    ["start", "end", "low", "high", "factor"].map((name) => Number(figure.dataset[name]));
  const box = area.querySelector("svg.curves").viewBox.baseVal;
  const curves = [...area.querySelectorAll("path")].reverse().map((path) => ({
    name: path.dataset.name,
    points: [...path.getAttribute("d").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((found) => [+found[1], +found[2]]),
  }));
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  line.setAttribute("class", "cursor");
  line.setAttribute("y2", box.height);
  line.setAttribute("visibility", "hidden");
  area.append(line);

  const timeOf = (millis) => new Date(millis).toISOString().slice(11, 19);
  const valueAt = (height) => {
    const share = 1 - (height - 2) / (box.height - 4);
    if ("instant" in figure.dataset) return timeOf((low + share * (high - low)) * 1000);
    return `${Number(((low + share * (high - low)) * factor).toPrecision(3))}${figure.dataset.suffix}`;
  };
  let share = 0;
  const show = (to) => {
    share = Math.min(1, Math.max(0, to));
    const x = share * box.width;
    line.setAttribute("x1", `${share * 100}%`);
    line.setAttribute("x2", `${share * 100}%`);
    line.setAttribute("visibility", "visible");
    const texts = [timeOf(start + share * (end - start))];
    for (const curve of curves) {
      let nearest = null;
      for (const point of curve.points) {
        if (nearest === null || Math.abs(point[0] - x) < Math.abs(nearest[0] - x)) nearest = point;
      }
      const isNear = nearest !== null && Math.abs(nearest[0] - x) <= box.width / 25;
      texts.push(`${curve.name} ${isNear ? valueAt(nearest[1]) : "–"}`);
    }
    readout.textContent = texts.join("   ");
  };
  const hide = () => {
    line.setAttribute("visibility", "hidden");
    readout.textContent = "";
  };
  area.tabIndex = 0;
  area.addEventListener("pointermove", (event) => {
    const place = area.getBoundingClientRect();
    show((event.clientX - place.left) / place.width);
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: share - 0.01, ArrowRight: share + 0.01, Home: 0, End: 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    show(moves[event.key]);
  });
}
