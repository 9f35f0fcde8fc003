// Shows the values under the pointer. Without it the charts are complete, only silent.
"use strict";
(() => {
  const FRAME = { left: 52, right: 410, top: 10, bottom: 186 };
  const SVG = "http://www.w3.org/2000/svg";

  const short = (value) =>
    Math.abs(value) >= 1e7 || (value !== 0 && Math.abs(value) < 1e-4)
      ? value.toExponential(3)
      : String(Number(value.toPrecision(6)));

  function nearest(points, x) {
    let low = 0;
    let high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle;
      else high = middle;
    }
    return x - points[low][0] < points[high][0] - x ? points[low] : points[high];
  }

  function attach(svg) {
    const [x0, x1, y0, y1] = JSON.parse(svg.dataset.scale);
    const lines = [...svg.querySelectorAll(".line")].map((group) => ({
      name: group.dataset.name,
      look: group.getAttribute("class"),
      points: JSON.parse(group.dataset.points),
    }));
    const toX = (x) => FRAME.left + ((x - x0) / (x1 - x0)) * (FRAME.right - FRAME.left);
    const toY = (y) => FRAME.top + ((y1 - (svg.dataset.log ? Math.log10(y) : y)) / (y1 - y0)) * (FRAME.bottom - FRAME.top);
    const mark = document.createElementNS(SVG, "g");
    const tip = document.createElement("div");
    tip.className = "tip";

    function hide() {
      mark.remove();
      tip.remove();
    }

    function row(left, right) {
      const line = document.createElement("div");
      line.append(document.createElement("bdi"), document.createElement("span"));
      line.firstChild.textContent = left;
      line.lastChild.textContent = right;
      return line;
    }

    function show(event) {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * 420;
      const x = x0 + ((at - FRAME.left) / (FRAME.right - FRAME.left)) * (x1 - x0);
      const found = lines.map((line) => nearest(line.points, x));
      const chosen = found.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
      mark.replaceChildren();
      const cursor = document.createElementNS(SVG, "path");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("d", `M${toX(chosen[0])} ${FRAME.top}V${FRAME.bottom}`);
      mark.append(cursor);
      found.forEach((point, index) => {
        const dot = document.createElementNS(SVG, "circle");
        dot.setAttribute("cx", toX(point[0]));
        dot.setAttribute("cy", toY(point[1]));
        dot.setAttribute("r", "3.2");
        const group = document.createElementNS(SVG, "g");
        group.setAttribute("class", lines[index].look);
        group.append(dot);
        mark.append(group);
      });
      const where = svg.dataset.time ? new Date(chosen[0] * 1000).toISOString().slice(0, 19).replace("T", " ") : short(chosen[0]);
      tip.replaceChildren(row(where, ""), ...found.map((point, index) => row(lines.length > 1 ? lines[index].name : "", short(point[1]))));
      svg.append(mark);
      svg.parentElement.append(tip);
      const left = (toX(chosen[0]) / 420) * box.width + 10;
      tip.style.left = `${left + tip.offsetWidth > box.width ? Math.max(0, left - tip.offsetWidth - 14) : left + 8}px`;
    }

    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerleave", hide);
  }

  document.querySelectorAll("svg[data-scale]").forEach(attach);
})();
