// What is under the pointer, and boxes that hide curves. All that is drawn and written is there without this.
"use strict";
(() => {
  const COLOURS = 8;
  const ROWS_MAX = 12;
  const SVG = "http://www.w3.org/2000/svg";
  const colour = (number) => `var(--c${number % COLOURS})`;

  const make = (parent, tag, name, text) => {
    const element = document.createElement(tag);
    element.className = name;
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const swatch = (parent, number) => {
    make(parent, "span", "swatch").style.background = colour(number);
  };

  // The point of a curve that is nearest to a place from left to right; of a value that holds until the next one, the last before it.
  const nearest = ({ points, steps }, x) => {
    let low = 0;
    let high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle;
      else high = middle;
    }
    if (steps) return points[high][0] <= x ? points[high] : points[low];
    return x - points[low][0] < points[high][0] - x ? points[low] : points[high];
  };

  const boxes = (chart, figure, svg, shown) => {
    const list = make(figure, "div", "curves");
    chart.curves.forEach((curve, number) => {
      const label = make(list, "label", "");
      const box = make(label, "input", "");
      box.type = "checkbox";
      box.checked = true;
      swatch(label, number);
      make(label, "span", "", curve.name);
      box.addEventListener("change", () => {
        shown[number] = box.checked;
        for (const shape of svg.querySelectorAll(`.k${number}`)) shape.classList.toggle("hidden", !box.checked);
      });
    });
  };

  const pointer = (chart, figure, svg, shown) => {
    const layer = document.createElementNS(SVG, "g");
    layer.setAttribute("class", "pointer");
    svg.append(layer);
    const tip = make(figure, "div", "tip hidden");
    const hide = () => {
      layer.replaceChildren();
      tip.classList.add("hidden");
    };
    const show = (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const inside = at.x >= chart.left && at.x <= chart.right && at.y >= chart.top - 20 && at.y <= chart.bottom + 20;
      const found = [];
      chart.curves.forEach((curve, number) => {
        if (shown[number] && curve.points.length > 0) {
          found.push({ number, name: curve.name, point: nearest(curve, at.x) });
        }
      });
      hide();
      if (!inside || found.length === 0) return;
      found.sort((a, b) => Math.abs(a.point[1] - at.y) - Math.abs(b.point[1] - at.y));
      const rows = found.slice(0, ROWS_MAX).sort((a, b) => a.point[1] - b.point[1]);
      const line = document.createElementNS(SVG, "line");
      line.setAttribute("class", "cross");
      for (const [name, value] of [["x1", at.x], ["x2", at.x], ["y1", chart.top], ["y2", chart.bottom]]) {
        line.setAttribute(name, value);
      }
      layer.append(line);
      tip.replaceChildren();
      make(tip, "div", "where", found[0].point[2]);
      for (const { number, name, point } of rows) {
        const circle = document.createElementNS(SVG, "circle");
        for (const [key, value] of [["cx", point[0]], ["cy", point[1]], ["r", 4], ["fill", colour(number)]]) {
          circle.setAttribute(key, value);
        }
        layer.append(circle);
        const row = make(tip, "div", "row");
        swatch(row, number);
        make(row, "span", "", name);
        make(row, "span", "value", point[3]);
      }
      if (rows.length < found.length) make(tip, "div", "where", `and ${found.length - rows.length} more`);
      tip.classList.remove("hidden");
      const edge = figure.getBoundingClientRect();
      const left = event.clientX - edge.left;
      const right = left + 16 + tip.offsetWidth > edge.width;
      tip.style.left = `${Math.max(0, right ? left - 16 - tip.offsetWidth : left + 16)}px`;
      tip.style.top = `${Math.max(0, event.clientY - edge.top - 20)}px`;
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerleave", hide);
  };

  for (const chart of JSON.parse(document.getElementById("charts").textContent)) {
    const svg = document.getElementById(chart.id);
    const shown = chart.curves.map(() => true);
    const figure = svg.closest("figure");
    boxes(chart, figure, svg, shown);
    pointer(chart, figure, svg, shown);
  }
})();
