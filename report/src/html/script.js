"use strict";
// Reads figures under the pointer, zooms the axis of time, copies commands. The page is complete without it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const wide = document.getElementById("over-time");
  const span = data.to - data.from;
  let view = [0, 1];

  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  // The tooltip says more.
  for (const title of document.querySelectorAll("#over-time svg title")) title.remove();

  for (const button of document.querySelectorAll(".command button")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const element = (name, parent, text, style) => {
    const made = document.createElement(name);
    if (style) made.className = style;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const three = (value) => (value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2));
  const micros = (value) => {
    if (value === null || value === undefined) return "–";
    if (value < 999.5) return value + " µs";
    return value < 999500 ? three(value / 1e3) + " ms" : three(value / 1e6) + " s";
  };
  const decimals = (step) => Math.max(0, Math.min(9, Math.ceil(-Math.log10(step) - 1e-9)));
  const seconds = (value, step) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(decimals(step)) + " s";
  const rate = (count) => Math.round(count / data.width).toLocaleString("en") + " /s";

  // A cursor and a tooltip in some plots at once; the tooltip is in the one that is looked at.
  const tooltip = document.createElement("div");
  tooltip.className = "tooltip";
  tooltip.setAttribute("role", "status");
  let cursors = [];
  const hide = () => {
    tooltip.remove();
    for (const cursor of cursors) cursor.remove();
    cursors = [];
  };
  const show = (plot, plots, at, fill) => {
    hide();
    for (const other of plots) {
      const cursor = element("div", other, undefined, "cursor");
      cursor.style.left = at * 100 + "%";
      cursors.push(cursor);
    }
    tooltip.replaceChildren();
    fill(tooltip);
    plot.parentElement.append(tooltip);
    tooltip.style.left = at < 0.5 ? `calc(${at * 100}% + 12px)` : "auto";
    tooltip.style.right = at < 0.5 ? "auto" : `calc(${(1 - at) * 100}% + 12px)`;
  };
  const line = (parent, name, value) => {
    const row = element("div", parent);
    element("span", row, name, "muted");
    element("span", row, value);
  };

  const timePlots = [...wide.querySelectorAll(".plot[tabindex]")];
  const number = data.ok.length;
  const fillBucket = (bucket) => (parent) => {
    const from = data.from + bucket * data.width;
    element("b", parent, `${seconds(from, data.width)} to ${seconds(from + data.width, data.width)}`);
    line(parent, "p50", micros(data.p50[bucket]));
    line(parent, "p99", micros(data.p99[bucket]));
    line(parent, "max", micros(data.max[bucket]));
    line(parent, "ok", rate(data.ok[bucket]));
    line(parent, "fail", rate(data.fail[bucket]));
    line(parent, "info", rate(data.info[bucket]));
    const place = (bucket + 0.5) / number;
    const current = data.views.filter(([at]) => at <= place).pop();
    if (current) line(parent, `view ${current[1]}`, `primary ${current[2]}`);
    const half = 0.5 / number;
    for (const fault of data.faults) {
      if (fault.from <= place + half && place - half <= fault.to) {
        const row = element("div", parent, undefined, "of-fault");
        element("span", row, undefined, "swatch band f" + fault.color);
        element("span", row, fault.name);
      }
    }
  };
  let shown = 0;
  const showBucket = (plot, bucket) => {
    shown = Math.max(0, Math.min(number - 1, bucket));
    const at = ((shown + 0.5) / number - view[0]) / (view[1] - view[0]);
    if (at < 0 || at > 1) return hide();
    show(plot, timePlots, at, fillBucket(shown));
  };

  // Zoom: the drawings change what they show, the labels follow by the style sheet.
  const ticksOf = [...wide.querySelectorAll(".x")].map((axis) => [axis, [...axis.children]]);
  const zoom = (from, to) => {
    view = [from, to];
    wide.style.setProperty("--a", from);
    wide.style.setProperty("--b", to);
    for (const svg of wide.querySelectorAll("svg.time")) {
      svg.setAttribute("viewBox", `${from * 1000} 0 ${(to - from) * 1000} 100`);
    }
    const whole = from === 0 && to === 1;
    const rough = (to - from) * span / 8;
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = decade * [1, 2, 5, 10].find((factor) => decade * factor >= rough * 0.999);
    for (const [axis, ticks] of ticksOf) {
      axis.replaceChildren(...(whole ? ticks : []));
      if (whole) continue;
      const first = Math.ceil((data.from + from * span) / step);
      for (let index = first; index * step <= data.from + to * span; index += 1) {
        const tick = element("span", axis, seconds(index * step, step), index % 2 ? "odd" : "");
        tick.style.setProperty("--x", (index * step - data.from) / span);
      }
    }
    hide();
  };

  const placeIn = (plot, event) => {
    const box = plot.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  for (const plot of timePlots) {
    let start = null;
    let selection = null;
    const bucketAt = (at) => Math.floor((view[0] + at * (view[1] - view[0])) * number);
    plot.addEventListener("pointermove", (event) => {
      const at = placeIn(plot, event);
      showBucket(plot, bucketAt(at));
      if (start === null) return;
      selection = selection || element("div", plot, undefined, "selection");
      selection.style.left = Math.min(start, at) * 100 + "%";
      selection.style.width = Math.abs(at - start) * 100 + "%";
    });
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      start = placeIn(plot, event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [low, high] = [start, placeIn(plot, event)].sort((a, b) => a - b);
      start = null;
      if (selection) selection.remove();
      selection = null;
      const width = view[1] - view[0];
      if ((high - low) * width > 4 / number) zoom(view[0] + low * width, view[0] + high * width);
    });
    plot.addEventListener("pointercancel", () => {
      start = null;
      if (selection) selection.remove();
      selection = null;
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("dblclick", () => zoom(0, 1));
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
      if (event.key in steps) showBucket(plot, shown + steps[event.key]);
      else if (event.key === "Home") showBucket(plot, 0);
      else if (event.key === "End") showBucket(plot, number - 1);
      else if (event.key === "Escape") zoom(0, 1);
      else return;
      event.preventDefault();
    });
  }

  data.plots.forEach((drawn, index) => {
    const plot = document.querySelector(`#percentiles-${index} .plot`);
    const read = (at) => {
      const nines = at * drawn.nines;
      show(plot, [plot], at, (parent) => {
        const share = 100 * (1 - 10 ** -nines);
        element("b", parent, share.toFixed(Math.max(0, Math.ceil(nines) - 1)) + "%");
        for (const curve of drawn.curves) {
          const point = curve.points.find(([place]) => place >= nines - 1e-6);
          line(parent, curve.name, point ? micros(point[1]) : "–");
        }
      });
    };
    let at = 0;
    plot.addEventListener("pointermove", (event) => { at = placeIn(plot, event); read(at); });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      at = Math.max(0, Math.min(1, at + (event.key === "ArrowLeft" ? -0.02 : 0.02)));
      read(at);
      event.preventDefault();
    });
  });
})();
